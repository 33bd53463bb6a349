"""Sparse methods, each reading like the algorithm in its paper."""
