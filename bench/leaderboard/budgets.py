"""What a budget buys: utility by option, the best one, and where two are worth the same."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.leaderboard import statistics as inference
from bench.leaderboard.break_even import Curve, compare_options
from bench.leaderboard.break_even_words import break_even_line
from bench.leaderboard.budget_plots import Panel, Score, budget_svg
from bench.leaderboard.markdown import escape, pipe, rounded, significant
from bench.leaderboard.ranking import rows_of, sample
from bench.results.budgets import OPTIONS, Budget, Option, Purchase
from bench.schema import check

if TYPE_CHECKING:
    from bench.results.predictions import PredictionsOf
    from bench.results.record import Record

Table = tuple[list[str], list[list[str]]]

STAGES = ("continued pre-training", "general distillation", "masked-language-model head")
"""Parts of a cost that an option pays for."""

NOTES = (
    "A row is a labelled example, tune rows among them. A larger budget buys the rows of a smaller "
    "one and more.",
    "Computing that an option begins with is paid out of the budget. Training on the labels is "
    "not: every option pays for it, and the last column says how much.",
    "Best: the highest mean. What is beside it in brackets is not told apart from it by both "
    "tests, after Holm's correction over the options of that budget.",
    "Break-even: where the interpolated scores are equal, with the budgets at which the two are "
    "not told apart (95 %). Scores are interpolated along the logarithm of the rows.",
)


@dataclass(frozen=True)
class Group:
    """A method at a ratio, or the dense model: what each option scored.

    Attributes:
        title: Its name and ratio.
        bought: What each option buys, by option and budget.
        curves: What came of it, of options that have been run.
        records: Those of each option.
    """

    title: str
    bought: dict[Option, dict[float, Purchase]]
    curves: dict[Option, Curve]
    records: dict[Option, list[Record]]


class Bought(NamedTuple):
    """What a page shows of a budget.

    Attributes:
        section: Its section, Markdown.
        tables: Heads and rows by title.
        figure: An SVG file's text, and its caption.
    """

    section: str
    tables: dict[str, Table]
    figure: tuple[str, str]


def bought_by(
    suite: Mapping[str, Any], records: Sequence[Record], answers: PredictionsOf
) -> Bought | None:
    """What a suite's budget bought; `None` where it was asked for no budget.

    Args:
        suite: What the suite was asked for.
        records: Its records.
        answers: Where predictions are found.
    """
    if not suite.get("budget"):
        return None
    budget = check(suite["budget"], Budget)
    groups = groups_of(budget, records, answers)
    caption = "Score by what a budget buys; dotted lines are break-even budgets"
    figure = budget_figure(budget, groups), caption
    return Bought(budget_section(budget, groups), budget_tables(budget, groups), figure)


def groups_of(budget: Budget, records: Sequence[Record], answers: PredictionsOf) -> list[Group]:
    """What each method's options bought and scored, the dense model's first."""
    rows = {
        (row.method, ratio): row
        for ratio in sorted({record.cell["ratio"] for record in records})
        for row in rows_of([r for r in records if r.cell["ratio"] == ratio], [budget.task])
    }
    by_group: dict[tuple[float, str], dict[Option, dict[float, Purchase]]] = {}
    for one in budget.purchases:
        options = by_group.setdefault((one.ratio, one.method), {})
        options.setdefault(one.option, {})[one.budget] = one
    groups = []
    for (ratio, method), bought in sorted(by_group.items()):
        curves, made = {}, {}
        for option, purchases in bought.items():
            found = {
                at: rows[one.row, ratio]
                for at, one in purchases.items()
                if one.row is not None and (one.row, ratio) in rows
            }
            samples = {at: sample(row, budget.task, answers) for at, row in found.items()}
            known = {at: one for at, one in samples.items() if one.scores}
            if known:
                curves[option] = Curve(known, _Rows(budget, next(iter(purchases.values())).flops))
            made[option] = [record for row in found.values() for record in row.records]
        title = method if ratio == 1 else f"{method}, {ratio:g}×"
        groups.append(Group(title, bought, curves, made))
    return groups


@dataclass(frozen=True)
class _Rows:
    """The rows that a budget buys after so much computing, as a number that need not be whole."""

    budget: Budget
    flops: float

    def __call__(self, money: float) -> float:
        left = (money - self.budget.price(self.flops)) / self.budget.label_price
        return max(1.0, min(left, float(self.budget.available)))


def budget_tables(budget: Budget, groups: Sequence[Group]) -> dict[str, Table]:
    """Scores by budget and option, a table a group, and what the options cost."""
    tables = {f"What a budget buys: {one.title}": _score_table(budget, one) for one in groups}
    return {**tables, "What the options cost": _cost_table(budget, groups)}


def budget_section(budget: Budget, groups: Sequence[Group]) -> str:
    """The section of a page."""
    parts = [f"## What a budget buys\n\n{_prices(budget)}"]
    for group in groups:
        table = pipe(*_score_table(budget, group))
        lines = [*_infeasible(budget, group), *_break_even(budget, group)]
        listed = "\n".join(f"- {line}" for line in lines)
        parts.append(f"### {escape(group.title)}\n\n{table}\n\n{listed}".rstrip())
    parts.append(f"### What the options cost\n\n{pipe(*_cost_table(budget, groups))}")
    seeds = {
        len(one.scores) for g in groups for c in g.curves.values() for one in c.samples.values()
    }
    notes = [*NOTES]
    if seeds and max(seeds) < 2:
        notes.append("One seed: no interval, no test and no break-even budget.")
    elif seeds and max(seeds) < inference.LEAST_SEEDS:
        notes.append(f"Fewer than {inference.LEAST_SEEDS} seeds pass no test over seeds: no option "
                     "is told apart from the best one.")  # fmt: skip
    parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts)


def budget_figure(budget: Budget, groups: Sequence[Group]) -> str:
    """Utility against budget, a panel a group, as SVG."""
    panels = {}
    for group in groups:
        lines: dict[str, list[Score]] = {}
        for option, curve in group.curves.items():
            for at, one in sorted(curve.samples.items()):
                found = inference.mean(one)
                mean = statistics.fmean(one.scores.values())
                lines.setdefault(option, []).append(
                    Score(at, mean, found.half_width if found else None)
                )
        marks = [point.budget for _, found in _pairs(group) if found for point in found.points]
        if lines:
            panels[group.title] = Panel(lines, marks)
    return budget_svg(panels, f"budget, {budget.currency}", OPTIONS)


def _prices(budget: Budget) -> str:
    """What is paid for, in sentences."""
    unit = escape(budget.currency)
    rate = ""
    if budget.flops_per_second is not None:
        said = escape(budget.compute_price)
        rate = f" ({said} at {budget.flops_per_second:g} FLOPs a second)"
    return (
        f"A label of {escape(budget.task)} costs {significant(budget.label_price)} {unit}, 10¹⁸ "
        f"FLOPs cost {significant(budget.eflop_price)} {unit}{rate}. {budget.available:,} rows can "
        f"be bought. Continued pre-training takes {budget.pretrain_steps:,} steps. The question is "
        "that of Bai, Ritter and Xu (EMNLP 2021): is the next coin better spent on labels or on "
        "pre-training?"
    )


def _score_table(budget: Budget, group: Group) -> Table:
    options = [option for option in OPTIONS if option in group.bought]
    budgets = sorted({at for bought in group.bought.values() for at in bought})
    heads = [f"budget, {budget.currency}", *options, "best"]
    rows = [
        [
            significant(at),
            *(_score(group, option, at) for option in options),
            _best(group, options, at),
        ]
        for at in budgets
    ]
    return heads, rows


def _score(group: Group, option: Option, at: float) -> str:
    """A cell: the score and the rows that were bought."""
    one = group.bought[option].get(at)
    if one is None or one.rows is None:
        return "infeasible"
    known = group.curves[option].samples.get(at) if option in group.curves else None
    if known is None:
        return f"– ({one.rows:,} rows)"
    found = inference.mean(known)
    half = f" ± {rounded(found.half_width, 1)}" if found else ""
    return f"{rounded(statistics.fmean(known.scores.values()), 1)}{half} ({one.rows:,} rows)"


def _best(group: Group, options: Sequence[Option], at: float) -> str:
    """The option with the highest mean, and those that are not told apart from it."""
    known = {
        option: group.curves[option].samples[at]
        for option in options
        if option in group.curves and at in group.curves[option].samples
    }
    if not known:
        return "–"
    best = max(known, key=lambda option: statistics.fmean(known[option].scores.values()))
    pairs = inference.pairwise({str(option): one for option, one in known.items()})
    leads = {
        other: lead
        for other in known
        if other != best and (lead := inference.between(pairs, best, other)) is not None
    }
    ps = dict(zip(leads, inference.holm([lead.p for lead in leads.values()]), strict=True))
    alike = [other for other in known if other != best and ps.get(other, 1) >= 1 - inference.LEVEL]
    return f"{best} ({', '.join(alike)})" if alike else best


def _infeasible(budget: Budget, group: Group) -> Iterator[str]:
    """Options that some budgets cannot pay for."""
    for option in OPTIONS:
        bought = group.bought.get(option, {})
        lost = [at for at, one in sorted(bought.items()) if one.rows is None]
        if lost:
            cost = significant(budget.price(bought[lost[0]].flops))
            yield (
                f"**{option}** is infeasible at {', '.join(map(significant, lost))}: computing "
                f"costs {cost} {escape(budget.currency)}, and a label has to be left."
            )


def _pairs(group: Group) -> Iterator[tuple[tuple[Option, Option], Any]]:
    """Each two options, and how they compare."""
    for one, other in itertools.combinations([o for o in OPTIONS if o in group.curves], 2):
        yield (one, other), compare_options(group.curves[one], group.curves[other])


def _break_even(budget: Budget, group: Group) -> Iterator[str]:
    for (one, other), found in _pairs(group):
        yield break_even_line(one, other, found, escape(budget.currency))


def _cost_table(budget: Budget, groups: Sequence[Group]) -> Table:
    """What options cost: foretold, charged, and the training that follows."""
    unit = budget.currency
    heads = ["method", "option", f"computing, {unit}", f"as charged, {unit}",
             f"training on labels, {unit}"]  # fmt: skip
    rows = []
    for group in groups:
        for option in OPTIONS:
            if option not in group.bought:
                continue
            foretold = budget.price(next(iter(group.bought[option].values())).flops)
            known = [r.cost for r in group.records.get(option, []) if r.cost.get("train_flops")]
            charged = [sum(c.get("parts", {}).get(part, 0) for part in STAGES) for c in known]
            rest = [c["train_flops"] - first for c, first in zip(known, charged, strict=True)]
            rows.append([
                group.title,
                option,
                significant(foretold),
                significant(budget.price(statistics.fmean(charged)) if charged else None),
                _range([budget.price(flops) for flops in rest]),
            ])  # fmt: skip
    return heads, rows


def _range(prices: Sequence[float]) -> str:
    """The least and the most, as one figure where they look alike."""
    if not prices:
        return "–"
    ends = [significant(min(prices)), significant(max(prices))]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)
