"""Cells and trials on the nodes of a Ray cluster: one more executor."""
