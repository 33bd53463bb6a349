"""Environment variables of every process that trains or measures."""

from __future__ import annotations

import os

DEFAULTS = {
    "TOKENIZERS_PARALLELISM": "false",  # its threads and fork do not mix
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Threads that spin for a core which another process holds make a training forty times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def set_defaults() -> None:
    """Sets what the user has not set, before torch is imported and for every child."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
