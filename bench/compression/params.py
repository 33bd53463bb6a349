"""Knobs and parameters: what of a method can be set, and what tuning may move."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import BenchError, unknown_name

MOST_TUNED = 6
"""Parameters of a method that tuning may move, at most: more of them would need more trials.

That is three of its own, beside what all trained methods share: rate, warm-up and decay.
"""


@dataclass(frozen=True)
class Knob:
    """Range and kind of one parameter.

    Attributes:
        low: Smallest valid value, for numbers.
        high: Largest valid value, for numbers.
        log: Whether tuning searches the logarithm.
        choices: All valid values, for anything but a range.
        tuned: Whether tuning may move it; otherwise only the command line does.
        help: One line for `bench describe`.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] | None = None
    tuned: bool = True
    help: str = ""

    def check(self, name: str, value: Any) -> None:
        """Raises `BenchError` where `value` lies outside what the knob allows."""
        if self.choices is not None:
            if value not in self.choices:
                raise unknown_name(f"value of {name}", str(value), map(spelled, self.choices))
            return
        low, high = self._bounds()
        if not (isinstance(value, int | float) and low <= value <= high and math.isfinite(value)):
            raise BenchError(f"{name}={value} lies outside {low:g} … {high:g}.")

    def nearest(self, value: float) -> float:
        """The valid value that is nearest to a number."""
        if self.choices is not None:
            return float(min(self.choices, key=lambda choice: abs(choice - value)))
        low, high = self._bounds()
        return min(max(value, low), high)

    def objection(self, name: str, default: Any) -> str:
        """What keeps tuning from searching a parameter, or nothing.

        Args:
            name: The parameter.
            default: Its default, which says of which type it is.
        """
        if self.choices is not None:
            odd = [c for c in self.choices if not isinstance(c, int | float | str | None)]
            if odd or not self.choices:
                what = f"the choice {odd[0]!r}" if odd else "no choices"
                return f"{name} has {what}: tuning takes texts, numbers, flags and None"
            return ""
        low, high = self.low, self.high
        if low is None or high is None or not math.isfinite(high - low):
            return f"{name} is to be tuned but has no range"
        if isinstance(default, int) and not (isinstance(low, int) and isinstance(high, int)):
            return f"{name} has a whole number as its default, and so needs whole bounds"
        if low > high:
            return f"{name} has the empty range {low:g} … {high:g}"
        if self.log and low <= 0:
            return f"{name} is searched by its logarithm, and so needs a range above 0"
        return ""

    def _bounds(self) -> tuple[float, float]:
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )


def spelled(value: Any) -> str:
    """A value as the command line takes it; flags are `true` and `false`, as in TOML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def knob(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    choices: Sequence[Any] | None = None,
    tuned: bool = True,
    help: str = "",
) -> Any:
    """Declares a parameter once: its default, its check and its search range.

    Args:
        default: The value without tuning, and the first trial's.
        low: Smallest valid value.
        high: Largest valid value.
        log: Search the logarithm.
        choices: All valid values, instead of a range; a flag has both without them.
        tuned: Let tuning move it. A method has at most six tuned knobs, those of
            `TrainParams` (learning rate, warm-up and decay) among them.
        help: One line for `bench describe`.
    """
    if choices is None and isinstance(default, bool):
        choices = (False, True)
    options = None if choices is None else tuple(choices)
    declared = Knob(low, high, log, options, tuned, help=help)
    return dataclasses.field(default=default, metadata={"knob": declared})


@dataclass(frozen=True, kw_only=True)
class Params:
    """The parameters of a method; subclass it, one `knob` a field."""

    def __post_init__(self) -> None:
        for name, declared in self.knobs().items():
            declared.check(name, getattr(self, name))

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Every parameter's declaration, in order."""
        return {f.name: f.metadata["knob"] for f in dataclasses.fields(cls)}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every parameter's default, in order."""
        return {f.name: f.default for f in dataclasses.fields(cls)}

    @classmethod
    def search_space(cls) -> dict[str, Knob]:
        """The knobs that tuning may move."""
        return {name: declared for name, declared in cls.knobs().items() if declared.tuned}

    @classmethod
    def parse(cls, pins: Mapping[str, str]) -> dict[str, Any]:
        """Turns `name=value` texts of the command line into checked values.

        Raises:
            BenchError: A name is unknown or a value is not one that its knob allows.
        """
        values: dict[str, Any] = {}
        for name, text in pins.items():
            if name not in cls.knobs():
                raise unknown_name("parameter", name, cls.knobs())
            values[name] = _parse(name, text, cls.knobs()[name], cls.defaults()[name])
        return values


def _parse(name: str, text: str, declared: Knob, default: Any) -> Any:
    """One parameter's checked value from its text; its default says of which type it is."""
    value: Any = text
    if declared.choices is not None:
        spellings = {
            s: choice for choice in declared.choices for s in (str(choice), spelled(choice))
        }
        value = spellings.get(text, text)
    else:
        try:
            value = type(default)(text)
        except ValueError:
            raise BenchError(f"{name}={text} is not of type {type(default).__name__}.") from None
    declared.check(name, value)
    return value


@dataclass(frozen=True, kw_only=True)
class TrainParams(Params):
    """What every trained method has in common."""

    learning_rate: float = knob(
        1e-4,
        low=1e-6,
        high=1e-1,
        log=True,
        help="peak of AdamW's; not pinned, 5e-5 from width 768 on, 2e-4 from 128 on, else 4e-3; "
        "searched from a quarter to four times that, and further where the best is at an edge",
    )
    warmup: float = knob(0.1, low=0.0, high=0.2, help="share of the steps with a rising rate")
    weight_decay: float = knob(0.01, low=0.0, high=1.0, tuned=False, help="decoupled, on matrices")
    decay: str = knob("linear", choices=("linear", "constant"), help="shape after warm-up")


@dataclass(frozen=True, kw_only=True)
class TaughtParams(TrainParams):
    """For methods that need no teacher but may have one; `bench.loss_for` makes the loss of it."""

    teacher: Literal["none", "finetuned"] = knob(
        "none", choices=("none", "finetuned"), tuned=False, help="who gives soft labels"
    )
    contrastive: bool = knob(
        False, tuned=False, help="draw sentence vectors to those of earlier models (CAP)"
    )
