"""Comparative benchmark harness for BERT compression.

What a method or a plugin may use is exported here. Names that need torch are imported when they are
first asked for, so that `import bench` and a listing of methods stay quick.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, DivergedError, UnreachableError
from bench.method import Knob, Method, MethodInfo, Params, Run, TaughtParams, TrainParams, knob
from bench.task import Source, Splits, Task, TaskInfo

if TYPE_CHECKING:
    from bench.budget import Target, default_depth
    from bench.distillation import (
        Insides,
        Projection,
        answer,
        distilled_loss,
        hidden_loss,
        look_inside,
        loss_for,
        score_loss,
        soft_cross_entropy,
        taught_loss,
    )
    from bench.export import load_compact
    from bench.families import FAMILIES, Shape, head_modules, layers, prunable, shape_of
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
    from bench.structure import cut, layer_map, shrink, small_model
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
    "Projection": "distillation",
    "Shape": "families",
    "SoftMovementPruner": "movement",
    "Target": "budget",
    "Training": "training",
    "answer": "distillation",
    "count": "footprint",
    "count_dense": "footprint",
    "cut": "structure",
    "default_depth": "budget",
    "distilled_loss": "distillation",
    "head_modules": "families",
    "hidden_loss": "distillation",
    "input_norms": "sparsity",
    "label_loss": "training",
    "layer_map": "structure",
    "layers": "families",
    "load_compact": "export",
    "look_inside": "distillation",
    "loss_for": "distillation",
    "magnitude": "sparsity",
    "prunable": "families",
    "random_scores": "sparsity",
    "score_loss": "distillation",
    "shape_of": "families",
    "shrink": "structure",
    "small_model": "structure",
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
    "Knob",
    "Loss",
    "MaskedTraining",
    "Masks",
    "Method",
    "MethodInfo",
    "MovementPruner",
    "Params",
    "Projection",
    "Run",
    "Shape",
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
    "answer",
    "count",
    "count_dense",
    "cut",
    "default_depth",
    "distilled_loss",
    "head_modules",
    "hidden_loss",
    "input_norms",
    "knob",
    "label_loss",
    "layer_map",
    "layers",
    "load_compact",
    "look_inside",
    "loss_for",
    "magnitude",
    "prunable",
    "random_scores",
    "score_loss",
    "shape_of",
    "shrink",
    "small_model",
    "soft_cross_entropy",
    "task_loss",
    "taught_loss",
]


def __getattr__(name: str) -> Any:
    """Imports what `_LAZY` lists, when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'bench' has no attribute '{name}'")
    return getattr(importlib.import_module(f"bench.{_LAZY[name]}"), name)


class _Registrar(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes cut models known to transformers' Auto classes as soon as somebody imports these.

    A saved cut model then loads by `from_pretrained` after a mere `import bench`, which need not
    import transformers itself.

    Args:
        awaited: The module of transformers that is waited for.
        first: Modules whose import may be what brings it, and then must end before.
    """

    def __init__(self, awaited: str, *first: str) -> None:
        self._awaited = awaited
        self._first = first
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Finds the module by everybody else's means, and puts this loader before its own."""
        if fullname != self._awaited:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        """Leaves it to the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Runs the module, then registers, unless that has to wait for what imports it."""
        self._loader.exec_module(module)
        if not any(name in sys.modules for name in self._first):
            importlib.import_module("bench.structure")


_MODELS = "transformers.models.auto.modeling_auto"
_CONFIGS = "transformers.models.auto.configuration_auto"
if _CONFIGS in sys.modules:
    importlib.import_module("bench.structure")
else:
    _Registrar(_MODELS)
    _Registrar(_CONFIGS, _MODELS, "transformers.modeling_utils")
