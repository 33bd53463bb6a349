"""What the files of ours have to say: declared as types beside what reads them, checked here.

msgspec does the checking. Of the two well-kept libraries that do it for dataclasses as they are, it
adds a quarter of the other's time to the start of a command.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from bench.errors import BenchError
from bench.patterns import ID, NAME

T = TypeVar("T")

Id = Annotated[str, msgspec.Meta(pattern=ID)]
Hash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Name = Annotated[str, msgspec.Meta(pattern=NAME)]
Figure = Annotated[float, msgspec.Meta(ge=-1e100, le=1e100)]
"""A number that has a mean and a sum with others: no measurement comes near its ends."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e100)]
Count = Annotated[int, msgspec.Meta(ge=0)]


def parse_json(data: bytes | str) -> Any:
    """Plain data from JSON: no NaN, no infinity, no number or nesting that does not fit.

    Raises:
        ValueError: It is none.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def check(data: Any, kind: type[T]) -> T:
    """Plain data as the type that it has to be of; fields that the type does not know are let be.

    Raises:
        BenchError: It is not of the type: field and reason.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise BenchError(_reason(str(error))) from None
    except RecursionError:
        raise BenchError("it is nested too deep") from None


def is_of(data: Any, kind: type[Any]) -> bool:
    """Whether plain data is of a type."""
    try:
        check(data, kind)
    except BenchError:
        return False
    return True


def _reason(said: str) -> str:
    """Msgspec's message, the field first."""
    what, _, place = said.partition(" - at `")
    field = place.rstrip("`").removeprefix("$").removeprefix(".")
    return f"{field}: {what[0].lower()}{what[1:]}" if field else f"{what[0].lower()}{what[1:]}"
