"""What a score is worth: the answers of words alone, and of the encoder before any fine-tuning."""

from __future__ import annotations

import hashlib
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench import Answers, Floor, FloorRun, MethodInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

Features = Callable[[Any], Callable[[Any], Any]]
"""Learns from training items how to make features `[items, features]` of items."""

FOLDS = 5
"""Of the cross-validation inside the training rows. Rows of equal texts share a fold."""

MOST_ROWS = 10_000
"""Training rows that a floor learns from, the first in the order of a hash of their texts."""

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse of the regularisation that logistic and ridge regression are tried with."""

CONSTANT = "constant"


class TextFloor(Floor):
    """Answer from the words alone, by whatever of three predictors does best on training rows."""

    info = MethodInfo(
        name="text-floor",
        summary="answer from the words alone: constant, word overlap or bag of words",
        kind="reference",
        removes="the encoder",
        starts_from="none",
        control=True,
    )

    def answer(self, run: FloorRun) -> Answers:
        """Answers by the constant, word overlap (of pairs) or the bag of words.

        The bag of words holds the tf-idf of words and pairs of words, a block a side of a pair, and
        the word overlap. The task's own metric chooses among the three, and their regularisation.
        """
        import numpy as np

        train, labels, folds = _learnt_from(run)
        predictors = {"word overlap": _overlap} if train.shape[1] == 2 else {}
        return _best(
            run,
            train,
            labels,
            folds,
            np.array(run.asked, dtype=object),
            {**predictors, "bag of words": _bag_of_words},
            constant=True,
        )


class EncoderFloor(Floor):
    """Answer from the states of the pre-trained encoder, which no fine-tuning has touched."""

    info = MethodInfo(
        name="encoder-floor",
        summary="answer from the pre-trained encoder's mean-pooled states: cosine, or linear probe",
        kind="reference",
        removes="nothing",
        starts_from="pretrained",
        control=True,
    )

    def answer(self, run: FloorRun) -> Answers:
        """Answers pairs of a regression by a cosine, all else by a linear probe.

        The two sides u and v of a pair are read one by one, and the probe sees u, v, |u − v| and
        u · v, as in InferSent (Conneau et al., 2017).
        """
        import numpy as np

        def states(texts: Any, *, charged: bool) -> list[NDArray[Any]]:
            return [run.pooled(side.tolist(), charged=charged) for side in texts.T]

        asked = states(np.array(run.asked, dtype=object), charged=False)
        if run.task.is_regression and len(asked) == 2:
            u, v = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in asked)
            return Answers((u * v).sum(axis=1, keepdims=True), {"predictor": "cosine"})
        train, labels, folds = _learnt_from(run)
        learnt = _joined(states(train, charged=True))
        return _best(run, learnt, labels, folds, _joined(asked), {"linear probe": _scaled})


def _learnt_from(run: FloorRun) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Texts `[rows, sides]`, labels `[rows]` and folds `[rows]` of what a floor learns from."""
    import numpy as np

    hashes = [hashlib.sha256("\0".join(texts).encode()).digest() for texts in run.train]
    chosen = sorted(sorted(range(len(hashes)), key=lambda row: (hashes[row], row))[:MOST_ROWS])
    folds = np.array([hashes[row][-1] % FOLDS for row in chosen])
    return np.array(run.train, dtype=object)[chosen], run.labels[chosen], folds


def _best(
    run: FloorRun,
    train: Any,
    labels: NDArray[Any],
    folds: NDArray[Any],
    asked: Any,
    predictors: Mapping[str, Features],
    *,
    constant: bool = False,
) -> Answers:
    """Answers of the predictor and setting that cross-validation finds best.

    Args:
        run: The run.
        train: What is learnt from, `[rows, …]`.
        labels: Its labels, `[rows]`.
        folds: The fold of each, `[rows]`.
        asked: What is to be answered, `[asked rows, …]`.
        predictors: Kinds of features, by name.
        constant: Whether one answer to all takes part, which wins where nothing is above it.
    """
    import numpy as np

    same = _constant(labels, run.task.num_labels, run.task.is_regression)
    tried: list[tuple[float, str, dict[str, Any]]] = []
    if constant:
        tried.append((run.score(np.tile(same, (len(labels), 1)), labels), CONSTANT, {}))
    for name, features in predictors.items():
        for setting, logits in _cross_validated(run, features, train, labels, folds):
            tried.append((run.score(logits, labels), name, setting))
    score, name, setting = max(tried, key=lambda one: one[0])
    if name == CONSTANT:
        logits = np.tile(same, (len(asked), 1))
    else:
        made = predictors[name](train)
        logits = _fitted(run, setting, made(train), labels)(made(asked))
    chosen = {"predictor": name, **setting, "rows": len(labels), "cross_validated": round(score, 4)}
    return Answers(logits, chosen)


def _cross_validated(
    run: FloorRun, features: Features, train: Any, labels: NDArray[Any], folds: NDArray[Any]
) -> Iterator[tuple[dict[str, Any], NDArray[Any]]]:
    """Each setting, and what it answers to each row when its fold is left out, `[rows, labels]`."""
    import numpy as np

    settings = _settings(run.task.is_regression)
    answers = [np.zeros((len(labels), run.task.num_labels)) for _ in settings]
    for fold in np.unique(folds):
        out = folds == fold
        learnt = ~out if not out.all() else out  # rows of one fold alone cannot be left out
        made = features(train[learnt])
        inside, outside = made(train[learnt]), made(train[out])
        for setting, logits in zip(settings, answers, strict=True):
            logits[out] = _fitted(run, setting, inside, labels[learnt])(outside)
    yield from zip(settings, answers, strict=True)


def _settings(is_regression: bool) -> list[dict[str, Any]]:
    """What is tried: regularisation and, of classes, whether rare ones weigh as much as others.

    The latter moves the threshold, without which a metric such as Matthews' correlation is low.
    """
    if is_regression:
        return [{"alpha": 1 / strength} for strength in STRENGTHS]
    return [{"C": c, "class_weight": w} for c in STRENGTHS for w in (None, "balanced")]


def _fitted(
    run: FloorRun, setting: Mapping[str, Any], features: Any, labels: NDArray[Any]
) -> Callable[[Any], NDArray[Any]]:
    """A linear model fitted on features; gives logits of features."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    classes, is_regression = run.task.num_labels, run.task.is_regression
    if len(np.unique(labels)) == 1:
        same = _constant(labels, classes, is_regression)
        return lambda asked: np.tile(same, (asked.shape[0], 1))
    if is_regression:
        ridge = Ridge(**setting).fit(features, labels)
        return lambda asked: np.asarray(ridge.predict(asked)).reshape(-1, 1)
    model = LogisticRegression(solver="newton-cg", max_iter=200, **setting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps more change no answer
        model.fit(features, labels)

    def logits(asked: Any) -> NDArray[Any]:
        found = model.decision_function(asked)
        if found.ndim == 1:
            found = np.stack([-found, found], axis=1) / 2
        every = np.full((len(found), classes), found.min() - 10)  # of classes that no row has
        every[:, model.classes_] = found
        return every

    return logits


def _constant(labels: NDArray[Any], classes: int, is_regression: bool) -> NDArray[Any]:
    """The mean of a regression, or the logarithms of the classes' shares, `[1, classes]`."""
    import numpy as np

    if is_regression:
        return np.array([[labels.mean()]])
    return np.log((np.bincount(labels, minlength=classes) + 1e-3) / len(labels))[None]


def _words(text: str) -> list[str]:
    """Words and signs in lower case."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def _terms(text: str) -> list[str]:
    """Words, pairs of words, and what a text begins and ends with."""
    words = ["", *_words(text), ""]
    return [*words[1:], *map(" ".join, itertools.pairwise(words))]


def _overlaps(pairs: Any) -> NDArray[Any]:
    """Jaccard index, both containments, and lengths of the sets of words of pairs, `[pairs, 6]`."""
    import numpy as np

    def row(one: set[str], other: set[str]) -> list[float]:
        both, sizes = len(one & other), sorted([len(one), len(other)])
        return [
            both / max(1, len(one | other)),
            both / max(1, len(one)),
            both / max(1, len(other)),
            sizes[0] / max(1, sizes[1]),
            float(np.log1p(len(one))),
            float(np.log1p(len(other))),
        ]

    return np.array([row(set(_words(a)), set(_words(b))) for a, b in pairs])


def _scaled(train: Any) -> Callable[[Any], Any]:
    """Features of mean 0 and variance 1."""
    from sklearn.preprocessing import StandardScaler

    transform: Callable[[Any], Any] = StandardScaler().fit(train).transform
    return transform


def _overlap(train: Any) -> Callable[[Any], Any]:
    scale = _scaled(_overlaps(train))
    return lambda rows: scale(_overlaps(rows))


def _bag_of_words(train: Any) -> Callable[[Any], Any]:
    """Tf-idf of the terms of each side, and the overlap of pairs."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    sides = [TfidfVectorizer(analyzer=_terms, sublinear_tf=True).fit(side) for side in train.T]
    overlap = _overlap(train) if len(sides) == 2 else None

    def features(rows: Any) -> Any:
        blocks = [side.transform(texts) for side, texts in zip(sides, rows.T, strict=True)]
        return hstack([*blocks, *([csr_matrix(overlap(rows))] if overlap else [])], format="csr")

    return features


def _joined(sides: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The features of a probe: the states of a text or, of a pair, how they go together, too."""
    import numpy as np

    if len(sides) == 1:
        return sides[0]
    u, v = sides
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)
