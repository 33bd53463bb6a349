"""The figures of a page, and their captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench.leaderboard import critical, plots
from bench.leaderboard.averages import above_chance
from bench.leaderboard.convergence import convergence_svg
from bench.leaderboard.options import INTERMEDIATE, PERTURB, option_svg
from bench.leaderboard.ranking import MAJORITY
from bench.leaderboard.spread import spread_svg
from bench.leaderboard.tuning import tuning_svg
from bench.results.record import is_dense
from bench.results.suites import counted_length

if TYPE_CHECKING:
    from bench.leaderboard.challenges import Challenges
    from bench.leaderboard.ranking import Standings


def make_charts(
    suite: dict[str, Any],
    results: dict[float, Standings],
    studies: Sequence[dict[str, Any]],
    challenges: Challenges,
    folder: Path,
    further: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> tuple[dict[Path, str], list[tuple[str, str]]]:
    """The charts' files by their paths, and each one's name and caption.

    Args:
        suite: What the page's suite was asked for.
        results: Standings by ratio.
        studies: How its parameters were found.
        challenges: What came of challenge sets.
        folder: Where the page is to lie.
        further: More charts and their captions, by name, which come first.
    """
    drawn = {
        **further,
        "": spread_svg(results, counted_length(suite)),
        "kept": (
            plots.heat_svg(_shares(results)),
            "What is left of dense's score above the majority class, %",
        ),
        "cd": (
            plots.critical_svg(
                {
                    f"{ratio:g}×": (critical.tested_averages(result), critical.groups(result))
                    for ratio, result in results.items()
                }
            ),
            "Competitors by average; a bar joins those that no test tells apart",
        ),
        "perturbations": (
            option_svg(PERTURB, suite, results),
            "Average score against what training took, a colour a perturbation",
        ),
        "intermediate": (
            option_svg(INTERMEDIATE, suite, results),
            "Average score against what training took, a colour an intermediate task",
        ),
        "challenges": (
            challenges.svg(),
            "Scores on the report split and on challenge sets at the hardest ratio, a dot a seed",
        ),
        "tuning": (tuning_svg(studies), "Score on the tune split against rate, a point a trial"),
        "curves": (
            convergence_svg(studies),
            "Score on the tune split and training loss on the way, at the hardest ratio",
        ),
    }
    shown = {
        f"{suite['name']}{figure and f'-{figure}'}.svg": both
        for figure, both in drawn.items()
        if both[0]
    }
    files = {folder / file: svg for file, (svg, _) in shown.items()}
    return files, [(file, caption) for file, (_, caption) in shown.items()]


def _shares(results: dict[float, Standings]) -> dict[str, dict[str, float]]:
    """What is kept of dense's score above chance in %, by task and ratio, then by method."""
    shares: dict[str, dict[str, float]] = {}
    for ratio, result in results.items():
        rows = [r for r in result.rows if r.method != MAJORITY and not is_dense(r.method)]
        for task in result.averaged if ratio != 1 else ():
            known = {row.method: above_chance(result, row, task) for row in rows}
            if kept := {name: share for name, share in known.items() if share is not None}:
                shares[f"{task} {ratio:g}×"] = kept
    return shares
