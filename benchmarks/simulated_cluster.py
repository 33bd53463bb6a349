"""A Ray that computes nothing, on a clock that goes from event to event: for `scale.py`."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.runs.cells.claim import Assignment

SLOTS = 8
"""Cells that a node computes at once."""

MEAN_S, STRAGGLERS, SLOWNESS = 600.0, 0.01, 5.0
"""Seconds of a cell, the share of those that take longer, and how many times as long."""

DEATHS_S, AWAY_S, TOLD_S = 3600.0, 600.0, 15.0
"""Between two deaths of nodes, until a new one is there, and until Ray tells of a dead one."""


class Machine:
    """A clock that goes on from event to event, and by what the driver computes.

    Args:
        counts: Whether the driver's own processor time goes by, which no two runs share.
    """

    def __init__(self, *, counts: bool) -> None:
        self._counts, self._now, self._mark = counts, 0.0, time.process_time()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()

    def monotonic(self) -> float:
        """Seconds since the begin."""
        if self._counts:
            mark = time.process_time()
            self._now += mark - self._mark
            self._mark = mark
        return self._now

    def sleep(self, seconds: float) -> None:
        """Lets time go by, and what happens meanwhile."""
        self.advance(self.monotonic() + seconds, until=lambda: False)

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Lets something happen."""
        heapq.heappush(self._events, (when, next(self._number), event))

    def advance(self, end: float, until: Callable[[], bool]) -> None:
        """Goes on to a time, or until an event has made a difference."""
        while self._events and self._events[0][0] <= max(end, self.monotonic()):
            when, _, event = heapq.heappop(self._events)
            self._now = max(self._now, when)
            event()
            if until():
                return
        self._now = max(self._now, end)


@dataclass(eq=False)
class Ref:
    """An object of Ray's."""

    value: Any


@dataclass(eq=False)
class Stream:
    """A cell or trial that a node computes, as what it has said and not been heard of."""

    node: str
    heard: Callable[[Stream], None]
    said: list[Any] = field(default_factory=list)
    is_gone: bool = False

    def __next__(self) -> Ref:
        if not self.said:
            self.heard(self)
            raise StopIteration
        return Ref(self.said.pop(0))


class Ray:
    """What the driver uses of Ray, with nodes that come and die and compute nothing."""

    def __init__(self, machine: Machine, size: int, rng: random.Random) -> None:
        self._machine, self._rng = machine, rng
        self._numbers = itertools.count(1)
        self._alive: dict[str, bool] = {}
        self._told: dict[str, bool] = {}
        self._streams: dict[str, set[Stream]] = defaultdict(set)
        self._ready: dict[Stream, None] = {}
        self.size, self.deaths = size, 0
        self.capacity: list[tuple[float, int]] = []
        for _ in range(size):
            self._come()
        machine.at(DEATHS_S, self._die)

    def _come(self) -> None:
        name = f"{next(self._numbers):08d}"
        self._alive[name] = self._told[name] = True
        self.capacity.append((self._machine.monotonic(), SLOTS))

    def _die(self) -> None:
        now = self._machine.monotonic()
        name = self._rng.choice([name for name, is_alive in self._alive.items() if is_alive])
        self._alive[name] = False
        self.deaths += 1
        self.capacity.append((now, -SLOTS))
        for stream in self._streams.pop(name, ()):
            stream.is_gone = True
            self._ready.pop(stream, None)
        self._machine.at(now + TOLD_S, lambda: self._told.update({name: False}))
        self._machine.at(now + DEATHS_S, lambda: self._told.pop(name))
        self._machine.at(now + AWAY_S, self._come)
        self._machine.at(now + DEATHS_S, self._die)

    def nodes(self) -> list[dict[str, Any]]:
        """As Ray says it."""
        return [
            {"NodeID": name, "Alive": is_alive, "NodeManagerAddress": name,
             "Resources": {"CPU": float(SLOTS)}}
            for name, is_alive in self._told.items()
        ]  # fmt: skip

    def remote(self, **how: Any) -> Callable[[Callable[..., Any]], Any]:
        """A remote function."""
        is_work = how.get("num_returns") == "streaming"

        def options(scheduling_strategy: str) -> Any:
            return SimpleNamespace(remote=lambda *args: self._begin(scheduling_strategy, args))

        return lambda function: SimpleNamespace(
            options=options if is_work else lambda **_: SimpleNamespace(remote=lambda: Ref(FACTS))
        )

    def _begin(self, node: str, args: Sequence[Any]) -> Stream:
        (_, assignment), stream = args[1][0].value, Stream(node, self._leave)
        if not self._alive[node]:  # it is not told yet
            stream.is_gone = True
            return stream
        self._streams[node].add(stream)
        self._machine.at(
            self._machine.monotonic() + seconds_of(assignment), lambda: self._end(stream)
        )
        return stream

    def _end(self, stream: Stream) -> None:
        if not stream.is_gone:
            stream.said = [("started",), ("made", MADE, [])]
            self._ready[stream] = None

    def wait(
        self, asked: Sequence[Any], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Any], list[Any]]:
        """What has something to say."""
        if isinstance(asked[0], Ref):
            return list(asked), []
        if not self._ready:
            end = self._machine.monotonic() + timeout
            self._machine.advance(end, until=lambda: bool(self._ready))
        return list(self._ready), []

    def get(self, ref: Ref, timeout: float = 0.0) -> Any:
        """An object's value."""
        return ref.value

    def put(self, value: Any) -> Ref:
        """An object."""
        return Ref(value)

    def cancel(self, stream: Stream, force: bool) -> None:
        """Ends a computation."""
        stream.is_gone = True
        self._leave(stream)

    def _leave(self, stream: Stream) -> None:
        self._streams[stream.node].discard(stream)
        self._ready.pop(stream, None)


MADE = "made"
"""What comes of a cell or trial."""

FACTS = {"bench": "0", "sources": "0", "python": "3", "packages": {}, "processor": "one"}


def seconds_of(assignment: Assignment) -> float:
    """How long a cell or trial takes, the same at each time."""
    rng = random.Random(f"{assignment.cell} {assignment.index}")
    took = rng.lognormvariate(0.0, 0.5) / 1.1331 * MEAN_S  # whose mean is exp(0.5² / 2)
    return took * (SLOWNESS if rng.random() < STRAGGLERS else 1.0)
