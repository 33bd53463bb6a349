"""The contract of a floor: a control that answers without a compressed model.

A floor says what a score is worth: what a few seconds reach with no training of the encoder. It
reads the raw texts of the training rows and those that are asked, or what the encoder makes of them
as it is, and is the same for every seed.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, final

from bench.compression.method import Method
from bench.compression.params import Params

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bench.compression.method import Run
    from bench.data.task import Task
    from bench.data.texts import Texts


@dataclass(frozen=True)
class Answers:
    """What a floor answers.

    Attributes:
        logits: Of the rows that are asked, `[rows, classes]`, or `[rows, 1]` for a regression;
            `None` where spans are looked for.
        chosen: What was chosen inside the training rows, for the record: plain data.
        texts: The answers themselves where spans are looked for, empty for none, `[rows]`.
    """

    logits: NDArray[Any] | None
    chosen: Mapping[str, Any] = field(default_factory=dict)
    texts: NDArray[Any] | None = None


class FloorRun(Protocol):
    """What the harness lends a floor.

    Attributes:
        task: The task, with its number of labels and whether it is a regression.
        train: Texts of the training rows, without augmentations, `[rows]`.
        labels: Their labels: class numbers or figures, or the right texts of each, `[rows]`.
        asked: Texts of the rows to be answered, `[rows]`.
    """

    task: Task
    train: Sequence[Texts]
    labels: NDArray[Any]
    asked: Sequence[Texts]

    def score(self, logits: NDArray[Any], labels: NDArray[Any]) -> float:
        """The task's own metric of answers to training rows, which a choice is made by, 0–100.

        Args:
            logits: As `Answers` has them, or its texts.
            labels: Of the same rows.
        """

    def pooled(self, texts: Sequence[str], *, charged: bool) -> NDArray[Any]:
        """What the pre-trained encoder makes of single texts, `[texts, width]`.

        It is the mean of a text's last hidden states, those of its special pieces included.

        Args:
            texts: The texts, of which each is read alone.
            charged: Whether the passes are charged, as those over training rows are. To answer
                what is asked costs no method anything.
        """


class Floor(Method):
    """A control that delivers answers instead of a model: no size, no speed, nothing to export.

    Subclasses set `info` (of kind `reference`) and implement `answer`, which draws nothing by
    chance.
    """

    Params: ClassVar[type[Params]] = Params

    @abc.abstractmethod
    def answer(self, run: FloorRun) -> Answers:
        """Answers the rows that are asked, from the training rows.

        Args:
            run: What the harness lends.
        """

    @final
    def compress(self, run: Run, params: Any) -> PreTrainedModel:
        """Is never called: there is no model."""
        raise TypeError(f"{self.info.name} delivers answers, no model")
