"""Claims: what a suite is run for, as its description has it from before its cells ran."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from bench.results.seeds import listed_seeds
from bench.schema import Count, Figure, Name, Positive, check

Plain = Mapping[str, Any]
"""A claim as JSON holds it."""

STATED = ("better", "worse", "tasks", "ratio", "by", "seeds", "versions")
"""Fields that make a claim another one; its sentence and its date do not."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That a method scores higher than others, by more than so many points.

    Attributes:
        better: The method, as the suite names it.
        worse: Those that it is better than; the claim holds only if it is better than each.
        tasks: The tasks whose average counts.
        ratio: Wanted compression.
        by: Points.
        seeds: Report seeds.
        versions: The methods' versions when it was written.
        sentence: The claim in the words of who made it.
        written: When it was first written into the suite: UTC, ISO 8601.
    """

    better: str
    worse: Annotated[tuple[str, ...], Meta(min_length=1)]
    tasks: Annotated[tuple[Name, ...], Meta(min_length=1)]
    ratio: Positive
    by: Figure
    seeds: Annotated[tuple[Count, ...], Meta(min_length=1)]
    versions: dict[str, int]
    sentence: str = ""
    written: str = ""

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that it names."""
        return (self.better, *self.worse)

    def __str__(self) -> str:
        """In words."""
        over = " and than ".join(self.worse)
        margin = f" by more than {self.by:g} points" if self.by else ""
        tasks = f"the average of {', '.join(self.tasks)}" if len(self.tasks) > 1 else self.tasks[0]
        return (
            f"{self.better} is better than {over}{margin} on {tasks} at {self.ratio:g}×, "
            f"{listed_seeds(self.seeds)}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data, which `from_json` reads back."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, plain: Plain) -> Claim:
        """Reads plain data back.

        Raises:
            BenchError: It is no claim.
        """
        return check(plain, cls)


def same_claim(one: Plain, other: Plain) -> bool:
    """Whether two state the same; the order of their lists says nothing."""
    return all(_unordered(one[key]) == _unordered(other[key]) for key in STATED)


def merge_claims(known: Sequence[Plain], new: Sequence[Plain]) -> list[dict[str, Any]]:
    """The claims of two descriptions of a suite: those that were made before stay.

    One that both have keeps its first date, and has the newer sentence. One that was about an older
    version of a method, whose cells the suite has no more, gives way to its like.
    """
    merged = [dict(claim) for claim in known]
    for claim in new:
        for place, other in enumerate(merged):
            if same_claim(claim, other):
                merged[place] = {**claim, "written": min(other["written"], claim["written"])}
                break
            if same_claim(claim, {**other, "versions": claim["versions"]}):
                merged[place] = dict(claim)
                break
        else:
            merged.append(dict(claim))
    return merged


def _unordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value
