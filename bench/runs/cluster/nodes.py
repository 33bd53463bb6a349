"""The nodes of a cluster as the driver sees them: which there are, and which of them it uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import write_json
from bench.results.status import NODES
from bench.runs.cluster import node as remote
from bench.runs.cluster.connection import DEATHS, how_it_died

if TYPE_CHECKING:
    from bench.runs.cluster.connection import Connection

WATCH_S = 2.0
"""How often nodes are looked at."""

TELL_S = 1.0
"""How often it is written down what they are at."""

GREETED_S = 180.0
"""How long a node may take to say what it is: on a loaded one, torch is imported for a minute."""

GPU_KIND = "accelerator_type:"
"""How the resources begin by which Ray says what GPUs a node has."""

MOST_IN_VAIN = 3
"""Computations that a node may lose one after the other, before it is used no more."""


@dataclass(frozen=True)
class CellSize:
    """What a cell takes of a node.

    Attributes:
        threads: Cores.
        per_gpu: Cells that share a GPU; none where they compute on the processor.
    """

    threads: int
    per_gpu: int = 0

    @property
    def gpu_share(self) -> float:
        """The part of a GPU, as Ray counts it: in ten thousandths, which must not exceed one."""
        return 10_000 // self.per_gpu / 10_000 if self.per_gpu else 0.0

    def fit(self, resources: Mapping[str, float]) -> int:
        """How many fit on a node at once."""
        slots = int(resources.get("CPU", 0) // self.threads)
        return min(slots, int(resources.get("GPU", 0)) * self.per_gpu) if self.per_gpu else slots

    def __str__(self) -> str:
        gpu = {0: "", 1: " and a GPU"}.get(self.per_gpu, " and a part of a GPU")
        return f"{self.threads} cores{gpu}"


@dataclass(eq=False)
class Node:
    """A machine of the cluster.

    Attributes:
        id: Ray's name of it.
        address: Its address.
        slots: How many cells it computes at once.
        state: `new` until it has said what it is, then `used`; `refused` where it cannot be used;
            `lost` where it is gone, or was from the beginning.
        reason: Why it is refused.
        gpus: Kinds of its GPUs, where cells compute on them.
        processor: What its cells compute on: its GPUs, if Ray knows them, or its processor.
        busy: Slots that are in use.
        in_vain: Computations that it lost since the last one that came to an end.
        blocks: Tasks and seeds that it has computed cells of, whose files it has.
    """

    id: str
    address: str
    slots: int
    state: str = "new"
    reason: str = ""
    gpus: str = ""
    processor: str = ""
    busy: int = 0
    in_vain: int = 0
    blocks: set[tuple[str, int]] = field(default_factory=set)

    def __str__(self) -> str:
        return f"node {self.address} ({self.id[:8]})"

    @property
    def is_free(self) -> bool:
        """Whether it takes one more cell."""
        return self.state == "used" and self.busy < self.slots


class Nodes:
    """The nodes of a cluster.

    Args:
        connection: The driver's.
        size: What a cell takes.
        note: Told of what the user should know.
    """

    def __init__(self, connection: Connection, size: CellSize, note: Callable[[str], None]) -> None:
        self._connection, self._ray = connection, connection.ray
        self._size, self._note = size, note
        self._all: dict[str, Node] = {}
        self._greetings: dict[Any, Node] = {}
        self._own: dict[str, Any] = {}
        self._watch_at, self._tell_at, self._is_met = 0.0, 0.0, False
        self._told: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[Node]:
        return iter(self._all.values())

    def meet(self) -> None:
        """Waits until every node has said what it is, before anything runs.

        Raises:
            BenchError: One is another than this machine where that may not be, or none has room
                for a cell.
        """
        self._own = remote.facts()
        self.watch()
        if not any(node.slots for node in self):
            sizes = ", ".join(f"{node.address} has {self._cores(node)}" for node in self)
            raise BenchError(
                f"a cell takes {self._size} (--threads), and no node has them: {sizes}."
            )
        deadline = time.monotonic() + GREETED_S
        while self._greetings and time.monotonic() < deadline:
            self._hear_greetings(timeout=1.0)
        for node in self:
            if node.state == "refused":
                raise BenchError(f"{node.reason}.")
        if not any(node.state == "used" for node in self):
            raise BenchError("no node of the cluster answers.")
        self._is_met = True

    def _cores(self, node: Node) -> str:
        found = next(one for one in self._ray.nodes() if one["NodeID"] == node.id)["Resources"]
        gpus = f" and {found['GPU']:g} GPUs" if self._size.per_gpu and "GPU" in found else ""
        return f"{found.get('CPU', 0):g}{gpus}"

    def watch(self) -> list[Node]:
        """Looks for nodes that have come or gone, now and then; returns those that are gone."""
        if self._greetings:
            self._hear_greetings(timeout=0.0)
        if time.monotonic() < self._watch_at:
            return []
        self._watch_at = time.monotonic() + WATCH_S
        gone = []
        for said in self._ray.nodes():
            node = self._all.get(said["NodeID"])
            if node is None and said["Alive"]:
                self._greet(said)
            elif node is not None and not said["Alive"] and node.state != "lost":
                if node.state == "used":
                    self._note(f"{node} is lost; what it was at is begun anew.")
                node.state = "lost"
                gone.append(node)
        return gone

    def _greet(self, said: dict[str, Any]) -> None:
        resources = said["Resources"]
        slots = self._size.fit(resources)
        node = Node(said["NodeID"], said["NodeManagerAddress"], slots)
        if self._size.per_gpu:
            node.gpus = ", ".join(
                sorted(name.removeprefix(GPU_KIND) for name in resources if GPU_KIND in name)
            )
        self._all[node.id] = node
        if not slots:
            return
        ask = self._ray.remote(max_retries=0, num_cpus=0)(_greeting())
        self._greetings[ask.options(scheduling_strategy=self.only(node)).remote()] = node

    def only(self, node: Node) -> Any:
        """The strategy that places a task on one node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node.id, soft=False)

    def _hear_greetings(self, timeout: float) -> None:
        asked = list(self._greetings)
        ready, _ = self._ray.wait(asked, num_returns=len(asked), timeout=timeout)
        for greeting in ready:
            node = self._greetings.pop(greeting)
            try:
                said = self._ray.get(greeting, timeout=GREETED_S)
            except Exception as error:
                if type(error).__name__ in DEATHS:  # which says nothing of what is installed
                    self._note(f"{node} does not say what it is: {how_it_died(error)}. "
                               "It is not used.")  # fmt: skip
                    node.state = "lost"
                    continue
                # It is another Python altogether.
                said = {"error": str(error).strip().rpartition("\n")[2]}
            if node.state == "new":
                self._judge(node, said)

    def _judge(self, node: Node, said: dict[str, Any]) -> None:
        """Takes a node into use, or refuses it."""
        own = self._own
        if "error" in said:
            self.refuse(node, f"{node} cannot be used: {said['error']}; this machine has "
                              f"{_version(own)}: install the same on every node")  # fmt: skip
            return
        keys = ("bench", "sources", "python")
        if [said[key] for key in keys] != [own[key] for key in keys]:
            self.refuse(node, f"{node} has {_version(said)}, this machine {_version(own)}: "
                              "install the same on every node")  # fmt: skip
            return
        other = [name for name, v in own["packages"].items() if said["packages"].get(name) != v]
        if other:
            named = ", ".join(
                f"{name} {said['packages'].get(name)}, not {own['packages'][name]}"
                for name in other
            )
            self._note(f"{node} has {named}: its scores may differ in their last digits.")
        node.state, node.processor = "used", node.gpus or said["processor"]

    def refuse(self, node: Node, reason: str) -> None:
        """Uses a node no more, or not at all."""
        if node.state == "used":
            self._note(f"{reason}: it is used no more.")
        elif self._is_met:  # else it is an error
            self._note(f"{reason}.")
        node.state, node.reason = "refused", reason

    def lose(self, node: Node) -> None:
        """Takes note of a computation that a node has lost."""
        node.in_vain += 1
        if node.state == "used" and node.in_vain == MOST_IN_VAIN:
            self.refuse(node, f"{node} has lost {MOST_IN_VAIN} cells one after the other")

    def choose(
        self, block: tuple[str, int], processor: str | None, avoid: Iterable[str]
    ) -> Node | None:
        """A node for a cell.

        Args:
            block: Its task and seed.
            processor: The kind that the block's other cells ran on, if they are to share one.
            avoid: Nodes that have lost it before.

        Returns:
            One that has the block's files already, or else the freest; `None` where none fits now.
        """
        used = [node for node in self if node.state == "used"]
        same = [node for node in used if processor in (None, node.processor)] or used
        fitting = [node for node in same if node.id not in avoid] or same
        free = [node for node in fitting if node.is_free]
        return max(
            free, key=lambda node: (block in node.blocks, node.slots - node.busy), default=None
        )

    def tell(self, runs: Path) -> None:
        """Writes into the run folder for `bench status`, now and then, what they are at.

        Raises:
            OSError: The folder cannot be written.
        """
        if time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + TELL_S
        if (said := self._described()) != self._told:
            write_json(runs / f"{NODES}.json", {"nodes": said})
            self._told = said

    def _described(self) -> list[dict[str, Any]]:
        return [
            {"address": node.address, "id": node.id[:8], "processor": node.processor,
             "state": node.state, "busy": node.busy, "slots": node.slots}
            for node in self if node.slots
        ]  # fmt: skip


def _version(said: dict[str, Any]) -> str:
    return f"bench {said['bench']} (sources {said['sources']}) with Python {said['python']}"


def _greeting() -> Callable[[], dict[str, Any]]:
    """A function that travels as it is, since a node may have another bench, or none."""

    def greet() -> dict[str, Any]:
        try:
            from bench.runs.cluster.node import facts

            return facts()
        except Exception as error:
            import platform

            try:
                from importlib.metadata import version

                has = f"bench {version('prunebench')}"
            except Exception:
                has = "no bench"
            return {"error": f"it has {has}, Python {platform.python_version()} ({error})"}

    return greet
