"""Simulated results whose truth is known: seeds and examples that vary about as much as each other.

What a method answers to an example follows a latent figure: the method's quality, plus what its
seed did, plus how hard the example is for all, plus how hard it is for this method, plus chance.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from bench.leaderboard.statistics import Sample
from bench.metrics import METRICS, influence

EXAMPLES = 300
SHARED, OWN, CHANCE = 0.7, 0.6, 0.4
"""Standard deviations of the example's part: for all methods, for one, and in one seed."""

SEED = {"accuracy": 0.09, "matthews": 0.09, "pearson_spearman": 0.13}
"""Standard deviations of the seed's part, at which seeds and examples vary alike at three seeds."""


def draw(
    rng: np.random.Generator,
    metric: str,
    quality: list[float],
    seeds: int,
    spread: list[float] | None = None,
) -> dict[str, Sample]:
    """Results of methods `m0`, `m1`, … of the given qualities.

    Args:
        rng: Draws them.
        metric: A key of `SEED`.
        quality: The latent mean, or the slope on the labels for a regression, a method.
        seeds: How many.
        spread: What the seed's part is multiplied by, a method.
    """
    shape = (len(quality), seeds, EXAMPLES)
    regression = metric == "pearson_spearman"
    labels = rng.normal(size=EXAMPLES) if regression else rng.integers(0, 2, EXAMPLES)
    moved = SEED[metric] * rng.normal(size=(len(quality), seeds, 1))
    shift = moved * np.reshape(spread or [1.0] * len(quality), (-1, 1, 1))
    shift = shift + np.reshape(quality, (-1, 1, 1))
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
    if METRICS[metric].regression:
        labels = rng.integers(0, 26, rows) / 5  # STS-B's steps: ties
        return np.round(labels + rng.normal(size=rows) * 2, 1), labels
    classes = 3 if metric in ("accuracy", "matthews", "macro_f1") else 2
    labels = rng.integers(0, classes, rows)
    return np.where(rng.random(rows) < 0.7, labels, rng.integers(0, classes, rows)), labels
