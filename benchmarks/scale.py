"""How a large plan would go on a cluster of many nodes: the driver's real code, and a fake clock.

    python benchmarks/scale.py [--cells 100000] [--trials 4] [--nodes 10,100,1000]

Plan, order, queue, turns, choice of nodes and what becomes of lost nodes are those of
`bench run --on HOST:PORT`: the real `ClusterPool` runs, over a Ray that computes nothing. A cell or
trial takes ten minutes on average, one in a hundred takes five times as long, and an hour sees one
node die, which is there again, as another one, ten minutes later. The driver's own processor time
goes by on the fake clock, too. Claims and studies are kept in memory by the rules of the real ones:
no file is read or written, and nothing is sent.

Printed for each number of nodes: the makespan over the ideal, in which every slot that is there is
busy until the work is done; what the driver takes; what was lost or done twice.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import random
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from simulated_cluster import FACTS, MADE, Machine, Ray, seconds_of

from bench.data.tasks.demo import demo_encoder_path
from bench.protocol import Protocol
from bench.results.seeds import TRIAL_SEED
from bench.runs import executor
from bench.runs.cells.cell import Cell, Variant, reference_cell
from bench.runs.cells.claim import Assignment, Claim, Job
from bench.runs.cells.context import Context
from bench.runs.cells.design import first_half
from bench.runs.cluster import nodes, pool
from bench.runs.cluster.pool import ClusterPool
from bench.runs.executor import Clock
from bench.runs.limits import CellLimits
from bench.runs.plan import Selection, plan
from bench.runs.schedule import select

TASKS = ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")
METHODS = ("magnitude", "movement", "soft-movement", "gmp", "platon", "cap", "obert",
           "knowledge-aware")  # fmt: skip
SEEDS, RATIOS = 5, 20


@dataclass
class Held(Claim):
    """A claim that is told what came of it."""

    settled: Callable[[Any], None] = lambda made: None

    def settle(self, made: Any) -> float:
        """Takes note of what came of it."""
        self.settled(made)
        return 0.0


class Claims:
    """Who is at what, and what is done, by the rules of locks and studies, in memory.

    Attributes:
        done: How often each cell was done.
        tried: How often each trial was made.
        failed: Cells and trials that were given up.
        early: What was begun before what it needs was there.
    """

    def __init__(self, trials: Callable[[Cell], int]) -> None:
        self._trials = trials
        self._begun: dict[Cell, set[int]] = defaultdict(set)
        self._ended: dict[Cell, set[int]] = defaultdict(set)
        self._at: set[Cell] = set()
        self.done: Counter[Cell] = Counter()
        self.tried: Counter[tuple[Cell, int]] = Counter()
        self.failed = 0
        self.early: list[Job] = []
        self.work_s = 0.0

    @contextlib.contextmanager
    def claimed(self, job: Job, context: Any) -> Iterator[Any]:
        """As `bench.runs.cells.claim.claimed`."""
        with contextlib.ExitStack() as held:
            yield self._claim(job, held)

    def _is_tuned(self, cell: Cell) -> bool:
        study = dataclasses.replace(cell, seed=TRIAL_SEED)
        return len(self._ended[study]) >= self._trials(study)

    def _claim(self, job: Job, held: contextlib.ExitStack) -> Any:
        cell, dense = job.cell, reference_cell(job.cell)
        if cell != dense and not self._is_tuned(dense):
            return None
        if job.trial:
            return self._trial(cell, held)
        if not self._is_tuned(cell) or cell in self._at:
            return None
        if cell != dense and dense in self._at:
            self.early.append(job)  # two nodes would make the same reference
        self._at.add(cell)
        held.callback(self._at.discard, cell)
        assignment = Assignment(cell, None, None)
        return Held(assignment, settled=lambda made: self._note(made, self.done, cell, assignment))

    def _trial(self, cell: Cell, held: contextlib.ExitStack) -> Any:
        trials, begun, ended = self._trials(cell), self._begun[cell], self._ended[cell]
        index = next((i for i in range(trials) if i not in begun), None)
        if index is None:
            return 0.0 if len(ended) >= trials else None
        first = first_half(trials)
        if index >= first and not ended.issuperset(range(first)):
            return None
        begun.add(index)
        held.callback(lambda: index in ended or begun.discard(index))
        assignment = Assignment(cell, None, None, index)

        def settled(made: Any) -> None:
            ended.add(index)
            self._note(made, self.tried, (cell, index), assignment)

        return Held(assignment, settled=settled)

    def _note(self, made: Any, counter: Counter[Any], what: Any, assignment: Assignment) -> None:
        counter[what] += 1
        self.failed += made != MADE
        self.work_s += seconds_of(assignment)


class Silent:
    """A listener that counts."""

    def __init__(self) -> None:
        self.notes = 0

    def started(self, cell: Cell) -> None:
        """Nothing."""

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        """Nothing."""

    def ended(self, cell: Cell, record: Any) -> None:
        """Nothing."""

    def tried(self, cell: Cell) -> None:
        """Nothing."""

    def note(self, notice: str) -> None:
        """Counts."""
        self.notes += 1


def context_of(runs: Path, trials: int) -> Context:
    """A context of the demo's encoder and rows that are not there."""
    facts = {"fit": 8, "train": 10, "tune": 2}
    tasks: Any = {
        task: SimpleNamespace(task=task, fingerprint=task, facts=facts, folder=runs / task)
        for task in TASKS
    }
    protocol = Protocol(epochs=1, trials=trials, precision="fp32")
    encoder = demo_encoder_path()
    return Context(runs=runs, protocol=protocol, encoder=encoder, weights="0", tasks=tasks,
                   device="cpu", threads=1)  # fmt: skip


def plan_of(cells: int, context: Context) -> list[Cell]:
    """A plan of at least so many cells: methods, each in several variants."""
    each = len(TASKS) * SEEDS * RATIOS * len(METHODS)
    variants = {Variant("dense"): True}
    for copy, name in itertools.product(range(-(-cells // each)), METHODS):
        variants[Variant(name, (("copy", str(copy)),))] = False
    ratios = [1.5 + 0.25 * number for number in range(RATIOS)]
    selection = Selection(variants=variants, tasks=TASKS, ratios=ratios, seeds=range(SEEDS))
    return plan(selection, context.protocol.hash)[: max(cells, len(TASKS) * SEEDS)]


@dataclass(frozen=True)
class Figures:
    """What came of a run.

    Attributes:
        jobs: Cells and trials.
        makespan_s: From the first to the last.
        ideal_s: When the work would be done at the soonest.
        cpu_s: The driver's processor time, that of the simulation included.
        plan_s: What it took of it to plan.
        deaths: Nodes that died.
        missing: Cells and trials that were not done.
        twice: Those that were done more than once.
        failed: Those that were given up.
        early: Those that were begun before what they need was there.
    """

    jobs: int
    makespan_s: float
    ideal_s: float
    cpu_s: float
    plan_s: float
    deaths: int
    missing: int
    twice: int
    failed: int
    early: int


def simulate(cells: int, trials: int, size: int, *, counts: bool = True, seed: int = 0) -> Figures:
    """Runs a plan on a cluster.

    Args:
        cells: Cells of the plan.
        trials: Trials of a study.
        size: Nodes.
        counts: Whether the driver's processor time goes by on the clock.
        seed: Of the deaths.
    """
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        context = context_of(Path(folder), trials)
        planned = plan_of(cells, context)
        todo, _ = select(planned, context, "never")
        planned_s = time.process_time() - begin
        claims = Claims(lambda study: context.bind(study).trials)
        begin = time.process_time()
        machine = Machine(counts=counts)
        ray = Ray(machine, size, random.Random(seed))
        listener = Silent()
        with in_place(machine, ray, claims):
            left = ClusterPool("simulated:1", None, nodes.CellSize(1), CellLimits()).run(
                todo, context, listener, Clock(None)
            )
        cpu_s = time.process_time() - begin
    wanted = Counter(job.cell for job in todo if job.trial)
    missing = left + sum(cell not in claims.done for cell in planned)
    missing += sum(wanted.values()) - len(claims.tried)
    counted = [*claims.done.values(), *claims.tried.values()]
    return Figures(
        jobs=len(todo),
        makespan_s=machine.monotonic(),
        ideal_s=ideal(claims.work_s, ray.capacity),
        cpu_s=cpu_s,
        plan_s=planned_s,
        deaths=ray.deaths,
        missing=missing,
        twice=sum(count > 1 for count in counted),
        failed=claims.failed,
        early=len(claims.early),
    )


@contextlib.contextmanager
def in_place(machine: Machine, ray: Ray, claims: Claims) -> Iterator[None]:
    """Puts the clock, the cluster and the claims where the driver looks for them."""
    connection = SimpleNamespace(ray=ray, base="simulated", scratch="", close=lambda: None)
    arrival = SimpleNamespace(items={}, check=lambda: None, close=lambda: None)

    replaced: dict[tuple[Any, str], Any] = {
        (executor, "time"): machine,
        (nodes, "time"): machine,
        (pool, "time"): machine,
        (pool, "Connection"): lambda *_: connection,
        (pool, "claimed"): claims.claimed,
        (pool, "give_up"): lambda *_: "failed",
        (pool, "Arrival"): lambda *_: arrival,
        (pool.cargo, "needed"): lambda *_: [],
        (pool.cargo, "install"): lambda *_: None,
        (pool.plugins, "packages_of"): lambda *_: {},
        (nodes, "write_json"): lambda *_: None,
        (nodes.remote, "facts"): lambda: FACTS,
        (nodes.Nodes, "only"): lambda self, node: node.id,
    }
    with contextlib.ExitStack() as stack:
        for (where, name), what in replaced.items():
            stack.enter_context(mock.patch.object(where, name, what))
        yield


def ideal(work_s: float, capacity: Sequence[tuple[float, int]]) -> float:
    """When work is done if every slot that is there is busy."""
    done, slots, last = 0.0, 0, 0.0
    for when, change in sorted(capacity):
        if done + slots * (when - last) >= work_s:
            break
        done += slots * (when - last)
        slots, last = slots + change, when
    return last + (work_s - done) / slots


def main() -> None:
    """Prints the table of docs/scale.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--nodes", default="10,100,1000")
    args = parser.parse_args()
    print("| nodes | cells and trials | nodes that died | hours | over the ideal | driver, ms each "
          "| missing, twice, given up, early | memory, MB |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for size in map(int, args.nodes.split(",")):
        seen = simulate(args.cells, args.trials, size)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        wrong = f"{seen.missing}, {seen.twice}, {seen.failed}, {seen.early}"
        driver = f"{1e3 * (seen.cpu_s + seen.plan_s) / seen.jobs:.2f}"
        driver += f" ({1e3 * seen.plan_s / seen.jobs:.2f} of it to plan)"
        print(f"| {size} | {seen.jobs:,} | {seen.deaths} | {seen.makespan_s / 3600:.1f} | "
              f"{seen.makespan_s / seen.ideal_s:.3f} | {driver} | {wrong} | {memory:.0f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
