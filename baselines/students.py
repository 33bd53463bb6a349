"""What small dense methods share: the student's shape, its start, and general distillation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import bench
from bench import Method, Run, TrainParams, knob

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, kw_only=True)
class SmallParams(TrainParams):
    """The architecture beside what the ratio says, and where it starts."""

    depth: int = knob(
        0,
        low=0,
        high=48,
        help="layers; 0: the whole number nearest two thirds of the encoder's, at least 2",
    )
    start: Literal["cut", "random"] = knob(
        "cut",
        choices=("cut", "random"),
        tuned=False,
        help="weights cut out of the pre-trained encoder, or drawn anew",
    )


@dataclass(frozen=True, kw_only=True)
class DistilledParams(SmallParams):
    """For those that are distilled on unlabelled text first, all equally long."""

    general_epochs: int = knob(
        1, low=0, high=20, tuned=False, help="passes of stage 1 over the unlabelled text"
    )


class Small(Method):
    """A small dense model: the depths that tuning tries."""

    @classmethod
    def search_space(cls, config: PretrainedConfig, target: bench.Target) -> dict[str, bench.Knob]:
        """Every depth at which the target is met, the default one first, then the nearest."""
        default = bench.default_depth(config)
        depths = sorted(range(1, config.num_hidden_layers + 1), key=lambda d: (abs(d - default), d))
        mask: bench.Mask | None = "learnt" if cls.info.mask_attention else None  # the largest
        met = tuple(depth for depth in depths if _is_met(target, config, depth, mask))
        declared = cls.Params.knobs()["depth"]
        depth = dataclasses.replace(declared, choices=met)
        return super().search_space(config, target) | {"depth": depth}


def new_student(
    run: Run, params: SmallParams, mask: bench.Mask | None = None
) -> tuple[PreTrainedModel, bench.Projection]:
    """The student, and the map from its hidden states to its teacher's.

    Args:
        run: The cell's.
        params: Depth and start.
        mask: That of the mask attention that its layers begin with, if there is any.
    """
    encoder = run.pretrained()
    layers = encoder.config.num_hidden_layers
    if params.depth > layers:
        raise bench.BenchError(f"depth={params.depth}: the encoder has {layers} layers.")
    depth = params.depth or bench.default_depth(encoder.config)
    shape = run.target.shape(encoder.config, depth, mask=mask)
    run.log(f"architecture: {shape}{f', mask attention: {mask}' if mask else ''}")
    if params.start == "random":
        student = bench.small_model(encoder, shape)
        projection = bench.Projection.drawn(shape.width, encoder)
    else:
        student, basis = bench.shrink(encoder, shape)
        projection = bench.Projection(basis)
    if mask:
        student = bench.insert_mask_attention(student, mask, seed=run.seed)
    return student, projection


def distil_in_general(
    run: Run,
    params: DistilledParams,
    student: PreTrainedModel,
    distil: Callable[[Run], tuple[PreTrainedModel, dict[str, Tensor]]],
) -> dict[str, Tensor]:
    """Stage 1: gives the student what distillation on unlabelled text made, once for all cells.

    The head stays the student's own, and so does the pooler, which no loss sees.

    Args:
        run: The cell's.
        params: Whose `general_epochs` may be 0: then nothing is distilled.
        student: The student, changed in place.
        distil: Makes and distils a student by a run that sees no labels, and returns it with what
            else was learnt.

    Returns:
        What else was learnt.
    """
    if not params.general_epochs:
        return {}
    shape = str(bench.shape_of(student.config))
    key = {"shape": shape, "start": params.start, "epochs": params.general_epochs}
    if mask := getattr(student.config, "mask", None):
        key["mask"] = mask
    if params.start == "random":  # drawn after a head, whose size is the task's
        key["labels"] = run.task.num_labels
        if run.task.finds_spans:
            key["spans"] = True

    def make(alone: Run) -> dict[str, Tensor]:
        taught, beside = distil(alone)
        state = taught.base_model.state_dict()
        return {n: t for n, t in state.items() if not n.startswith("pooler.")} | beside

    made = run.shared(key, make)
    own = student.base_model.state_dict()
    student.base_model.load_state_dict(own | {n: made.pop(n) for n in own if n in made})
    return made


def _is_met(
    target: bench.Target, config: PretrainedConfig, depth: int, mask: bench.Mask | None
) -> bool:
    try:
        target.shape(config, depth, mask=mask)
    except bench.UnreachableError:
        return False
    return True
