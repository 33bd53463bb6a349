"""What a run takes where nothing is said, by the group that all of its tasks belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.runs.encoder import DEMO

if TYPE_CHECKING:
    from bench.data.task import Task


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What a group of tasks runs with where nothing is said."""

    methods: tuple[str, ...] = ("all",)
    ratios: tuple[float, ...] = (4.0, 10.0, 20.0)
    effort: str = "standard"
    trials: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    workers: int | None = None
    precision: str = "auto"
    latency: str | None = None


DEMO_METHODS = (
    "knowledge-aware", "magnitude", "movement", "platon", "gmp", "tinybert",
    "random-mask", "small-dense", "int8", "majority", "text-floor", "encoder-floor",
)  # fmt: skip
"""What is compared and the controls, in three minutes on two cores; `all` takes twice as long."""

DEFAULTS = {
    "": Defaults(),
    DEMO: Defaults(
        methods=DEMO_METHODS,
        ratios=(4.0, 20.0),
        trials=0,
        seeds=1,
        epochs=3,
        workers=2,
        precision="fp32",
        latency="torch",
    ),
}
"""By the group that all tasks of a run belong to; the empty name for any other run."""


def common_group(tasks: Mapping[str, Task]) -> str:
    """The group whose defaults hold, if all tasks belong to one that has its own."""
    groups = {task.info.group for task in tasks.values()}
    group = groups.pop() if len(groups) == 1 else ""
    return group if group in DEFAULTS else ""
