"""Comparative benchmark harness for BERT compression.

What a method or a plugin may use is exported here. Names that need torch are imported when they are
first asked for, so that `import bench` and a listing of methods stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, DivergedError, UnreachableError
from bench.method import Method, MethodInfo, Params, Run, TrainParams, knob
from bench.task import Source, Splits, Task, TaskInfo

if TYPE_CHECKING:
    from bench.budget import Target
    from bench.families import FAMILIES, head_modules, layers, prunable
    from bench.footprint import Counts, count, count_dense
    from bench.sparsity import (
        CubicSchedule,
        GradualPruner,
        MaskedTraining,
        Masks,
        magnitude,
        random_scores,
    )
    from bench.training import Batch, Callback, Training, task_loss

__version__ = "0.1.0"

_LAZY = {
    "Batch": "training",
    "Callback": "training",
    "Counts": "footprint",
    "CubicSchedule": "sparsity",
    "FAMILIES": "families",
    "GradualPruner": "sparsity",
    "MaskedTraining": "sparsity",
    "Masks": "sparsity",
    "Target": "budget",
    "Training": "training",
    "count": "footprint",
    "count_dense": "footprint",
    "head_modules": "families",
    "layers": "families",
    "magnitude": "sparsity",
    "prunable": "families",
    "random_scores": "sparsity",
    "task_loss": "training",
}

__all__ = [
    "FAMILIES",
    "Batch",
    "BenchError",
    "Callback",
    "Counts",
    "CubicSchedule",
    "DivergedError",
    "GradualPruner",
    "MaskedTraining",
    "Masks",
    "Method",
    "MethodInfo",
    "Params",
    "Run",
    "Source",
    "Splits",
    "Target",
    "Task",
    "TaskInfo",
    "TrainParams",
    "Training",
    "UnreachableError",
    "count",
    "count_dense",
    "head_modules",
    "knob",
    "layers",
    "magnitude",
    "prunable",
    "random_scores",
    "task_loss",
]


def __getattr__(name: str) -> Any:
    """Imports what `_LAZY` lists, when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bench.{_LAZY[name]}"), name)
