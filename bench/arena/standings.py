"""The figures of a round, by model and by annotator, and a view of all costs together."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.arena.figures import (
    Metric,
    Rates,
    Share,
    accuracy,
    agreement,
    dynascores,
    error_rates,
    median_seconds,
)

if TYPE_CHECKING:
    from bench.arena.accounts import Account
    from bench.arena.answers import Model
    from bench.arena.examples import Example, Round
    from bench.results.store import Store

WEIGHTS = {
    "accuracy": Metric(4),
    "megabytes": Metric(1, cost=True),
    "milliseconds": Metric(1, cost=True),
}
"""Of a Dynascore: accuracy counts four times what a cost does, as in Dynaboard's own example."""


@dataclass(frozen=True)
class ModelLine:
    """What a model comes to in a round.

    Attributes:
        accuracy: Of the validated examples.
        milliseconds: Median of an answer; `None` of none.
        megabytes: Of its file; `None` where its record has vanished.
        dynascore: `None` where it is not defined.
    """

    model: Model
    rates: Rates
    accuracy: Share
    milliseconds: float | None
    megabytes: float | None
    dynascore: float | None


@dataclass(frozen=True)
class AuthorLine:
    """What somebody has written in a round.

    Attributes:
        rates: By model.
        seconds: Median time an example.
    """

    author: int
    written: int
    seconds: float | None
    rates: dict[str, Rates]


@dataclass(frozen=True)
class Standings:
    """The figures of a round.

    Attributes:
        written: Examples.
        validated: Those that count.
        rejected: Those that do not.
        waiting: Those that are still to be validated.
        agreement: Krippendorff's alpha; `None` where it is not defined.
        seconds: Median time an example.
    """

    round: Round
    written: int
    validated: int
    rejected: int
    waiting: int
    agreement: float | None
    seconds: float | None
    models: list[ModelLine]
    authors: list[AuthorLine]


def standings(
    held: Round,
    examples: Sequence[Example],
    models: Mapping[str, Model],
    megabytes: Mapping[str, float | None],
) -> Standings:
    """The figures of a round.

    Args:
        held: The round.
        examples: Its examples.
        models: Every model that has played, by id.
        megabytes: Of their files, as far as records of them are there.
    """
    played = [one for one in models.values() if any(one.id in e.answers for e in examples)]
    verdicts = [one.verdict(held.rule) for one in examples]
    lines = [_model_line(held, examples, one, megabytes.get(one.id)) for one in played]
    scores = _scores(lines)
    authors = dict.fromkeys(one.author for one in examples)
    return Standings(
        round=held,
        written=len(examples),
        validated=verdicts.count("validated"),
        rejected=verdicts.count("rejected"),
        waiting=verdicts.count("open"),
        agreement=agreement(examples),
        seconds=median_seconds(examples),
        models=[
            ModelLine(**{**vars(line), "dynascore": scores.get(line.model.id)}) for line in lines
        ],
        authors=[
            _author_line(held, [one for one in examples if one.author == author], played)
            for author in authors
        ],
    )


def _model_line(
    held: Round, examples: Sequence[Example], model: Model, megabytes: float | None
) -> ModelLine:
    times = [one.answers[model.id].milliseconds for one in examples if model.id in one.answers]
    return ModelLine(
        model=model,
        rates=error_rates(examples, model.id, model.dense, held.rule),
        accuracy=accuracy(examples, model.id, held.rule),
        milliseconds=statistics.median(times) if times else None,
        megabytes=megabytes,
        dynascore=None,
    )


def _author_line(held: Round, examples: Sequence[Example], models: Sequence[Model]) -> AuthorLine:
    return AuthorLine(
        author=examples[0].author,
        written=len(examples),
        seconds=median_seconds(examples),
        rates={
            one.id: error_rates(examples, one.id, one.dense, held.rule)
            for one in models
            if one.dense is not None
        },
    )


def _scores(lines: Sequence[ModelLine]) -> dict[str, float]:
    values = {
        line.model.id: {
            "accuracy": 100 * line.accuracy.value,
            "megabytes": line.megabytes,
            "milliseconds": line.milliseconds,
        }
        for line in lines
        if line.accuracy.value is not None
        and line.megabytes is not None
        and line.milliseconds is not None
    }
    return dynascores(values, WEIGHTS, "accuracy") or {}


def names_of(accounts: Sequence[Account]) -> dict[int, str]:
    """What accounts are called in sets and exports."""
    return {one.id: one.pseudonym for one in accounts}


def megabytes_of(store: Store, models: dict[str, Any]) -> dict[str, float | None]:
    """MB of the models' files; `None` of those whose record has vanished."""
    found: dict[str, float | None] = {}
    for number in models:
        record = store.get(number)
        size = record.footprint.get("bytes", {}).get("actual") if record is not None else None
        found[number] = None if size is None else size / 1e6
    return found


def as_plain(made: Standings, names: Mapping[int, str]) -> dict[str, Any]:
    """The figures of a round as files have them; see `bench.results.rounds`.

    Args:
        made: The figures.
        names: What authors are called.
    """
    held = made.round
    return {
        "name": held.name,
        "task": held.task,
        "closed": held.closed,
        "votes": held.rule.votes,
        "agreeing": held.rule.agreeing,
        "written": made.written,
        "validated": made.validated,
        "rejected": made.rejected,
        "waiting": made.waiting,
        "agreement": made.agreement,
        "median_seconds": made.seconds,
        "models": [
            {
                **vars(line.model),
                "name": str(line.model),
                "mer": _share(line.rates.mer),
                "vmer": _share(line.rates.vmer),
                "lost": None if line.rates.lost is None else _share(line.rates.lost),
                "accuracy": _share(line.accuracy),
                "milliseconds": line.milliseconds,
                "megabytes": line.megabytes,
                "dynascore": line.dynascore,
            }
            for line in made.models
        ],
        "authors": [
            {
                "author": names[line.author],
                "written": line.written,
                "median_seconds": line.seconds,
                "models": {
                    model: {"mer": _share(rates.mer), "vmer": _share(rates.vmer)}
                    for model, rates in line.rates.items()
                },
            }
            for line in made.authors
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    return {"count": share.count, "of": share.of, "share": share.value, "interval": share.interval}
