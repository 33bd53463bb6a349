"""Teachers as a cell is lent them: frozen, and each of their passes charged."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from bench.models.footprint import count_dense
from bench.models.masked_lm import head_flops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.models.footprint import Counts


@dataclass
class TeacherMeter:
    """Charges what a teacher answers, whether it computes the answer or has it on disk.

    Attributes:
        counts: Those of the teacher.
        add: Takes FLOPs.
    """

    counts: Counts
    add: Callable[[int], None]
    _running: bool = True

    def charge(self, lengths: NDArray[np.int64]) -> None:
        """Charges a pass over rows of these lengths."""
        if self._running:
            self.add(self.counts.forward_flops(lengths))

    def before_pass(self, _: nn.Module, args: Any, inputs: dict[str, Tensor]) -> None:
        """Charges a pass of the teacher itself."""
        self.charge(inputs["attention_mask"].sum(dim=1).cpu().numpy())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Charges nothing inside the block."""
        self._running = False
        try:
            yield
        finally:
            self._running = True


def frozen(model: PreTrainedModel, device: str, add: Callable[[int], None]) -> TeacherMeter:
    """Makes a teacher of a model, and gives what charges each of its passes."""
    model.requires_grad_(False)
    nn.Module.to(model, device)
    meter = TeacherMeter(count_dense(model), add)
    model.register_forward_pre_hook(meter.before_pass, with_kwargs=True)
    return meter


def frozen_head(head: PreTrainedModel, device: str, add: Callable[[int], None]) -> None:
    """Makes a teacher of a language model's head, each of whose passes is charged."""

    def before_pass(_: nn.Module, args: Any, inputs: dict[str, Tensor]) -> None:
        add(head_flops(head, inputs["input_ids"].numel()))

    head.requires_grad_(False)
    nn.Module.to(head, device)
    head.register_forward_pre_hook(before_pass, with_kwargs=True)
