"""Every random generator, seeded or put back."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch, and asks torch for repeatable kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # libraries draw from numpy's global generator
    torch.manual_seed(seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats only with it
    torch.use_deterministic_algorithms(True, warn_only=True)


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seeds torch inside the block and puts its generators back afterwards.

    What is drawn inside depends on the seed alone, and what is drawn later not on whether the block
    was needed (a reference may be trained now or lie there already).
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
