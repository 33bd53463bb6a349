"""Claims and their verdicts: what a suite was run for, and what came of it.

A claim's lead over an opponent is the difference of the averages over its tasks, on its seeds
alone, less the points that it says. The two methods alone are compared, so that what stands beside
them decides nothing, and its tasks stay whatever their dense models do. Each claim has one p:

- with a lead over every opponent, the largest p of them (an intersection–union test, Berger 1982);
- else the smallest p of those that are ahead of it, times the number of opponents (Bonferroni).

The first kind supports the claim and the second contradicts it, if the p is below 5 % after Holm's
correction over all claims of the suite, those among them that are not run yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench.leaderboard import statistics as inference
from bench.leaderboard.markdown import p_words
from bench.leaderboard.ranking import rows_of, sample
from bench.results.claims import Claim

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record

Word = Literal["supported", "contradicted", "undecided", "not run yet"]


@dataclass(frozen=True)
class Lead:
    """How far a claim's method is above one opponent.

    Attributes:
        value: In points.
        half_width: Half of the 95 % interval.
        p: Two-sided, of the hypothesis that the value is what the claim says.
        smallest: The smallest lead that could have been seen, in points, were the claim the first
            that Holm's correction takes.
        least_p: The smallest p that so many seeds and tasks can give, before any correction.
    """

    value: float
    half_width: float
    p: float
    smallest: float
    least_p: float


@dataclass(frozen=True)
class Verdict:
    """What came of a claim.

    Attributes:
        claim: The claim.
        word: The verdict.
        leads: By opponent; empty where nothing was tested.
        p: After Holm's correction; `None` where nothing was tested.
        reason: Why nothing was tested, in a few words.
    """

    claim: Claim
    word: Word
    leads: Mapping[str, Lead]
    p: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        """In a line, for a terminal."""
        p = "" if self.p is None else f" (p {p_words(self.p)})"
        return f"{self.word}{p}: {self.claim}"

    def to_json(self) -> dict[str, Any]:
        """Plain data, figures to six digits."""
        leads = {name: dataclasses.asdict(lead) for name, lead in self.leads.items()}
        return {
            **self.claim.to_json(),
            "verdict": self.word,
            "reason": self.reason,
            "p_holm": None if self.p is None else _six(self.p),
            "leads": {
                name: {key: _six(figure) for key, figure in lead.items()}
                for name, lead in leads.items()
            },
        }


def verdicts(
    suite: Mapping[str, Any], records: Sequence[Record], answers: PredictionsOf
) -> list[Verdict]:
    """The verdict of each claim of a suite.

    Args:
        suite: The suite's description.
        records: Its records.
        answers: Where predictions are found.
    """
    claims = [Claim.from_json(plain) for plain in suite.get("claims", ())]
    level = (1 - inference.LEVEL) / max(1, len(claims))
    tested = [
        _replaced(claim, suite.get("versions", {}))
        or _tested(claim, _records_of(claim, records), answers, level)
        for claim in claims
    ]
    ps = inference.holm([_p(verdict) for verdict in tested])
    return [
        verdict if not verdict.leads else dataclasses.replace(verdict, p=p, word=_word(verdict, p))
        for verdict, p in zip(tested, ps, strict=True)
    ]


def _replaced(claim: Claim, versions: Mapping[str, int]) -> Verdict | None:
    """The verdict where the suite has cells of a newer version than the claim is about."""
    newer = [name for name, version in claim.versions.items() if versions.get(name, 0) > version]
    if not newer:
        return None
    reason = f"it is about an older version of {newer[0]}, whose cells were replaced"
    return Verdict(claim, "undecided", {}, reason=reason)


def _records_of(claim: Claim, records: Sequence[Record]) -> list[Record]:
    """The records that a claim is about; those of a reference have ratio 1."""
    return [
        record
        for record in records
        if record.cell["method"] in claim.methods
        and record.cell["task"] in claim.tasks
        and record.cell["seed"] in claim.seeds
        and record.cell["ratio"] in (claim.ratio, 1)
    ]


def _tested(
    claim: Claim, records: Sequence[Record], answers: PredictionsOf, level: float
) -> Verdict:
    """A claim's leads, or why there are none."""
    cells = len(claim.methods) * len(claim.tasks) * len(claim.seeds)
    if left := cells - len(records):
        return Verdict(claim, "not run yet", {}, reason=f"{left} of {cells} cells are not done")
    if lost := sum(record.status != "ok" for record in records):
        reason = f"{lost} of {cells} cells failed or have not met the ratio"
        return Verdict(claim, "undecided", {}, reason=reason)
    rows = {row.method: row for row in rows_of(records, claim.tasks)}
    leads = {}
    for name in claim.worse:
        lead = _lead(claim, rows[claim.better], rows[name], answers, level)
        if lead is None:
            return Verdict(claim, "undecided", {}, reason="predictions are missing")
        leads[name] = lead
    return Verdict(claim, "undecided", leads)


def _lead(
    claim: Claim, better: Row, other: Row, answers: PredictionsOf, level: float
) -> Lead | None:
    """The lead over one opponent on all seeds of a claim; `None` where predictions are missing.

    The only place that knows which test is made.
    """
    tables = []
    for task in claim.tasks:
        mine, theirs = (sample(row, task, answers) for row in (better, other))
        if not mine.seeds() & theirs.seeds() >= set(claim.seeds):
            return None
        tables.append(inference.pairwise({better.method: mine, other.method: theirs}))
    found = inference.difference(inference.average_pairs(tables), better.method, other.method)
    if found is None:
        return None
    beyond = found.beyond(claim.by)
    return Lead(
        value=found.value,
        half_width=found.half_width,
        p=beyond.p,
        smallest=claim.by + beyond.smallest_seen(level),
        least_p=beyond.least_p,
    )


def _ahead(verdict: Verdict) -> list[Lead]:
    """The leads that are smaller than the claim says."""
    return [lead for lead in verdict.leads.values() if lead.value < verdict.claim.by]


def _p(verdict: Verdict) -> float:
    """The p of a claim, before Holm's correction."""
    leads = verdict.leads.values()
    if not leads:
        return 1.0
    if ahead := _ahead(verdict):
        return min(1.0, len(leads) * min(lead.p for lead in ahead))
    return max(lead.p for lead in leads)


def _word(verdict: Verdict, p: float) -> Word:
    if p >= 1 - inference.LEVEL:
        return "undecided"
    return "contradicted" if _ahead(verdict) else "supported"


def _six(figure: float) -> float:
    return float(f"{figure:.6g}")
