"""The table of an HTML page: the rows of all ratios, with what explains a column or a rank."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.leaderboard.statistics import LEAST_SEEDS

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Row, Standings

TIPS = {
    "rank": "1 + the number of competitors that are significantly better on average. = behind it: "
    "shared with others.",
    "method": "Select a name to see its cells: parameters, cost, versions, answers.",
    "ratio": "Wanted: dense size / compressed size.",
    "starts from": "The model that the method begins with.",
    "teacher": "A model whose answers the method learns from.",
    "average": "Mean over the tasks without †, ± half of its 95 % interval.",
    "above chance, % of dense": "0 is the majority class, 100 the dense model; mean over tasks.",
    "win rate, %": "Of all pairs of a task and another competitor, how many the method is ahead "
    "in. A tie is half a win.",
    "weights ×": "Prunable weights, which are the six matrices of each layer: dense / this.",
    "MB": "The file with values of 16 bits (int8: of 8), embeddings included; compact if sparse.",
    "MB ×": "The file's size: dense / this.",
    "parameters, M": "All parameters that are not zero, embeddings included.",
    "parameters ×": "All parameters: dense / this.",
    "FLOPs ×, task's lengths": "Mean over the report rows, each at its own length: dense / this.",
    "ms": "Milliseconds for one example of the task's median length, on the fastest engine that "
    "answers right. A dash: not measured.",
    "ms ×": "Milliseconds: dense on its own fastest engine / this.",
    "TFLOP per seed, final run": "What the final training cost, summed over tasks.",
    "TFLOP per seed, with tuning": "The same with all trials.",
}
"""What a column is, by its head."""

PAPERS = {
    r"arXiv:(\d{4}\.\d{4,5})": "https://arxiv.org/abs/",
    r"doi:(10\.[\w./-]+)": "https://doi.org/",
}
"""How papers are named, and where they lie."""

DASH = "–"


@dataclass(frozen=True)
class BoardRow:
    """A row of the table.

    Attributes:
        ratio: 1 for a reference.
        result: The standings that it is of.
        row: What is known of it.
        cells: Its texts under the columns behind the method's.
        reason: Why it has no rank, in a few words; empty where it has one.
        why: What its rank, or the lack of one, means.
    """

    ratio: float
    result: Standings
    row: Row
    cells: Sequence[str]
    reason: str
    why: str

    @property
    def method(self) -> str:
        """The variant's name."""
        return self.row.method

    @property
    def rank(self) -> int | None:
        """Its rank by average, if it has one."""
        return self.result.overall.get(self.method)

    @property
    def tied(self) -> bool:
        """Whether another row has the same rank."""
        return self.rank is not None and list(self.result.overall.values()).count(self.rank) > 1

    @property
    def paper(self) -> str:
        """Where its paper lies; empty where that is not known."""
        named = str(self.row.facts.get("paper", ""))
        found = ((re.fullmatch(pattern, named), at) for pattern, at in PAPERS.items())
        return next((f"{at}{match[1]}" for match, at in found if match), "")


def board_rows(
    results: Mapping[float, Standings], ratios: Sequence[Mapping[str, Any]]
) -> list[BoardRow]:
    """Rows ratio by ratio, the references once and last.

    Args:
        results: Standings by ratio.
        ratios: Of each, what a page lays out: its tables of scores and costs.
    """
    rows: list[BoardRow] = []
    references: list[BoardRow] = []
    for (ratio, result), laid_out in zip(results.items(), ratios, strict=True):
        (heads, scores), (cost_heads, costs) = laid_out["scores"], laid_out["costs"]
        width = len(heads) - 2 + len(cost_heads) - 1
        scored = iter([*mine[2:], *theirs[1:]] for mine, theirs in zip(scores, costs, strict=True))
        found = []
        for row in result.rows:
            cells = next(scored) if any(row.scores.values()) else [DASH] * width
            is_reference = row.records[0].cell["ratio"] == 1
            reason = _unranked(result, row)
            made = BoardRow(
                1.0 if is_reference else ratio,
                result,
                row,
                [DASH if is_reference else f"{ratio:g}×", *cells],
                reason,
                f"No rank: {reason}." if reason else _rank_words(result, row),
            )
            found.append(made)
        rows += [made for made in found if made.ratio != 1]
        references = [made for made in found if made.ratio == 1]
    return [*rows, *references]


def columns(
    results: Mapping[float, Standings], ratios: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The columns: head, group (`about`, `score` or `cost`), task where it is one's, and tip."""
    result = list(results.values())[-1]
    (heads, _), (costs, _) = ratios[-1]["scores"], ratios[-1]["costs"]
    first = len(heads) - len(result.tasks) - 3
    found = [{"head": head, "group": group, "task": "", "tip": _tip(head)} for head, group in (
        ("rank", ""), ("method", ""), ("ratio", ""),
        *((head, "about") for head in heads[2:first]),
        *((head, "score") for head in heads[first:]),
        *((head, "cost") for head in costs[1:]),
    )]  # fmt: skip
    for place, task in enumerate(result.tasks, first + 1):  # the ratio comes on top
        mark = " †: dense is not surely above the majority class. No part of the average."
        found[place]["task"] = task
        found[place]["tip"] = (
            "Score on the report split, in points: the mean over seeds, ± half of its 95 % "
            f"interval.{mark if task in result.uninformative else ''}"
        )
    return found


def _tip(head: str) -> str:
    if head.startswith("FLOPs ×, S"):
        return f"FLOPs of one example of {head.rpartition(' ')[2]} tokens: dense / this."
    return TIPS.get(head) or TIPS.get(head.partition(",")[0], "")


def _unranked(result: Standings, row: Row) -> str:
    """Why a row has no rank, in a few words; empty where it has one."""
    if row.method in result.overall:
        return ""
    if row.facts["control"]:
        return "control"
    if not any(row.scores.values()):
        return ", ".join(sorted({record.status for record in row.records})) or "no score"
    if lost := row.not_tuned(result.averaged):
        return f"not tuned on {', '.join(lost)}"
    if not result.averaged:
        return "no task of the average"
    if lacking := [task for task in result.averaged if not row.scores[task]]:
        return f"no score on {', '.join(lacking)}"
    seeds = min(len(row.scores[task]) for task in result.averaged)
    if seeds < LEAST_SEEDS:
        return f"{seeds} seed{'s' * (seeds > 1)}, a rank takes {LEAST_SEEDS}"
    return "nothing to test it against"


def _rank_words(result: Standings, row: Row) -> str:
    rank = result.overall[row.method]
    others = [
        name for name, other in result.overall.items() if other == rank and name != row.method
    ]
    better = f"{rank - 1 or 'No'} competitor{'s' * (rank != 2)} significantly better."
    return f"{better} Shared with {', '.join(others)}." if others else better
