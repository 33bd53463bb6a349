"""Simulated results whose truth is known: smooth seeds, seeds in two groups, constant answers.

What a method answers to an example follows a latent figure: the method's quality, plus what its
seed did, plus how hard the example is for all, plus how hard it is for this method, plus chance.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from bench.answers import text_column
from bench.leaderboard.statistics import LEAST_SEEDS, Difference, Estimate, Sample
from bench.metrics import METRICS, influence

EXAMPLES = 300
SHARED, OWN, CHANCE = 0.7, 0.6, 0.4
"""Standard deviations of the example's part: for all methods, for one, and in one seed."""

SEED = {"accuracy": 0.09, "matthews": 0.09, "pearson_spearman": 0.13}
"""Standard deviations of the seed's part, at which seeds and examples vary alike at three seeds."""


@dataclass(frozen=True)
class Smooth:
    """A task on which seeds vary as a normal figure does.

    Attributes:
        metric: A key of `SEED`.
        last: How many times as much as the others the last method varies from seed to seed.
    """

    metric: str = "accuracy"
    last: float = 1.0

    def __str__(self) -> str:
        return self.metric + (f", the last varies {self.last:g} times as much" * (self.last != 1))


@dataclass(frozen=True)
class TwoGroups:
    """A task that a seed either learns or does not.

    Attributes:
        learns: The probability that a seed does.
        gap: Points between the expected scores of those that do and those that do not.
        low: The expected score of those that do not.
        metric: A key of `SEED`.
    """

    learns: float
    gap: float
    low: float = 30.0
    metric: str = "accuracy"

    def __str__(self) -> str:
        return f"{self.metric}, {self.learns:g} of seeds learn, {self.gap:g} points apart"


@dataclass(frozen=True)
class Planted:
    """A table of methods that are equal in truth.

    Attributes:
        tasks: What is true on each of its tasks.
        methods: How many, the constant ones included.
        seeds: How many.
        constant: How many of them, the first ones, give one answer to everything; they are equal to
            each other, and not compared with those that do not.
    """

    tasks: tuple[Smooth | TwoGroups, ...]
    methods: int = 8
    seeds: int = 5
    constant: int = 0

    @property
    def compared(self) -> list[str]:
        """The methods that are equal in truth."""
        return [f"m{number}" for number in range(self.constant, self.methods)]

    def draw(self, rng: np.random.Generator) -> tuple[list[dict[str, Sample]], list[np.ndarray]]:
        """One table: samples by method, and which seeds learnt, `[methods, seeds]`, a task each."""
        samples, learnt = [], []
        for task in self.tasks:
            learns = np.zeros((self.methods, self.seeds), bool)
            quality = np.ones((self.methods, self.seeds))
            spread = [1.0] * self.methods
            if isinstance(task, TwoGroups):
                learns = rng.random(quality.shape) < task.learns
                low, high = (quality_of(task.metric, task.low + gap) for gap in (0.0, task.gap))
                quality = np.where(learns, high, low)
            else:
                spread[-1] = task.last
            drawn = draw(rng, task.metric, quality, self.seeds, spread)
            samples.append(collapse(drawn, self.compared) if self.constant else drawn)
            learnt.append(learns)
        return samples, learnt


def expected(task: Smooth | TwoGroups) -> float:
    """The expected score of any method that is not constant (of `Smooth`, but for the last)."""
    if isinstance(task, Smooth):
        return truth(task.metric, 1.0)
    low, high = (
        truth(task.metric, quality_of(task.metric, task.low + gap)) for gap in (0.0, task.gap)
    )
    return low + task.learns * (high - low)


@functools.cache
def quality_of(metric: str, score: float) -> float:
    """The quality at which a method's expected score is the given one."""
    return float(optimize.brentq(lambda quality: truth(metric, quality) - score, -9, 9))


def draw(
    rng: np.random.Generator,
    metric: str,
    quality: list[float] | np.ndarray,
    seeds: int,
    spread: list[float] | None = None,
) -> dict[str, Sample]:
    """Results of methods `m0`, `m1`, … of the given qualities.

    Args:
        rng: Draws them.
        metric: A key of `SEED`.
        quality: The latent mean, or the slope on the labels for a regression, `[methods]` or
            `[methods, seeds]`.
        seeds: How many.
        spread: What the seed's part is multiplied by, a method.
    """
    shape = (len(quality), seeds, EXAMPLES)
    regression = metric == "pearson_spearman"
    labels = rng.normal(size=EXAMPLES) if regression else rng.integers(0, 2, EXAMPLES)
    moved = SEED[metric] * rng.normal(size=(len(quality), seeds, 1))
    shift = moved * np.reshape(spread or [1.0] * len(quality), (-1, 1, 1))
    shift = shift + np.reshape(quality, (len(quality), -1, 1))
    noise = (
        SHARED * rng.normal(size=EXAMPLES)
        + OWN * rng.normal(size=(len(quality), 1, EXAMPLES))
        + CHANCE * rng.normal(size=shape)
    )
    answers = (
        shift * labels + noise if regression else np.where(shift + noise > 0, labels, 1 - labels)
    )
    scores = score(metric, answers, labels).tolist()
    return {
        f"m{m}": Sample(
            dict(enumerate(scores[m])),
            {s: influence(METRICS[metric].figures, answers[m, s], labels) for s in range(seeds)},
        )
        for m in range(len(quality))
    }


def collapse(samples: dict[str, Sample], alive: list[str]) -> dict[str, Sample]:
    """The same, but all except those named predict a constant, which scores 0."""
    return {
        name: sample
        if name in alive
        else Sample(
            dict.fromkeys(sample.scores, 0.0),
            {seed: np.zeros(EXAMPLES) for seed in sample.influence},
        )
        for name, sample in samples.items()
    }


def score(metric: str, answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The metric, written down a second time and quick: of `[…, examples]` for all at once."""
    if metric == "accuracy":
        return 100 * (answers == labels).mean(axis=-1)
    if metric == "matthews":
        return 100 * correlation(answers, labels)
    ranks = stats.rankdata(answers, axis=-1), stats.rankdata(labels)
    return 50 * (correlation(answers, labels) + correlation(*ranks))


def correlation(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Pearson's, over the last axis."""
    x = answers - answers.mean(axis=-1, keepdims=True)
    y = labels - labels.mean()
    return x @ y / np.sqrt((x * x).sum(axis=-1) * (y @ y))


def truth(metric: str, quality: float) -> float:
    """The expected score over seeds and examples, by quadrature over the seed's part."""
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    shift = quality + SEED[metric] * points
    noise = math.sqrt(SHARED**2 + OWN**2 + CHANCE**2)
    if metric == "pearson_spearman":
        r = shift / np.hypot(shift, noise)
        value = (r + 6 / math.pi * np.arcsin(r / 2)) / 2
    else:
        right = stats.norm.cdf(shift / noise)
        value = right if metric == "accuracy" else 2 * right - 1
    return 100 * float(weights @ value / weights.sum())


def answers(metric: str, rows: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Answers of which most are right, and labels: with ties, or of two or three classes."""
    rng = np.random.default_rng(7)
    if METRICS[metric].spans:
        texts = ["the north", "North", "a river in the north", "the river", "", "south"]
        labels = [tuple(texts[at] for at in {*rng.integers(6, size=2)} - {4}) for _ in range(rows)]
        drawn = rng.integers(6, size=rows)
        given = [(*right, texts[other])[0] if rng.random() < 0.6 else texts[other]
                 for right, other in zip(labels, drawn, strict=True)]  # fmt: skip
        return text_column(given), text_column(labels)
    if METRICS[metric].regression:
        labels = rng.integers(0, 26, rows) / 5  # STS-B's steps: ties
        return np.round(labels + rng.normal(size=rows) * 2, 1), labels
    classes = 3 if metric in ("accuracy", "matthews", "macro_f1") else 2
    labels = rng.integers(0, classes, rows)
    return np.where(rng.random(rows) < 0.7, labels, rng.integers(0, classes, rows)), labels


def lead(estimate: Estimate, seeds: int = 2 * LEAST_SEEDS) -> Difference:
    """A difference of the given error for other examples; for other seeds it is as sure as can be.

    All seeds of the higher method are above all of the lower one.
    """
    ordered = np.linspace(0.0, 1e-6, seeds)
    return Difference(estimate, ((ordered + estimate.value, ordered),))
