"""Parameters that other suites have tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, unknown_name
from bench.results.suites import open_suite, suites_run_in
from bench.runs.cells.context import Carried
from bench.runs.cells.parameters import depends_on_encoder

if TYPE_CHECKING:
    from bench.results.record import Record
    from bench.runs.cells.cell import Cell
    from bench.runs.cells.context import Context


@dataclass(frozen=True)
class _Source:
    """A suite to carry from; its task and ratio where they are named."""

    name: str
    task: str
    ratio: float | None

    def of(self, records: Sequence[Record], cell: Cell) -> Record | None:
        """The record of the suite whose parameters fit a cell, if it has tuned any."""
        ratio = cell.ratio if self.ratio is None or cell.ratio == 1 else self.ratio
        record = _nearest(records, cell.method, self.task or cell.task, ratio)
        named = self.ratio is not None
        return None if record is None or (named and record.cell["ratio"] != ratio) else record


def carry(
    wanted: str, cells: Sequence[Cell], context: Context, published: Path | None
) -> dict[tuple[str, str, float], Carried]:
    """Finds the parameters that cells are to take over, by method, task and ratio.

    Each comes from the first suite that has tuned them, for the same method, from the same task
    unless another is named, and from the ratio that is named or else the nearest. A knob whose
    choices depend on the encoder is not carried to another encoder.

    Args:
        wanted: `SUITE`, `SUITE:TASK` or `SUITE:TASK:RATIO`, several by commas.
        cells: The plan.
        context: What the cells share.
        published: Folder of pages, where a suite is looked for that the run folder does not have.

    Raises:
        BenchError: There is no such suite, none has tuned what is to be run, or a value that it
            found is none that the method takes today.
    """
    sources = [(source, *_find(source.name, context.runs, published)) for source in _parse(wanted)]
    found: dict[tuple[str, str, float], Carried] = {}
    for cell in cells:
        bound = context.bind(cell)
        space = bound.space
        key = (cell.method, cell.task, cell.ratio)
        if key in found or not space:
            continue
        fitting = (
            (source.name, suite, record)
            for source, suite, records in sources
            if (record := source.of(records, cell)) is not None
        )
        name, suite, record = next(fitting, (None, {}, None))
        if record is None:
            source, _, records = sources[-1]
            raise _untuned(wanted, records, cell.method, source.task or cell.task, source.ratio)
        same_encoder = suite["weights"] == context.weights
        params = {
            knob: value
            for knob, value in record.tuning["found"].items()
            if knob in space and (same_encoder or not depends_on_encoder(bound.method, space, knob))
        }
        place = f"{name}, {record.cell['task']}, {record.cell['ratio']:g}×"
        for knob, value in params.items():  # a method's ranges may have changed since
            try:
                bound.method.Params.knobs()[knob].check(knob, value)
            except BenchError as error:
                raise BenchError(f"--carry-from {place}: {cell.method}'s {error}") from None
        found[key] = Carried(params, place, record.tuning["trials"])
    return found


def _untuned(
    wanted: str, records: Sequence[Record], method: str, task: str, ratio: float | None
) -> BenchError:
    """The error for parameters that a suite does not have, and which it has."""
    known: dict[str, dict[str, None]] = {}
    for record in records:
        if record.cell["method"] == method and "found" in record.tuning:
            known.setdefault(record.cell["task"], {})[f"{record.cell['ratio']:g}×"] = None
    has = "; ".join(f"{name} at {', '.join(ratios)}" for name, ratios in known.items())
    at = "" if ratio is None else f" at {ratio:g}×"
    other = f"; it is on {has}. SUITE:TASK:RATIO names another." if has else ", nor anywhere else."
    return BenchError(f"--carry-from {wanted}: {method} is not tuned there on {task}{at}{other}")


def check_source(wanted: str, runs: Path, published: Path | None, suite: str) -> None:
    """Checks that there are suites to carry from, before any data is read.

    Args:
        wanted: As for `carry`.
        runs: The run folder.
        published: As for `carry`.
        suite: The suite that is to be run.

    Raises:
        BenchError: There is none of a name, a ratio is none, or one is the suite itself.
    """
    for source in _parse(wanted):
        _folders_of(source.name, runs, published)
        if source.name == suite:
            raise BenchError(
                f"--carry-from {wanted}: the suite to be run is called '{suite}' as well and would "
                "replace it; give it another --name."
            )


def _parse(wanted: str) -> list[_Source]:
    from bench.compression.target import parse_ratio

    sources = []
    for said in wanted.split(","):
        name, _, rest = said.strip().partition(":")
        task, _, ratio = rest.partition(":")
        sources.append(_Source(name, task, parse_ratio(ratio) if ratio else None))
    return sources


def _find(name: str, runs: Path, published: Path | None) -> tuple[dict[str, Any], list[Record]]:
    """A suite and its records: the run folder's, or the published one where that alone is tuned."""
    suites = [open_suite(folder, name) for folder in _folders_of(name, runs, published)]
    tuned = (one for one in suites if any("found" in record.tuning for record in one.records))
    opened = next(tuned, suites[0])
    return opened.suite, opened.records


def _folders_of(name: str, runs: Path, published: Path | None) -> list[Path]:
    """The folders that have a suite of the name, the run folder first."""
    known = {runs: list(suites_run_in(runs))}
    if published is not None:
        pages = (published / "records").glob("*.json")
        known.setdefault(published, sorted(path.stem for path in pages))
    found = [folder for folder, names in known.items() if name in names]
    if not found:
        raise unknown_name("suite", name, [name for names in known.values() for name in names])
    return found


def _nearest(records: Sequence[Record], method: str, task: str, ratio: float) -> Record | None:
    """The record of a tuned cell whose ratio is nearest."""
    fitting = [
        record
        for record in records
        if record.cell["method"] == method
        and record.cell["task"] == task
        and "found" in record.tuning
    ]
    return min(
        fitting, key=lambda r: abs(math.log(r.cell["ratio"] / ratio)), default=None
    )  # every seed of a row has the same parameters
