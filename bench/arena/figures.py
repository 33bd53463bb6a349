"""What a round comes to: error rates, agreement, time, and a score of all costs together.

Rates are those of Kiela et al. 2021 (Dynabench): of all examples that were written, how many fooled
the model, and how many did so and were validated. The score is that of Ma et al. 2021 (Dynaboard).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.leaderboard.dynascore import exchanged
from bench.leaderboard.statistics import share_interval

if TYPE_CHECKING:
    from bench.arena.examples import Example
    from bench.arena.verdicts import Rule


@dataclass(frozen=True)
class Share:
    """So many of all.

    Attributes:
        count: How many.
        of: How many there are.
    """

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The share; `None` of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %, by Clopper and Pearson, as if no two examples had an author in common."""
        return share_interval(self.count, self.of) if self.of else None


@dataclass(frozen=True)
class Rates:
    """How often a model was fooled.

    Attributes:
        mer: Model error rate: examples that it answered other than their author.
        vmer: Validated model error rate: those of them that validators have confirmed. As in
            Dynabench both are of all examples, those that are still to be validated included.
        lost: What compression broke: of all examples those that were validated and that this
            model gets wrong and the dense one right. `None` of a dense model.
    """

    mer: Share
    vmer: Share
    lost: Share | None


def error_rates(examples: Iterable[Example], model: str, dense: str | None, rule: Rule) -> Rates:
    """How often a model was fooled by some examples that it has answered.

    Args:
        examples: The examples.
        model: The model's id.
        dense: That of the model that it was compressed from; `None` of a dense one.
        rule: When an example counts.
    """
    answered = [one for one in examples if model in one.answers]
    fooled = [one for one in answered if one.answers[model].label != one.label]
    confirmed = [one for one in fooled if one.verdict(rule) == "validated"]
    held = [
        one for one in confirmed if dense in one.answers and one.answers[dense].label == one.label
    ]
    return Rates(
        mer=Share(len(fooled), len(answered)),
        vmer=Share(len(confirmed), len(answered)),
        lost=None if dense is None else Share(len(held), len(answered)),
    )


def accuracy(examples: Iterable[Example], model: str, rule: Rule) -> Share:
    """How many of the validated examples a model gets right."""
    counted = [one for one in examples if model in one.answers and one.verdict(rule) == "validated"]
    return Share(sum(one.answers[model].label == one.label for one in counted), len(counted))


def median_seconds(examples: Iterable[Example]) -> float | None:
    """How long an example takes; the median, since a form may stay open over lunch."""
    seconds = [one.seconds for one in examples]
    return statistics.median(seconds) if seconds else None


def agreement(examples: Iterable[Example]) -> float | None:
    """Krippendorff's alpha of the validators, for nominal labels.

    An example's author is no validator. That an example cannot be told is a label as others are.

    Returns:
        1 of perfect agreement, 0 of what chance gives; `None` where no example has two votes, or
        all votes are the same, which tells nothing of agreement.
    """
    from nltk.metrics.agreement import AnnotationTask  # takes seconds to be imported

    votes = [
        (str(account), str(one.id), str(vote))
        for one in examples
        if len(one.votes) > 1
        for account, vote in one.votes.items()
    ]
    if len({vote for _, _, vote in votes}) < 2:
        return None
    return float(AnnotationTask(data=votes).alpha())


@dataclass(frozen=True)
class Metric:
    """One thing that models are weighed by.

    Attributes:
        weight: How much it counts, beside the others.
        cost: Whether less of it is better.
    """

    weight: float
    cost: bool = False


def dynascores(
    values: Mapping[str, Mapping[str, float]], metrics: Mapping[str, Metric], performance: str
) -> dict[str, float] | None:
    """All that models are weighed by, in points of performance.

    A metric in points (`bench.leaderboard.dynascore`) counts by its weight, and weights sum to 1. A
    cost counts below 0, as it does in the paper; a metric of which all have as much counts nothing.

    Args:
        values: By model, the value of each metric.
        metrics: By name, how each metric counts.
        performance: The name of the metric that others are exchanged for.

    Returns:
        A score of each model; `None` where no two of them differ in performance, so that nothing
        can be exchanged.
    """
    signed = {
        name: [-held[name] if metric.cost else held[name] for held in values.values()]
        for name, metric in metrics.items()
    }
    points = exchanged([held[performance] for held in values.values()], signed)
    if performance not in points:
        return None
    total = math.fsum(metric.weight for metric in metrics.values())
    return {
        model: math.fsum(
            metrics[name].weight / total * (held[place] or 0.0) for name, held in points.items()
        )
        for place, model in enumerate(values)
    }
