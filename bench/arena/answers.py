"""The models that play, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """A model that plays.

    Attributes:
        id: That of its cell.
        method: The cell's, and so on.
        dense: The id of the model that it was compressed from; `None` of a dense one.
    """

    id: str
    method: str
    ratio: float
    seed: int
    dense: str | None

    def __str__(self) -> str:
        """As a page names it."""
        ratio = "" if self.dense is None else f" {self.ratio:g}×"
        return f"{self.method}{ratio}, seed {self.seed}"


@dataclass(frozen=True)
class Word:
    """What a stretch of a text has done to an answer.

    Attributes:
        text: 0 for the first text, 1 for the second.
        begin: Its first character.
        end: The first one after it.
        influence: In logits: above 0 it speaks for the answer, below 0 against it.
    """

    text: int
    begin: int
    end: int
    influence: float


@dataclass(frozen=True)
class Answer:
    """What a model says of an example.

    Attributes:
        model: The model's id.
        label: Number of the likeliest class.
        probabilities: Of each class.
        milliseconds: How long the model took, one example at a time.
        words: What each word has done to it.
    """

    model: str
    label: int
    probabilities: tuple[float, ...]
    milliseconds: float
    words: tuple[Word, ...] = ()
