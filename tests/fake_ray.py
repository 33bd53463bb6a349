"""What of Ray the cluster executor uses, in this process: nodes are names, and faults are set."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any


class WorkerCrashedError(Exception):
    """As Ray names it."""


class OutOfMemoryError(Exception):
    """As Ray names it."""


class NodeDiedError(Exception):
    """As Ray names it."""


@dataclass(eq=False)
class Ref:
    value: Any = None
    error: BaseException | None = None


@dataclass(eq=False)
class Stream:
    """A task that yields: a step of it is made when it is heard."""

    ray: FakeRay
    node: str
    made: Iterator[Any]
    fault: BaseException | None = None

    def __next__(self) -> Ref:
        self.ray.here = self.node
        if self.fault is not None:
            fault, self.fault = self.fault, None
            self.made = iter(())
            return Ref(error=fault)
        return Ref(next(self.made))


@dataclass(eq=False)
class Task:
    ray: FakeRay
    function: Callable[..., Any]
    how: dict[str, Any]

    def options(self, scheduling_strategy: Any) -> Task:
        return Task(self.ray, self.function, {**self.how, "node": scheduling_strategy})

    def remote(self, *args: Any) -> Any:
        self.ray.here = self.how["node"]
        if self.how.get("num_returns") != "streaming":
            return self.ray.answers.get(self.ray.here) or Ref(self.function(*args))
        fault = self.ray.faults.pop(0) if self.ray.faults else None
        self.ray.begun.append(self.ray.here)
        return Stream(self.ray, self.ray.here, self.function(*args), fault)


@dataclass(eq=False)
class FakeRay(ModuleType):
    """The module.

    Attributes:
        cores: Cores of each node, by its name.
        gpus: GPUs of nodes, as Ray says of which kind they are and how many.
        dead: Nodes that are gone.
        faults: What becomes of the next cells and trials, one each; `None` for nothing.
        answers: What nodes say of themselves, where it is not what this process is.
        begun: The node of each cell and trial.
        cancelled: How many were ended.
        stored: What was put into its object store.
        here: The node that computes.
    """

    cores: dict[str, int] = field(default_factory=lambda: {"a": 1, "b": 1})
    gpus: dict[str, dict[str, float]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    faults: list[BaseException | None] = field(default_factory=list)
    answers: dict[str, Ref] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    cancelled: int = 0
    stored: list[Any] = field(default_factory=list)
    here: str = ""

    def __post_init__(self) -> None:
        super().__init__("ray")

    def __hash__(self) -> int:
        return id(self)

    def remote(self, **how: Any) -> Callable[[Callable[..., Any]], Task]:
        return lambda function: Task(self, function, how)

    def put(self, value: Any) -> Ref:
        self.stored.append(value)
        return Ref(value)

    def get(self, ref: Ref, timeout: float = 0.0) -> Any:
        if ref.error is not None:
            raise ref.error
        return ref.value

    def wait(
        self, refs: Sequence[Any], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Any], list[Any]]:
        return list(refs)[:num_returns], list(refs)[num_returns:]

    def cancel(self, stream: Stream, force: bool) -> None:
        self.cancelled += 1

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "Alive": name not in self.dead, "NodeManagerAddress": f"host-{name}",
             "Resources": {"CPU": float(cores), **self.gpus.get(name, {})}}
            for name, cores in self.cores.items()
        ]  # fmt: skip

    def get_runtime_context(self) -> FakeRay:
        return self

    def get_node_id(self) -> str:
        return self.here


class FakeConnection:
    """A connection to it."""

    def __init__(self, ray: FakeRay, base: Path) -> None:
        self.ray, self.base, self.scratch = ray, str(base / "nodes"), base / "scratch"
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def put_in_place(monkeypatch: Any, ray: FakeRay, base: Path) -> FakeConnection:
    """Lets `--on ray` run on it."""
    connection = FakeConnection(ray, base)
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda node, soft: node  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    monkeypatch.setattr("bench.runs.cluster.pool.Connection", lambda *_: connection)
    monkeypatch.setattr("bench.runs.cluster.connection.check_place", lambda on: None)
    return connection
