"""Break-even budgets in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.leaderboard.markdown import significant

if TYPE_CHECKING:
    from bench.leaderboard.break_even import Comparison, Span


def break_even_line(one: str, other: str, found: Comparison | None, currency: str) -> str:
    """Where two options are worth the same, as far as that is known.

    Args:
        one: An option.
        other: Another.
        found: How they compare; `None` where no budget has two seeds of both.
        currency: As Markdown shows it.
    """
    pair = f"**{one}** and **{other}**"
    if found is None:
        return f"{pair}: no budget has two seeds of both yet."
    if len(found.budgets) == 1:
        only = significant(found.budgets[0])
        return f"{pair}: only {only} {currency} buys both, so nothing crosses."
    if found.points:
        said = [
            f"{significant(point.budget)} {currency} (95 %: {_span(point.span, found)}), beyond "
            f"which {one if point.rising else other} is better"
            for point in found.points
        ]
        several = "" if len(said) == 1 else f" at {len(said)} budgets"
        return f"{pair} break even{several} at {'; at '.join(said)}.{_nowhere(found)}"
    ahead = one if found.leads[-1].value > 0 else other
    ends = f"{significant(found.budgets[0])} to {significant(found.budgets[-1])} {currency}"
    if not found.undecided:
        return f"{pair}: no break-even budget from {ends}: {ahead} is better throughout."
    if nowhere := _nowhere(found):
        return f"{pair}: no break-even budget is found from {ends}, {ahead} scores higher.{nowhere}"
    spans = " and ".join(_span(span, found) for span in found.undecided)
    return (
        f"{pair}: no break-even budget is found from {ends}: {ahead} scores higher. The two are "
        f"not told apart from {spans} {currency}, where one may be."
    )


def _span(span: Span, found: Comparison) -> str:
    """From where to where."""
    low = f"{significant(found.budgets[0])} or less" if span.low is None else significant(span.low)
    high = (
        f"{significant(found.budgets[-1])} or more" if span.high is None else significant(span.high)
    )
    return f"{low} to {high}"


def _nowhere(found: Comparison) -> str:
    """Where the interval is all that was run."""
    everywhere = any(span.low is None and span.high is None for span in found.undecided)
    return " The two are told apart at no budget." if everywhere else ""
