"""Comparative benchmark harness for BERT compression.

What a method or a plugin may use is exported here, and what scripts and notebooks call
(`bench.api`, `bench.found`). Names that need more than plain Python are imported when they are
first asked for, so that `import bench` and a listing of methods stay quick; `__init__.pyi` tells
their types.
"""

from __future__ import annotations

import importlib
from typing import Any

from bench.compression.floor import Answers, Floor, FloorRun
from bench.compression.method import Method, MethodInfo, Run
from bench.compression.params import Knob, Params, TaughtParams, TrainParams, knob
from bench.data.task import (
    Challenge,
    ChallengeInfo,
    ChallengeSet,
    Source,
    Splits,
    Task,
    TaskInfo,
)
from bench.errors import BenchError, DivergedError, UnreachableError
from bench.models import auto_classes

__version__ = "0.2.0"

_LAZY = {
    "bench.api": ["RunResult", "RunStoppedError", "run"],
    "bench.found": ["compare", "footprint", "load_results"],
    "bench.compression.blocks": ["BlockMovementPruner"],
    "bench.compression.callbacks": ["Batch", "Callback", "Loss", "Training"],
    "bench.compression.contrastive": ["contrastive_loss"],
    "bench.compression.distillation": [
        "Insides", "Projection", "answer", "last_relations", "look_inside", "loss_for",
        "taught_loss",
    ],
    "bench.compression.lagrangian": ["GatePruner"],
    "bench.compression.language_model": ["LanguageModel", "Question"],
    "bench.compression.layerwise": ["layerwise_loss", "nearest_layers"],
    "bench.compression.losses": [
        "distilled_loss", "hidden_loss", "label_loss", "logits", "logits_from", "relation_loss",
        "score_loss", "soft_cross_entropy", "task_loss",
    ],
    "bench.compression.masks": [
        "CubicSchedule", "GradualPruner", "MaskedTraining", "Masks", "input_norms",
        "magnitude", "random_scores",
    ],
    "bench.compression.movement": ["MovementPruner", "SoftMovementPruner"],
    "bench.compression.rewinding": ["Rewinding"],
    "bench.compression.second_order": ["OptimalBrainSurgeon"],
    "bench.compression.sensitivity": ["SensitivityPruner"],
    "bench.compression.target": ["Target", "default_depth"],
    "bench.models.compact": ["load_compact"],
    "bench.models.cut": ["cut"],
    "bench.models.families": [
        "FAMILIES", "Mask", "Shape", "embedding_modules", "head_modules", "layers", "prunable",
        "shape_of",
    ],
    "bench.models.footprint": ["Counts", "count", "count_dense"],
    "bench.models.mask_attention": ["insert_mask_attention"],
    "bench.models.shrink": ["layer_map", "shrink", "small_model"],
}  # fmt: skip
"""What is imported when it is first asked for, by the module that it comes from."""

_HOME = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "Answers", "BenchError", "Challenge", "ChallengeInfo", "ChallengeSet", "DivergedError",
    "Floor", "FloorRun", "Knob", "Method", "MethodInfo",
    "Params", "Run", "Source", "Splits", "Task", "TaskInfo", "TaughtParams", "TrainParams",
    "UnreachableError", "knob",
]  # fmt: skip
__all__ += list(_HOME)


def __getattr__(name: str) -> Any:
    """Imports what `_LAZY` lists, when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """What there is to complete, before it is imported."""
    return sorted({*globals(), *__all__})


auto_classes.make_known()
