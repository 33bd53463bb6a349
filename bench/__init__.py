"""Comparative benchmark harness for BERT compression.

What a method or a plugin may use is exported here. Names that need torch are imported when they are
first asked for, so that `import bench` and a listing of methods stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bench.compression.method import Method, MethodInfo, Run
from bench.compression.params import Knob, Params, TaughtParams, TrainParams, knob
from bench.data.task import Source, Splits, Task, TaskInfo
from bench.errors import BenchError, DivergedError, UnreachableError
from bench.models import auto_classes

if TYPE_CHECKING:
    from bench.compression.callbacks import Batch as Batch
    from bench.compression.callbacks import Callback as Callback
    from bench.compression.callbacks import Loss as Loss
    from bench.compression.callbacks import Training as Training
    from bench.compression.distillation import Insides as Insides
    from bench.compression.distillation import Projection as Projection
    from bench.compression.distillation import answer as answer
    from bench.compression.distillation import look_inside as look_inside
    from bench.compression.distillation import loss_for as loss_for
    from bench.compression.distillation import taught_loss as taught_loss
    from bench.compression.losses import distilled_loss as distilled_loss
    from bench.compression.losses import hidden_loss as hidden_loss
    from bench.compression.losses import label_loss as label_loss
    from bench.compression.losses import score_loss as score_loss
    from bench.compression.losses import soft_cross_entropy as soft_cross_entropy
    from bench.compression.losses import task_loss as task_loss
    from bench.compression.masks import CubicSchedule as CubicSchedule
    from bench.compression.masks import GradualPruner as GradualPruner
    from bench.compression.masks import MaskedTraining as MaskedTraining
    from bench.compression.masks import Masks as Masks
    from bench.compression.masks import input_norms as input_norms
    from bench.compression.masks import magnitude as magnitude
    from bench.compression.masks import random_scores as random_scores
    from bench.compression.movement import MovementPruner as MovementPruner
    from bench.compression.movement import SoftMovementPruner as SoftMovementPruner
    from bench.compression.target import Target as Target
    from bench.compression.target import default_depth as default_depth
    from bench.models.compact import load_compact as load_compact
    from bench.models.cut import cut as cut
    from bench.models.families import FAMILIES as FAMILIES
    from bench.models.families import Shape as Shape
    from bench.models.families import head_modules as head_modules
    from bench.models.families import layers as layers
    from bench.models.families import prunable as prunable
    from bench.models.families import shape_of as shape_of
    from bench.models.footprint import Counts as Counts
    from bench.models.footprint import count as count
    from bench.models.footprint import count_dense as count_dense
    from bench.models.shrink import layer_map as layer_map
    from bench.models.shrink import shrink as shrink
    from bench.models.shrink import small_model as small_model

__version__ = "0.1.0"

_LAZY = {
    "bench.compression.callbacks": ["Batch", "Callback", "Loss", "Training"],
    "bench.compression.distillation": [
        "Insides", "Projection", "answer", "look_inside", "loss_for", "taught_loss",
    ],
    "bench.compression.losses": [
        "distilled_loss", "hidden_loss", "label_loss", "score_loss", "soft_cross_entropy",
        "task_loss",
    ],
    "bench.compression.masks": [
        "CubicSchedule", "GradualPruner", "MaskedTraining", "Masks", "input_norms",
        "magnitude", "random_scores",
    ],
    "bench.compression.movement": ["MovementPruner", "SoftMovementPruner"],
    "bench.compression.target": ["Target", "default_depth"],
    "bench.models.compact": ["load_compact"],
    "bench.models.cut": ["cut"],
    "bench.models.families": [
        "FAMILIES", "Shape", "head_modules", "layers", "prunable", "shape_of",
    ],
    "bench.models.footprint": ["Counts", "count", "count_dense"],
    "bench.models.shrink": ["layer_map", "shrink", "small_model"],
}  # fmt: skip
"""What is imported when it is first asked for, by the module that it comes from."""

_HOME = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "BenchError", "DivergedError", "Knob", "Method", "MethodInfo", "Params", "Run", "Source",
    "Splits", "Task", "TaskInfo", "TaughtParams", "TrainParams", "UnreachableError", "knob",
]  # fmt: skip
__all__ += list(_HOME)


def __getattr__(name: str) -> Any:
    """Imports what `_LAZY` lists, when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


auto_classes.make_known()
