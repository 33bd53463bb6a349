"""Cells and trials on the nodes of a Ray cluster: an executor.

The queue, the claims and the studies stay in this process, the driver, which alone writes the run
folder. A node computes one cell or trial at a time in each of its slots, in a folder of its own,
and sends back what it made. What a node or a worker process that died was at is begun anew, once:
what is lost twice is taken for what kills them, and recorded as failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.environment import DEFAULTS
from bench.errors import BenchError
from bench.files import remove
from bench.results.record import Record, now
from bench.results.status import NODES
from bench.results.store import Store
from bench.runs.cells.claim import Claim, Job, StorageError, claimed, storage_errors
from bench.runs.cells.failure import give_up
from bench.runs.cells.study import TrialFailure
from bench.runs.cluster import cargo, plugins
from bench.runs.cluster import node as remote
from bench.runs.cluster.connection import Connection, how_it_died
from bench.runs.cluster.flight import (
    NODE_BLAME,
    Errand,
    Flight,
    Losses,
    LostError,
    blame_of,
)
from bench.runs.cluster.freight import Arrival, Item
from bench.runs.cluster.nodes import CellSize, Node, Nodes
from bench.runs.cluster.stock import Stock
from bench.runs.cluster.turns import Turns
from bench.runs.executor import POLL_S, Clock, Listener, Queue, tell_end
from bench.runs.limits import CellLimits, LimitError

if TYPE_CHECKING:
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import BoundCell, Context

LOOK_S = 0.2
"""How long jobs are looked through at once for one that can begin."""

NO_NODE_S = 300.0
"""How long a run waits for a node where all are gone."""

MOST_EVENTS = 10
"""How often in a second progress is told by all nodes together."""

PART_S = 60.0
"""How long a part of a file may take to come."""


class ClusterPool:
    """Nodes of a Ray cluster.

    Args:
        on: `ray` for an instance on this machine, or `HOST:PORT` of a cluster.
        most: Cells at once, at most; as many as the nodes have room for, if it is `None`.
        size: What a cell takes of a node.
        limits: What it may take of time and memory.

    Raises:
        BenchError: Ray is not installed, cannot be started, or there is no such cluster.
    """

    def __init__(self, on: str, most: int | None, size: CellSize, limits: CellLimits) -> None:
        gpus = len(machine.visible_gpus()) if size.per_gpu else 0
        self._connection = Connection(on, (most or 1) * size.threads, gpus)
        self._ray = self._connection.ray
        self._most, self._size, self._limits = most, size, limits
        resources = {"num_cpus": size.threads, "num_gpus": size.gpu_share}
        streams = {"max_retries": 0, "num_returns": "streaming", **resources}
        # A process that is kept goes on with the GPU that it was given first, whose it may be now.
        kept = 1 if size.per_gpu else 0
        self._compute = self._ray.remote(max_calls=kept, **streams)(remote.compute)
        # A process that has run a plugin's method runs nothing else.
        self._compute_once = self._ray.remote(max_calls=1, **streams)(remote.compute)
        self._stock = Stock(self._ray)
        self._flights: dict[Any, Flight] = {}
        self._losses = Losses()
        self._processors: dict[tuple[str, int], str] = {}
        self._turns = Turns(())
        self._carried: dict[str, dict[str, list[Item]]] = {}
        self._nodes: Nodes | None = None
        self._folder = ""
        self._node_seen_at = time.monotonic()

    def run(self, todo: Sequence[Job], context: Context, listener: Listener, clock: Clock) -> int:
        """Runs jobs, once; see `Executor.run`."""
        self._folder = f"bench-{os.getuid()}-{Store(context.runs).identity()[:12]}"
        self._nodes = Nodes(self._connection, self._size, listener.note)
        self._nodes.meet()
        self._turns = Turns(todo)
        errand = Errand(context, listener, clock, Queue(todo))
        with Store(context.runs).lock(NODES):
            try:
                return self._run(errand)
            finally:
                remove(context.runs / f"{NODES}.json", context.runs)

    def _run(self, errand: Errand) -> int:
        while True:
            for node in self._watched(errand):
                for flight in [f for f in self._flights.values() if f.node is node]:
                    self._lose(flight, f"{node} was lost", errand, NODE_BLAME)
            self._fill(errand)
            with storage_errors(errand.context):
                self._used_nodes.tell(errand.context.runs)
            if not self._flights and not (errand.queue and errand.clock.has_time()):
                return len(errand.queue)
            for flight in self._ready():
                self._hear(flight, errand)

    def _watched(self, errand: Errand) -> list[Node]:
        nodes = self._used_nodes
        gone = nodes.watch()
        now = time.monotonic()
        if any(node.state in ("used", "new") for node in nodes):
            self._node_seen_at = now
        elif now - self._node_seen_at > NO_NODE_S:
            reasons = dict.fromkeys(node.reason or f"{node} is lost" for node in nodes)
            raise BenchError(f"no node is left to compute on: {'; '.join(reasons)}.")
        return gone

    @property
    def _used_nodes(self) -> Nodes:
        assert self._nodes is not None  # noqa: S101 - set before anything runs
        return self._nodes

    def _fill(self, errand: Errand) -> None:
        """Gives free slots what can begin; jobs that cannot yet are put off."""
        stop_at = time.monotonic() + LOOK_S
        while (
            (self._most is None or len(self._flights) < self._most)
            and any(node.is_free for node in self._used_nodes)
            and time.monotonic() < stop_at
            and errand.clock.has_time()
            and (job := errand.queue.take()) is not None
        ):
            self._begin(job, errand)

    def _begin(self, job: Job, errand: Errand) -> None:
        """Claims a job and sends it to a node, where both can be had."""
        bound = errand.context.bind(job.cell)
        if (wanted := self._turns.waits_for(job, bound)) is not None:
            errand.queue.put_off(job, wanted)
            return
        block = (job.cell.task, job.cell.seed)
        of_block = None if job.trial else self._processors.get(block)
        node = self._used_nodes.choose(block, of_block, self._losses.nodes(job.cell))
        if node is None:
            errand.queue.put_off(job)
            return
        with contextlib.ExitStack() as stack, storage_errors(errand.context):
            claim = stack.enter_context(claimed(job, errand.context))
            if claim is None:
                errand.queue.put_off(job)
            elif isinstance(claim, Claim):
                self._send(job, bound, claim, stack.pop_all(), node, errand)
            else:
                self._end(bound, job, claim, errand)

    def _end(
        self,
        bound: BoundCell,
        job: Job,
        settled: Record | float,
        errand: Errand,
        files: Iterable[str] | None = None,
    ) -> None:
        """Tells of a job that has ended, and lets those go on that have waited for it."""
        for what in self._turns.ended(job, bound, files):
            errand.queue.release(what)
        tell_end(job.cell, settled, errand.listener)

    def _send(
        self,
        job: Job,
        bound: BoundCell,
        claim: Claim,
        held: contextlib.ExitStack,
        node: Node,
        errand: Errand,
    ) -> None:
        packages = self._packages(job.cell, errand.context)
        flight = Flight(
            job=job,
            bound=bound,
            claim=claim,
            held=held,
            node=node,
            items=[
                *cargo.needed(claim.assignment, errand.context),
                *itertools.chain(*packages.values()),
            ],
            plugins=list(packages),
            # Studies stay here, and so does the password of where they are kept.
            work=[
                self._ray.put((dataclasses.replace(errand.context, storage=None), claim.assignment))
            ],
        )
        node.blocks.add((job.cell.task, job.cell.seed))
        if not job.trial:
            self._processors.setdefault((job.cell.task, job.cell.seed), node.processor)
        self._submit(flight, errand)

    def _packages(self, cell: Cell, context: Context) -> dict[str, list[Item]]:
        if cell.method not in self._carried:
            scratch = Path(self._connection.scratch)
            self._carried[cell.method] = plugins.packages_of(cell.method, context, scratch)
        return self._carried[cell.method]

    def _submit(self, flight: Flight, errand: Errand) -> None:
        once = errand.context.is_plugin(flight.job.cell)
        task = self._compute_once if once else self._compute
        parcel = remote.Parcel(
            folder=self._folder,
            base=self._connection.base,
            items=flight.items,
            plugins=flight.plugins,
            limits=self._limits,
            tell_s=max(remote.TELL_S, len(self._flights) / MOST_EVENTS),
            variables={
                **{name: os.environ.get(name, value) for name, value in DEFAULTS.items()},
                **dict.fromkeys(machine.POOLS, str(self._size.threads)),
                "HF_HUB_OFFLINE": "1",  # all that it reads is sent to it
            },
        )
        strategy = self._used_nodes.only(flight.node)
        flight.stream = task.options(scheduling_strategy=strategy).remote(
            parcel, flight.work, self._stock.of(flight.items)
        )
        self._flights[flight.stream] = flight
        flight.node.busy += 1
        self._turns.begins(flight.job, flight.bound.context)

    def _ready(self) -> list[Flight]:
        """The flights that have something to say, within a poll's time."""
        if not self._flights:
            time.sleep(POLL_S)
            return []
        streams = list(self._flights)
        ready, _ = self._ray.wait(streams, num_returns=1, timeout=POLL_S)
        if ready:  # and those that have beside it
            ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0)
        return [self._flights[stream] for stream in ready]

    def _hear(self, flight: Flight, errand: Errand) -> None:
        """Hears one event of a flight."""
        if flight.stream not in self._flights:
            return
        try:
            kind, *said = self._ray.get(next(flight.stream), timeout=PART_S)
        except StopIteration:
            self._land(flight, errand)
        except Exception as error:  # of Ray: of its workers, its nodes, or what could not be sent
            how = f"{flight.node}: {how_it_died(error)}"
            self._lose(flight, how, errand, blame_of(error))
        else:
            with storage_errors(errand.context):
                self._tell(flight, kind, said, errand)

    def _tell(self, flight: Flight, kind: str, said: list[Any], errand: Errand) -> None:
        cell = flight.job.cell
        if kind == "started":
            if not flight.has_begun:
                errand.listener.started(cell)
            flight.has_begun = True
        elif kind == "progress":
            errand.listener.progressed(cell, said[0], said[1])
        elif kind == "lacks":
            self._remove(flight)
            self._stock.add(item for item in flight.items if item.path in said[0])
            self._submit(flight, errand)
        elif kind == "made":
            flight.result = said[0]
            flight.arrival = Arrival(errand.context.runs, said[1])
        elif kind == "part" and flight.arrival is not None:
            flight.arrival.take(said[0], said[1])
        elif kind == "excess":
            self._give_up(flight, LimitError(said[0]), errand)
        elif kind == "broke":
            self._give_up(flight, LostError(said[0]), errand, said[1])
        elif kind == "lost":
            self._lose(flight, f"{flight.node}: {said[0]}", errand)
        elif kind == "full":
            self._leave(flight, said[0], errand)
        elif kind == "stop":
            raise BenchError(said[0])

    def _land(self, flight: Flight, errand: Errand) -> None:
        """Takes what came of a flight into the run folder."""
        if flight.result is None or flight.arrival is None:
            self._lose(flight, f"{flight.node} ended it without a word", errand)
            return
        try:
            flight.arrival.check()
        except BenchError as error:
            self._lose(flight, f"{flight.node}: {error}", errand)
            return
        self._remove(flight)
        flight.node.in_vain = 0
        result, assignment = flight.result, flight.claim.assignment
        if isinstance(result, Record):  # whose node may have another clock
            result = dataclasses.replace(result, created=now())
        with contextlib.ExitStack() as stack, storage_errors(errand.context):
            stack.callback(flight.drop)
            cargo.install(flight.arrival, assignment, errand.context, result)
            settled = flight.claim.settle(result)
        self._losses.forget(flight.job.cell)
        read = [item.path for item in flight.items]
        errand.clock.ended(settled)
        self._end(flight.bound, flight.job, settled, errand, [*read, *flight.arrival.items])

    def _remove(self, flight: Flight) -> None:
        """Takes a flight from those that are heard."""
        del self._flights[flight.stream]
        flight.node.busy -= 1
        self._turns.stops(flight.job, flight.bound.context)

    def _leave(self, flight: Flight, line: str, errand: Errand) -> None:
        """Uses a node no more whose disk is full; what it was at is done elsewhere."""
        node = flight.node
        if node.state == "used":
            self._used_nodes.refuse(node, f"{node} cannot be written to ({line})")
        self._remove(flight)
        flight.drop()
        errand.queue.put_back(flight.job)
        if not any(one.state in ("used", "new") for one in self._used_nodes):
            raise StorageError(f"{node.reason}, and no other node is left.")

    def _lose(self, flight: Flight, how: str, errand: Errand, blame: float = 1.0) -> None:
        """Begins a flight anew whose worker or node died, or gives it up if that is its way."""
        self._used_nodes.lose(flight.node)
        if times := self._losses.add(flight, blame):
            self._give_up(flight, LostError(f"lost {times} times: {how}"), errand)
            return
        self._abandon(flight)
        flight.drop()
        errand.queue.put_back(flight.job)

    def _give_up(
        self, flight: Flight, error: BenchError, errand: Errand, details: str = ""
    ) -> None:
        """Records a cell, or counts a trial, as failed."""
        self._abandon(flight)
        job = flight.job
        with contextlib.ExitStack() as stack, storage_errors(errand.context):
            stack.callback(flight.drop)
            made: Any = TrialFailure(str(error))
            if not job.trial:
                made = give_up(flight.bound, error, job.replaces, details)
            settled = flight.claim.settle(made)
        self._end(flight.bound, job, settled, errand)

    def _abandon(self, flight: Flight) -> None:
        """Ends what a node computes; what it still says is not heard."""
        self._remove(flight)
        with contextlib.suppress(Exception):  # it is gone, or its node
            self._ray.cancel(flight.stream, force=True)

    def close(self) -> None:
        """Ends what still runs, and leaves no folder on nodes that are there."""
        for flight in list(self._flights.values()):
            self._abandon(flight)
            flight.drop()
        with contextlib.suppress(Exception):
            self._sweep()
        self._connection.close()

    def _sweep(self) -> None:
        if self._nodes is None or self._connection.base is not None:
            return
        sweep = self._ray.remote(max_retries=0, num_cpus=0)(remote.sweep)
        swept = [
            sweep.options(scheduling_strategy=self._nodes.only(node)).remote(self._folder, None)
            for node in self._nodes
            if node.state in ("used", "refused") and node.slots
        ]
        self._ray.wait(swept, num_returns=len(swept), timeout=2 * remote.LEAVE_S)
