"""A run told to trackers, a run of theirs a cell: while cells end, or from records afterwards.

A cell is told of once it has a record, and from that alone. Trackers hold no truth: what they miss
is told later from the records, and what one cannot take stops nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, kind_and_line
from bench.files import json_hash, read_json, write_json
from bench.results.record import MEASURED, Record, outcome
from bench.results.studies import suite_studies
from bench.results.suites import SUITES, opened, read_suite
from bench.runs.trackers import check_trackers, destination, tell

if TYPE_CHECKING:
    from bench.results.store import Store
    from bench.runs.cells.cell import Cell
    from bench.runs.executor import Listener

TOLD = "tracked.json"
"""What a cell's folder has of the trackers that know of it: by destination, a hash of what they
were told."""

Study = Mapping[str, Any]


class Trackers:
    """The trackers of a run folder that have not failed.

    Args:
        names: Their names.
        store: The run folder.
        note: Told in a line which one fails, and why.

    Attributes:
        left: Those that have not failed.
        failed: Those that have.

    Raises:
        BenchError: One is unknown, or not installed.
    """

    def __init__(self, names: Iterable[str], store: Store, note: Callable[[str], None]) -> None:
        self.left = list(dict.fromkeys(names))
        check_trackers(self.left)
        self._store, self._note = store, note
        self.failed: list[str] = []

    def tell(self, suite: str, record: Record, studies: Sequence[Study]) -> list[str]:
        """Tells every tracker of a record that it does not know as it is now.

        Args:
            suite: The suite's name.
            record: The cell's record.
            studies: Studies of the suite, among which that of the cell may be.

        Returns:
            The trackers that were told.
        """
        if not self.left:
            return []
        told = []
        for name in list(self.left):
            try:
                if self._tell(name, suite, record, studies):
                    told.append(name)
            except (Exception, SystemExit) as error:  # of code that is not ours, or a server
                self.left.remove(name)
                self.failed.append(name)
                self._note(
                    f"{name} is told no more: {kind_and_line(error).rstrip('.')}. What it misses "
                    f"comes by 'bench track {name} --runs {self._store.root}'."
                )
        return told

    def _tell(self, name: str, suite: str, record: Record, studies: Sequence[Study]) -> bool:
        path, place = self._store.folder(record.id) / TOLD, destination(name)
        now = json_hash(_told(record))[:16]
        with self._store.lock(f"{record.id}.tracked"):  # another process may be at it
            known = read_json(path, dict[str, str]) or {}
            told = tell(
                name,
                self._store.root,
                suite=suite,
                run=run_name(record),
                known=known.get(place) == now,
                settings=settings_of(suite, record),
                points=points_of(record, studies),
                figures=figures_of(record),
            )
            if told:
                write_json(path, {**known, place: now})
        return told


class Tracking:
    """Listens to a run for trackers, and passes on all that it hears.

    Args:
        trackers: Those that are told of every record.
        store: The run folder.
        suite: Name of the suite.
        listener: Told first.
    """

    def __init__(self, trackers: Trackers, store: Store, suite: str, listener: Listener) -> None:
        self._trackers, self._store, self._suite = trackers, store, suite
        self._listener = listener

    def started(self, cell: Cell) -> None:
        """Passes it on."""
        self._listener.started(cell)

    def progressed(self, cell: Cell, step: int, total: int) -> None:
        """Passes it on."""
        self._listener.progressed(cell, step, total)

    def tried(self, cell: Cell) -> None:
        """Passes it on."""
        self._listener.tried(cell)

    def note(self, notice: str) -> None:
        """Passes it on."""
        self._listener.note(notice)

    def ended(self, cell: Cell, record: Record) -> None:
        """Passes it on, and tells the trackers."""
        self._listener.ended(cell, record)
        self._trackers.tell(self._suite, record, self._studies(record))

    def complete(self) -> None:
        """Tells the trackers what they miss of cells that ended before this run, or in others."""
        if not self._trackers.left:
            return
        with contextlib.suppress(BenchError):  # which stops the page, and no cell
            suite = read_suite(self._store.root / SUITES, self._suite)
            for _ in replay(self._trackers, self._store, [suite] if suite else []):
                pass

    def _studies(self, record: Record) -> Sequence[Study]:
        """The studies of the record's method, as far as they can be read."""
        try:
            suite = read_suite(self._store.root / SUITES, self._suite) or {}
            known = suite.get("studies", {}).items()
            own = {key: name for key, name in known if name == record.cell["method"]}
            return suite_studies(self._store, {"studies": own})
        except BenchError:  # which stops the page, and no cell
            return []


def replay(
    trackers: Trackers, store: Store, suites: Iterable[dict[str, Any]]
) -> Iterator[list[str]]:
    """Tells trackers of the stored records of suites.

    Yields:
        The trackers that were told of a record, a record at a time.

    Raises:
        BenchError: A record or a study cannot be read.
    """
    for suite in suites:
        found = opened(store.root, suite)
        for record in found.records:
            yield trackers.tell(suite["name"], record, found.studies)


def run_name(record: Record) -> str:
    """What trackers call a cell; it may be the name of a folder, too."""
    cell = record.cell
    words = f"{cell['task']} {cell['method']} {cell['ratio']:g}x seed {cell['seed']}"
    return f"{re.sub(r'[^A-Za-z0-9.=]+', '-', words)[:80]}-{record.id[:8]}"


def settings_of(suite: str, record: Record) -> dict[str, Any]:
    """The cell, and its resolved parameters; what has no value is left out."""
    known = {
        "record": record.id,
        "suite": suite,
        "status": record.status,
        **record.cell,
        "parameters": record.tuning.get("parameters"),
        "error": (record.error or {}).get("message"),
        **{f"params/{name}": value for name, value in record.params.items()},
    }
    return {name: value for name, value in known.items() if value is not None}


def figures_of(record: Record) -> dict[str, float]:
    """Score and figures, achieved ratios, and the cost by its parts."""
    cost, parts = record.cost, record.cost.get("parts", {})
    counted = {name: cost.get(name) for name in ("train_flops", "steps", *MEASURED)}
    known = {
        "score": record.score,
        **{f"scores/{_name(name)}": value for name, value in record.scores.items()},
        **{f"ratio/{_name(axis)}": size["ratio"] for axis, size in record.footprint.items()},
        **{f"cost/{name}": value for name, value in counted.items()},
        **{f"cost/part/{_name(name)}": value for name, value in parts.items()},
    }
    return {name: float(value) for name, value in known.items() if value is not None}


def points_of(record: Record, studies: Iterable[Study]) -> list[tuple[int, dict[str, float]]]:
    """The curves of the cell's training and of the trial that its parameters come from."""
    steps: dict[int, dict[str, float]] = {}
    for place, curve in (("curve", record.curve), ("tuning", _trial_curve(record, studies))):
        for figure in ("loss", "score"):
            values = (curve or {}).get(figure) or []
            for step, value in zip((curve or {}).get("steps", []), values, strict=False):
                steps.setdefault(step, {})[f"{place}/{figure}"] = float(value)
    return sorted(steps.items())


def _trial_curve(record: Record, studies: Iterable[Study]) -> Mapping[str, Any] | None:
    """The curve of the best trial of a cell's study."""
    for study in studies:
        best = study.get("best")
        same = all(study["cell"][key] == record.cell[key] for key in ("method", "task", "ratio"))
        if same and best is not None:
            curve: Mapping[str, Any] | None = study["trials"][best].get("curve")
            return curve
    return None


def _told(record: Record) -> dict[str, Any]:
    """What a cell came to; speed, which is measured afterwards, is nothing that trackers hear."""
    return {name: held for name, held in outcome(record).items() if name != "latency"}


def _name(text: str) -> str:
    """A name that every tracker takes."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
