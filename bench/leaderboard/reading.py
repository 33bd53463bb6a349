"""What a page shows and what it cannot, in a few short bullets: computed ones, then written ones.

Computed sentences come from the hardest ratio, the most important first. What no record can tell,
such as where an encoder came from, is written by hand in `suites/<name>.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.errors import BenchError
from bench.leaderboard.markdown import Markdown, escape, p_words, rounded
from bench.leaderboard.ranking import MAJORITY, OUTSIDE_AVERAGE, RANDOM_MASK, Row, Standings
from bench.leaderboard.statistics import difference
from bench.results.record import DENSE, dense_of
from bench.shown import shown

MOST_BULLETS = 5
MOST_COMPUTED = 3
MOST_WORDS = 30
"""Of a bullet: what stands between spaces, signs such as ± included."""

SMALL = "small"
"""The kind of methods that end as a small dense model."""

NAMED = 3
"""Names of a list before the rest is counted."""


def reading_list(
    suite: str, results: Mapping[float, Standings], written: Sequence[str]
) -> list[Markdown]:
    """The bullets of a page.

    Args:
        suite: The suite's name.
        results: Standings by ratio.
        written: Bullets that were written by hand, without their marks.

    Raises:
        BenchError: There are too many bullets, or one is too long.
    """
    computed = computed_bullets(results)
    if len(computed) + len(written) > MOST_BULLETS:
        raise BenchError(
            f"suites/{suite}.md has {len(written)} bullets, and {len(computed)} are computed from "
            f"the records: a page has {MOST_BULLETS} at most."
        )
    for bullet in written:
        if (words := len(bullet.split())) > MOST_WORDS:
            raise BenchError(
                f"suites/{suite}.md: the bullet '{' '.join(bullet.split()[:5])} …' has {words} "
                f"words: {MOST_WORDS} at most."
            )
    return [*map(Markdown, [*computed, *map(shown, written)])]


def split_bullets(text: str) -> list[str]:
    """The bullets of a hand-written text, each in one line; lines that go on are indented.

    Raises:
        BenchError: A line is neither.
    """
    bullets: list[str] = []
    for line in filter(str.strip, text.splitlines()):
        if line.startswith("- "):
            bullets.append(line[2:].strip())
        elif bullets and line.startswith("  "):
            bullets[-1] += f" {line.strip()}"
        else:
            raise BenchError(f"'{line.strip()[:40]}' is no bullet: a bullet begins with '- '.")
    return bullets


def computed_bullets(results: Mapping[float, Standings]) -> list[str]:
    """What the figures themselves say, the most important first."""
    ratio, result = max(results.items())
    ranking = _by_average(result)
    if not ranking:
        return []
    level = _no_difference_on_average(ratio, result)
    topics = (
        [*level, *_leads(result, ranking, "" if level else f"At {ratio:g}×, ")],
        _largest_share(result, ranking),
        [
            *(_above_dense(results) or _distance_to_dense(result, ranking)),
            *_methods_below_random_mask(result),
            *_tasks_left_out(result),
        ],
    )
    return [bullet for sentences in topics for bullet in _packed(sentences)][:MOST_COMPUTED]


def _packed(sentences: Iterable[str]) -> list[str]:
    """As many sentences a bullet as it has words for."""
    bullets: list[str] = []
    for sentence in sentences:
        longer = f"{bullets[-1]} {sentence}" if bullets else sentence
        if bullets and _fits(longer):
            bullets[-1] = longer
        else:
            bullets.append(sentence)
    return bullets


def _by_average(result: Standings) -> list[Row]:
    """The competitors that have an average, the highest first."""
    averages = {row.method: row.average(result.averaged) for row in result.rows}
    ranked = result.competitors()
    known = [
        row for row in result.rows if row.method in ranked and averages[row.method] is not None
    ]
    return sorted(known, key=lambda row: -(averages[row.method] or 0.0))


def _opponents(result: Standings, ranking: Sequence[Row]) -> list[str]:
    """Whom the best is set against: the next competitor and the small dense models.

    The random mask where there are none of them. Who was not tested against the best is left out.
    """
    best, *others = ranking
    controls = _compressed_controls(result)
    small = [row for row in [*others, *controls] if row.facts["kind"] == SMALL]
    names = dict.fromkeys(row.method for row in [*others[:1], *small]) or {RANDOM_MASK: None}
    return [name for name in names if _lead(result, best.method, name) is not None][:NAMED]


def _leads(result: Standings, ranking: Sequence[Row], opening: str) -> list[str]:
    """How far the best is above its opponents: those that it is told apart from, and the others."""
    best = ranking[0].method
    average = rounded(ranking[0].average(result.averaged), 1)
    opponents = _opponents(result, ranking)
    if not opponents:
        why = " Nothing was tested: that takes two seeds and their predictions."
        tested = bool(result.average_pairs)
        highest = f"{opening}{escape(best)} has the highest average ({average})."
        return [f"{highest}{'' if tested else why}"]
    beaten = [name for name in opponents if _beats(result, best, name)]
    level = [name for name in opponents if name not in beaten]
    groups = [(beaten, _lead_sentence), (level, _level_sentence)]
    sentences, subject = [], f"{opening}{escape(best)} (average {average})"
    for names, write in groups if opponents[0] in beaten else groups[::-1]:
        while names:
            most = len(names)
            while most > 1 and not _fits(write(result, subject, best, names[:most])):
                most -= 1
            sentences.append(write(result, subject, best, names[:most]))
            names, subject = names[most:], escape(best)
    return sentences


def _lead_sentence(result: Standings, subject: str, best: str, names: Sequence[str]) -> str:
    ps = [f"p {_p(result, best, name)}" for name in names]
    leads = [f"{escape(name)} by {_interval(result, best, name)} points" for name in names]
    if len(names) > 1 and len(set(ps)) == 1:
        return f"{subject} leads {_listed(leads)} (each {ps[0]})."
    return f"{subject} leads {_listed([f'{x} ({p})' for x, p in zip(leads, ps, strict=True)])}."


def _level_sentence(result: Standings, subject: str, best: str, names: Sequence[str]) -> str:
    others = [
        f"{escape(name)} ({_interval(result, best, name)}, p {_p(result, best, name)})"
        for name in names
    ]
    return f"{subject} is not told apart from {_listed(others, 'or')}."


def _no_difference_on_average(ratio: float, result: Standings) -> list[str]:
    """That no two competitors are told apart on average."""
    if not _all_level(result.overall, _by_average(result)):
        return []
    included = _level_controls(result)
    methods = _whom(included)
    return [f"At {ratio:g}×, no two {methods} are told apart on average{_included(included)}."]


def _largest_share(result: Standings, ranking: Sequence[Row]) -> list[str]:
    """Which task makes up most of the best competitor's lead over the first that it beats."""
    best = ranking[0]
    beaten = [n for n in _opponents(result, ranking) if _beats(result, best.method, n)]
    other = result.row(beaten[0]) if beaten else None
    if other is None or len(result.averaged) < 2:
        return []
    leads = {
        task: found.value
        for task in result.averaged
        if (found := difference(result.pairs[task], best.method, other.method)) is not None
    }
    task = max(leads, key=lambda name: leads[name])
    share = round(100 * leads[task] / sum(leads.values()))
    scores = f"{rounded(best.mean(task), 1)} against {rounded(other.mean(task), 1)}"
    much = f"{share} % of the" if share < 100 else "The whole"
    return [f"{much} lead over {escape(other.method)} comes from {escape(task)} ({scores})."]


def _above_dense(results: Mapping[float, Standings]) -> list[str]:
    """At which ratios a competitor is significantly above the dense model."""
    ratios: dict[str, list[str]] = {}
    for ratio, result in sorted(results.items()):
        for name in result.above_dense():
            ratios.setdefault(escape(name), []).append(f"{ratio:g}×")
    named = [
        f"{name} at {_listed(at)}" for name, at in sorted(ratios.items(), key=lambda x: -len(x[1]))
    ]
    for most in range(len(named), 0, -1):
        rest = [f"{len(named) - most} more"] if most < len(named) else []
        sentence = f"Significantly above dense on average: {'; '.join([*named[:most], *rest])}."
        if _fits(sentence):
            return [sentence]
    return []


def _distance_to_dense(result: Standings, ranking: Sequence[Row]) -> list[str]:
    """How far the best competitor is from the dense model."""
    best = ranking[0].method
    dense = dense_of(best)
    found = difference(result.average_pairs, best, dense)
    if found is None:
        return []
    where = "below" if found.value < 0 else "above"
    size = f"{rounded(abs(found.value), 1)} ± {rounded(found.half_width, 1)}"
    p = _p(result, best, dense)
    return [f"{escape(best)} is {size} points {where} {escape(dense)} on average (p {p})."]


def _methods_below_random_mask(result: Standings) -> list[str]:
    """Which methods have a lower average than the random mask, which should be last."""
    mask = result.row(RANDOM_MASK)
    least = mask.average(result.averaged) if mask else None
    if least is None:
        return []
    others = [*_by_average(result), *_compressed_controls(result)]
    averages = {row.method: row.average(result.averaged) for row in others}
    below = [name for name, value in averages.items() if value is not None and value < least]
    if not below:
        return []
    surely = [name for name in below if _beats(result, RANDOM_MASK, name)]
    tested = all(_lead(result, RANDOM_MASK, name) is not None for name in below)
    names = _listed([escape(name) for name in surely or below])
    verb = "is" if len(surely or below) == 1 else "are"
    how = ", significantly" if surely else ", not significantly" if tested else ""
    return [f"{RANDOM_MASK} is not last: {names} {verb} below it{how}."]


def _tasks_left_out(result: Standings) -> list[str]:
    """Which tasks are no part of the average, and why."""
    sentences = []
    if result.uninformative:
        names = _listed([escape(task) for task in result.uninformative])
        sentences.append(
            f"Left out of the average: {names}, where {DENSE} is not told apart from {MAJORITY}."
        )
    if never := [escape(task) for task in result.tasks if task in OUTSIDE_AVERAGE]:
        sentences.append(f"Never part of an average: {_listed(never)}.")
    return sentences


def _compressed_controls(result: Standings) -> list[Row]:
    """The controls of this ratio, the random mask first."""
    controls = [r for r in result.rows if r.facts["control"] and r.facts["kind"] != "reference"]
    return sorted(controls, key=lambda row: row.method != RANDOM_MASK)


def _all_level(ranks: Mapping[str, int], rows: Sequence[Row]) -> bool:
    """Whether several methods were ranked, all of them, and no two are told apart."""
    return len(rows) > 1 and all(ranks.get(row.method) == 1 for row in rows)


def _level_controls(result: Standings) -> list[str]:
    """Controls that no test tells from a competitor, nor from one another, on average."""
    pairs = result.average_pairs
    found: list[str] = []
    for control in (row.method for row in _compressed_controls(result)):
        others = [*result.competitors(), *found]
        tested = all(difference(pairs, control, other) for other in others)
        if tested and not any(result.told_apart(pairs, control, other) for other in others):
            found.append(control)
    return found


def _whom(included: Sequence[str]) -> str:
    return "methods" if included else "competitors"


def _included(names: Sequence[str]) -> str:
    return f", {_listed([escape(name) for name in names])} included" if names else ""


def _lead(result: Standings, one: str, other: str) -> float | None:
    """How far one method is above another on average; `None` where that was not tested."""
    found = difference(result.average_pairs, one, other)
    return None if found is None else found.value


def _beats(result: Standings, one: str, other: str) -> bool:
    """Whether a test finds one method above another on average."""
    lead = _lead(result, one, other)
    return lead is not None and lead > 0 and result.told_apart(result.average_pairs, one, other)


def _interval(result: Standings, one: str, other: str) -> str:
    """A difference on average and half its interval."""
    found = difference(result.average_pairs, one, other)
    return f"{rounded(found.value, 1)} ± {rounded(found.half_width, 1)}" if found else "–"


def _p(result: Standings, one: str, other: str) -> str:
    """A p after Holm's correction, as in 'p = 0.33'."""
    p = result.adjusted(result.average_pairs, one, other)
    return p_words(p)


def _listed(names: Sequence[str], last: str = "and") -> str:
    """Names as a list in words; those beyond the first few are counted."""
    rest = len(names) - NAMED
    *first, final = [*names[:NAMED], f"{rest} more"] if rest > 0 else names
    return f"{', '.join(first)} {last} {final}" if first else final


def _fits(text: str) -> bool:
    return len(text.split()) <= MOST_WORDS
