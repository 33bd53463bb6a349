"""What the input of a training is perturbed by, as the command line says it.

Words are dropped or replaced, or moved against the loss, while a model is trained, and never else:
Takase and Kiyono (2021, arXiv:2104.01853) ask whether the cheap ways are as good as the dear ones.
This file imports nothing heavy, so that a command can be checked before anything is loaded.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, unknown_name
from bench.protocol import NONE


def _part(help: str, most: float = 1.0) -> Any:
    """Declares a part: its help, and the number that its own has to stay below."""
    return dataclasses.field(default=0.0, metadata={"help": help, "most": most})


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """Which perturbations, and how strong each is; 0 where there is none.

    The first three are probabilities r of a piece; a piece is replaced in one way at most.

    Raises:
        BenchError: A number is not possible, or two do not go together.
    """

    word_dropout: float = _part("probability that a piece's word embedding becomes zero")
    replace_uniform: float = _part(
        "probability that a piece becomes another one, all of them equally likely"
    )
    replace_similar: float = _part(
        "probability that a piece becomes another one, w with probability ∝ exp(e_w · e_x)"
    )
    adversarial: float = _part(
        "length ε of a step up the loss, over all word embeddings of an example; each training "
        "step then has one more forward and backward pass",
        math.inf,
    )
    inverse_sigmoid: float = _part(
        "k of a schedule: at step t a piece is kept, not replaced, with probability "
        "max(1 − r, k / (k + exp(t / k)))",
        math.inf,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, most = getattr(self, field.name), field.metadata["most"]
            if not 0 <= value < most:
                wanted = "a positive number" if most == math.inf else f"above 0 and below {most:g}"
                raise BenchError(f"{_spelled(field.name)}={value:g} is not {wanted}.")
        replaced = self.replace_uniform + self.replace_similar
        if not replaced < 1:
            raise BenchError(f"a piece would be replaced with probability {replaced:g}: below 1.")
        if self.inverse_sigmoid and not replaced:
            raise BenchError(
                "inverse-sigmoid is a schedule of replacements: name replace-uniform or "
                "replace-similar, too."
            )

    @classmethod
    def parse(cls, text: str) -> Perturbation | None:
        """Reads `word-dropout=0.1+adversarial=1`, or `none`; commas do, too.

        Raises:
            BenchError: A part is unknown, comes twice, or has no possible number.
        """
        if text.strip() in ("", NONE):
            return None
        known = [_spelled(field.name) for field in dataclasses.fields(cls)]
        values: dict[str, float] = {}
        for part in re.split(r"[+,]", text):
            name, _, number = map(str.strip, part.partition("="))
            if name not in known:
                raise unknown_name("perturbation", name, known, f"Or {NONE}.")
            if name in values:
                raise BenchError(f"perturb={text} says {name} twice.")
            values[name] = _number(name, number)
        return cls(**{name.replace("-", "_"): value for name, value in values.items()})

    def __str__(self) -> str:
        parts = dataclasses.asdict(self).items()
        return "+".join(f"{_spelled(name)}={_shortest(value)}" for name, value in parts if value)

    @property
    def passes(self) -> int:
        """Forward and backward passes of a step."""
        return 2 if self.adversarial else 1

    def replaced(self, rate: float, step: int) -> float:
        """The probability that a piece is replaced at a step.

        Args:
            rate: r, which the schedule rises to.
            step: Optimizer steps that the training has made.
        """
        k = self.inverse_sigmoid
        if not k:
            return rate
        return 1 - max(1 - rate, k / (k + math.exp(min(step / k, 700.0))))


def read_perturb(text: str) -> str:
    """How a protocol says what a text asks for: one spelling each, and nothing for `none`.

    Raises:
        BenchError: It asks for nothing that there is.
    """
    return str(Perturbation.parse(text) or "")


def described() -> list[tuple[str, str]]:
    """Every part as the command line names it, and what it is."""
    fields = dataclasses.fields(Perturbation)
    return [(_spelled(field.name), field.metadata["help"]) for field in fields]


def _shortest(value: float) -> str:
    """A number by its fewest digits; a whole one has no point."""
    return repr(value).removesuffix(".0")


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise BenchError(f"{name}={text}: it takes a positive number, such as {name}=0.1.")
    return number
