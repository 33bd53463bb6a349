"""Comparative benchmark harness for BERT compression.

What a method or a plugin may use is exported here. Names that need torch are imported when they are
first asked for, so that `import bench` and a listing of methods stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, DivergedError, UnreachableError
from bench.method import Method, MethodInfo, Params, Run, TaughtParams, TrainParams, knob
from bench.task import Source, Splits, Task, TaskInfo

if TYPE_CHECKING:
    from bench.budget import Target
    from bench.distillation import (
        Insides,
        distilled_loss,
        hidden_loss,
        look_inside,
        loss_for,
        score_loss,
        soft_cross_entropy,
        taught_loss,
    )
    from bench.families import FAMILIES, head_modules, layers, prunable
    from bench.footprint import Counts, count, count_dense
    from bench.movement import MovementPruner, SoftMovementPruner
    from bench.sparsity import (
        CubicSchedule,
        GradualPruner,
        MaskedTraining,
        Masks,
        input_norms,
        magnitude,
        random_scores,
    )
    from bench.training import Batch, Callback, Loss, Training, label_loss, task_loss

__version__ = "0.1.0"

_LAZY = {
    "Batch": "training",
    "Callback": "training",
    "Counts": "footprint",
    "CubicSchedule": "sparsity",
    "FAMILIES": "families",
    "GradualPruner": "sparsity",
    "Insides": "distillation",
    "Loss": "training",
    "MaskedTraining": "sparsity",
    "Masks": "sparsity",
    "MovementPruner": "movement",
    "SoftMovementPruner": "movement",
    "Target": "budget",
    "Training": "training",
    "count": "footprint",
    "count_dense": "footprint",
    "distilled_loss": "distillation",
    "head_modules": "families",
    "hidden_loss": "distillation",
    "input_norms": "sparsity",
    "label_loss": "training",
    "layers": "families",
    "look_inside": "distillation",
    "loss_for": "distillation",
    "magnitude": "sparsity",
    "prunable": "families",
    "random_scores": "sparsity",
    "score_loss": "distillation",
    "soft_cross_entropy": "distillation",
    "task_loss": "training",
    "taught_loss": "distillation",
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
    "Insides",
    "Loss",
    "MaskedTraining",
    "Masks",
    "Method",
    "MethodInfo",
    "MovementPruner",
    "Params",
    "Run",
    "SoftMovementPruner",
    "Source",
    "Splits",
    "Target",
    "Task",
    "TaskInfo",
    "TaughtParams",
    "TrainParams",
    "Training",
    "UnreachableError",
    "count",
    "count_dense",
    "distilled_loss",
    "head_modules",
    "hidden_loss",
    "input_norms",
    "knob",
    "label_loss",
    "layers",
    "look_inside",
    "loss_for",
    "magnitude",
    "prunable",
    "random_scores",
    "score_loss",
    "soft_cross_entropy",
    "task_loss",
    "taught_loss",
]


def __getattr__(name: str) -> Any:
    """Imports what `_LAZY` lists, when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bench.{_LAZY[name]}"), name)
