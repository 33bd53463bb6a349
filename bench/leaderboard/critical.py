"""Which competitors a critical-difference view joins: those that the page's test leaves together.

Demšar (2006) joins methods that Nemenyi's test of mean ranks does not tell apart. Here they stand
at their average score, and the test is the one that the page ranks by, so that the view and the
table never differ.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bench.leaderboard.statistics import difference

if TYPE_CHECKING:
    from bench.leaderboard.ranking import Standings

FEWEST = 3
"""Tested competitors below which there is nothing to see."""


def tested_averages(result: Standings) -> dict[str, float]:
    """The averages of the ranked competitors, the highest first; none where they are too few."""
    found = {
        row.method: average
        for row in result.rows
        if row.method in result.overall and (average := row.average(result.averaged)) is not None
    }
    if len(found) < FEWEST:
        return {}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def groups(result: Standings) -> list[list[str]]:
    """The largest sets of competitors no two of which are told apart, from the best to the worst.

    A pair that was not tested is in no set. A set need not be of neighbours: a method that scatters
    widely may be told apart from none, and those on both sides of it from each other.
    """
    names = list(tested_averages(result))
    together = {
        frozenset(pair)
        for pair in itertools.combinations(names, 2)
        if difference(result.average_pairs, *pair) is not None
        and not result.told_apart(result.average_pairs, *pair)
    }

    def largest(chosen: list[str], left: list[str], passed: list[str]) -> list[list[str]]:
        """Bron and Kerbosch (1973): all largest sets of `chosen` and some of `left`."""
        if not left and not passed:
            return [chosen]
        found = []
        for place, name in enumerate(left):
            rest, before = left[place + 1 :], [*passed, *left[:place]]
            found += largest(
                [*chosen, name],
                [other for other in rest if frozenset((name, other)) in together],
                [other for other in before if frozenset((name, other)) in together],
            )
        return found

    sets = [one for one in largest([], names, []) if len(one) > 1]
    place = {name: number for number, name in enumerate(names)}
    return sorted(sets, key=lambda one: [place[name] for name in one])
