"""Claims of a run: read and checked against what it asks for, and refused on seeds that are known.

A claim that is written down after its outcome could be seen says nothing. So `bench run` takes one
only if no record of its methods, tasks and seeds is there, or if the suite had it before.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.compression.target import check_ratio
from bench.errors import BenchError, unknown_name
from bench.models.folder import weight_hash
from bench.results.claims import Claim, same_claim
from bench.results.seeds import TRIAL_SEED, said_seeds, seeds_of
from bench.results.store import Store
from bench.results.suites import (
    RECORDS,
    SUITES,
    read_records,
    read_suite,
    read_suites,
    same_suite,
    suites_run_in,
)
from bench.runs.cells.cell import Variant

if TYPE_CHECKING:
    from bench.data.task import Task
    from bench.results.record import Record
    from bench.runs.suite import Suite

KEYS = ("better", "worse", "tasks", "ratio", "by", "seeds", "sentence")
"""What a claim may say; the first two it has to."""


def read_claims(
    said: Sequence[Any],
    *,
    variants: Sequence[Variant],
    tasks: Mapping[str, Task],
    ratios: Sequence[float],
    seeds: Sequence[int],
) -> tuple[Claim, ...]:
    """The claims that a run makes, each within what the run asks for.

    Args:
        said: A mapping a claim, with `KEYS`.
        variants: The methods of the run.
        tasks: Its tasks, by the names that they were asked for.
        ratios: Its ratios.
        seeds: Its seeds.

    Raises:
        BenchError: A claim is none, or is about something that the run does not ask for.
    """
    if isinstance(said, str | Mapping) or not isinstance(said, Sequence):
        raise BenchError("claims are a list of tables: [[claims]] begins each.")
    reader = _Reader([*map(str, variants)], tasks, tuple(ratios), tuple(seeds))
    found: list[Claim] = []
    for number, one in enumerate(said, 1):
        try:
            claim = reader.claim(one)
        except BenchError as error:
            raise BenchError(f"claim {number}: {error}") from None
        if any(same_claim(claim.to_json(), other.to_json()) for other in found):
            raise BenchError(f"claim {number} is made twice.")
        found.append(claim)
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class _Reader:
    """What claims may be about."""

    methods: list[str]
    tasks: Mapping[str, Task]
    ratios: tuple[float, ...]
    seeds: tuple[int, ...]

    def claim(self, said: Any) -> Claim:
        """Reads one, with its defaults filled in."""
        if not isinstance(said, Mapping):
            raise BenchError("it is a table with better and worse.")
        for key in said:
            if key not in KEYS:
                raise unknown_name("key", str(key), KEYS)
        better, worse = (self._methods(said, key) for key in KEYS[:2])
        if len(better) > 1:
            raise BenchError("better is one method.")
        if better[0] in worse:
            raise BenchError(f"{better[0]} cannot be better than itself.")
        sentence = said.get("sentence", "")
        if not isinstance(sentence, str):
            raise BenchError("sentence is a text.")
        return Claim(
            better=better[0],
            worse=worse,
            tasks=self._tasks(said),
            ratio=self._ratio(said.get("ratio")),
            by=_points(said.get("by", 0)),
            seeds=self._seeds(said.get("seeds")),
            versions={
                name: registry.methods.get(Variant.parse(name).method).info.version
                for name in (better[0], *worse)
            },
            sentence=sentence,
        )

    def _methods(self, said: Mapping[str, Any], key: str) -> tuple[str, ...]:
        found = tuple(str(Variant.parse(name)) for name in _names(said, key))
        for name in found:
            if name not in self.methods:
                raise unknown_name("method of this run", name, self.methods)
        return found

    def _tasks(self, said: Mapping[str, Any]) -> tuple[str, ...]:
        known = {task.name: task.name for task in self.tasks.values()}
        if "tasks" not in said:
            return tuple(known)
        known |= {asked: task.name for asked, task in self.tasks.items()}
        for name in (names := _names(said, "tasks")):
            if name not in known:
                raise unknown_name("task of this run", name, known)
        return tuple(dict.fromkeys(known[name] for name in names))

    def _ratio(self, said: Any) -> float:
        listed = " or ".join(f"{ratio:g}" for ratio in self.ratios)
        if said is None and len(self.ratios) > 1:
            raise BenchError(f"the run has several ratios; say ratio = {listed}.")
        ratio = self.ratios[0] if said is None else check_ratio(said)
        if ratio not in self.ratios:
            raise BenchError(f"ratio {ratio:g} is not one of the run's: {listed}.")
        return ratio

    def _seeds(self, said: Any) -> tuple[int, ...]:
        seeds = self.seeds if said is None else seeds_of(said)
        if beyond := sorted(set(seeds) - set(self.seeds)):
            raise BenchError(
                f"the run has no seed {beyond[0]}; its seeds are {said_seeds(self.seeds)} "
                "(--seeds)."
            )
        if len(seeds) < 2:
            raise BenchError("one seed tests nothing: a claim takes two at least.")
        return seeds


def _names(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = said.get(key)
    names = [value] if isinstance(value, str) else value
    known = isinstance(names, list | tuple) and all(isinstance(n, str) and n for n in names)
    if not names or not known:
        raise BenchError(f"{key} is a name, or a list of names.")
    return tuple(dict.fromkeys(names))


def _points(said: Any) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < math.inf:
        raise BenchError(f"by is a number of points, 0 or more, not {said!r}.")
    return float(said)


def settled(suite: Suite) -> Suite:
    """The suite, its claims with the dates of those that were made before.

    Raises:
        BenchError: Records that a new claim is about are there already.
    """
    weights = weight_hash(suite.encoder) if suite.claims else ""
    # Before the descriptions are read: whoever shares the folder writes a claim, then records.
    seen = list(_seen(suite, weights)) if suite.claims else []
    known = _known(suite, weights)
    claims = []
    for number, claim in enumerate(suite.claims, 1):
        before = [plain["written"] for plain in known if same_claim(plain, claim.to_json())]
        if not before:
            _check_fresh(claim, number, seen)
        claims.append(dataclasses.replace(claim, written=min(before, default="")))
    return dataclasses.replace(
        suite, claims=tuple(claims), notices=[*suite.notices, *_kept_claims(suite)]
    )


def _kept_claims(suite: Suite) -> Iterator[str]:
    """That claims stay which the run does not make any more."""
    made = [claim.to_json() for claim in suite.claims]
    stay = [
        plain
        for plain in _claims_of(suite.runs / SUITES, suite, "")
        if not any(same_claim({**plain, "versions": c["versions"]}, c) for c in made)
    ]
    if stay:
        yield (
            f"{len(stay)} claims that this run does not make stay on the page of '{suite.name}', "
            f"since they were made; the first: {Claim.from_json(stay[0])}."
        )


def _known(suite: Suite, weights: str) -> list[dict[str, Any]]:
    """The claims that the suite has, in the run folder or among the published pages."""
    if not suite.claims:
        return []
    folders = [suite.runs / SUITES, *([suite.published / RECORDS] if suite.published else [])]
    return [plain for folder in folders for plain in _claims_of(folder, suite, weights)]


def _claims_of(folder: Path, suite: Suite, weights: str) -> list[dict[str, Any]]:
    """The claims that a folder's description of the same suite holds."""
    try:
        known = read_suite(folder, suite.name)
    except BenchError:
        if suite.claims:
            raise
        return []  # a damaged description is replaced
    if known is None or not known.get("claims"):
        return []
    own = {
        "name": suite.name,
        "model": suite.model,
        "weights": weights or weight_hash(suite.encoder),
        "axis": suite.axis,
        "protocol": suite.protocol.hash,
    }
    return list(known["claims"]) if same_suite(own, known) else []


def _check_fresh(claim: Claim, number: int, seen: Sequence[tuple[Record, Path]]) -> None:
    """Raises `BenchError` where an outcome that a claim is about could be known.

    Any ratio, protocol and version counts, and any variant of a method: what a seed does under one
    says something of what it does under another.
    """
    methods = {Variant.parse(name).method for name in claim.methods}
    for record, place in seen:
        cell = record.cell
        method = cell["method"].partition(":")[0]
        if method in methods and cell["task"] in claim.tasks and cell["seed"] in claim.seeds:
            raise BenchError(
                f"claim {number} comes after its outcome: {place} has a record of "
                f"{cell['method']} on {cell['task']} at {cell['ratio']:g}× with seed "
                f"{cell['seed']} ({record.id}). A new or changed claim takes fresh seeds"
                f"{_fresh(claim, seen)}."
            )


def _fresh(claim: Claim, seen: Sequence[tuple[Record, Path]]) -> str:
    """The first seeds above all that have records, as a hint."""
    first = max(record.cell["seed"] for record, _ in seen) + 1
    last = first + len(claim.seeds) - 1
    return "" if last >= TRIAL_SEED else f", such as --seeds {first}-{last}"


def _seen(suite: Suite, weights: str) -> Iterator[tuple[Record, Path]]:
    """Every scored record of the encoder in the run folder and among the published pages."""
    encoders = {
        cell_id: described["weights"]
        for described in suites_run_in(suite.runs).values()
        for cell_id in described["cells"]
    }
    for record in Store(suite.runs).records():
        # Of a record that no suite shows any more, the encoder's name is all that is known.
        alike = record.cell.get("model") == suite.model
        if _is_outcome(record) and encoders.get(record.id, weights if alike else "") == weights:
            yield record, suite.runs
    if suite.published is None:
        return
    for name, described in read_suites(suite.published / RECORDS).items():
        if described["weights"] == weights:
            for record in read_records(suite.published, name):
                if _is_outcome(record):
                    yield record, suite.published


def _is_outcome(record: Record) -> bool:
    """Whether a record is of a cell of a run and has shown a score."""
    return record.score is not None and record.status != "external"
