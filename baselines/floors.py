"""What a score is worth: the answers of words alone, and of the encoder before any fine-tuning."""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import Answers, Floor, FloorRun, MethodInfo

from .span_floors import answer_spans, cosine, shared_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

Features = Callable[[Any], Callable[[Any], Any]]

FOLDS = 5
"""Of the cross-validation inside the training rows. Rows of equal texts share a fold."""

MOST_ROWS = 10_000
"""Training rows that a floor learns from, the first in the order of a hash of their texts."""

CONSTANT = "constant"


@dataclass(frozen=True)
class Predictor:
    """What a linear model learns from.

    Attributes:
        train: Of the training rows, `[rows, …]`.
        asked: Of the rows that are asked, `[asked rows, …]`.
        features: Learns from some of `train` how to make features `[rows, features]`.
        strengths: Inverses of the regularisation that are tried, the strongest one first.
    """

    train: Any
    asked: Any
    features: Features
    strengths: tuple[float, ...]


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
        Where spans are looked for, it chooses between no answer and the sentence of the context
        with most words of the question.
        """
        import numpy as np

        train, labels, folds = _learnt_from(run)
        if run.task.finds_spans:
            likeness = shared_words(_words)
            return answer_spans(run, train, labels, "most shared words", likeness, likeness)
        asked = np.array(run.asked, dtype=object)
        predictors = {"bag of words": _bag_of_words(train, asked)}
        if train.shape[1] == 2:
            overlap = Predictor(_overlaps(train), _overlaps(asked), _scaled, (0.01, 0.1, 1.0))
            predictors = {"word overlap": overlap, **predictors}
        return _best(run, labels, folds, predictors, constant=True)


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
        u · v, as in InferSent (Conneau et al., 2017). Where spans are looked for, the answer is the
        sentence of the context with the largest cosine to the question, or none.
        """
        import numpy as np

        if run.task.finds_spans:
            train, labels, _ = _learnt_from(run)
            charged = cosine(functools.partial(run.pooled, charged=True))
            free = cosine(functools.partial(run.pooled, charged=False))
            return answer_spans(run, train, labels, "cosine", charged, free)

        def states(texts: Any, *, charged: bool) -> list[NDArray[Any]]:
            return [run.pooled(side.tolist(), charged=charged) for side in texts.T]

        asked = states(np.array(run.asked, dtype=object), charged=False)
        if run.task.is_regression and len(asked) == 2:
            u, v = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in asked)
            return Answers((u * v).sum(axis=1, keepdims=True), {"predictor": "cosine"})
        train, labels, folds = _learnt_from(run)
        learnt = _joined(states(train, charged=True))
        probe = Predictor(learnt, _joined(asked), _scaled, (0.0001, 0.001, 0.01, 0.1))
        return _best(run, labels, folds, {"linear probe": probe})


def _learnt_from(run: FloorRun) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Texts `[rows, sides]`, labels `[rows]` and folds `[rows]` of what a floor learns from."""
    import numpy as np

    hashes = [hashlib.sha256("\0".join(texts).encode()).digest() for texts in run.train]
    chosen = sorted(sorted(range(len(hashes)), key=lambda row: (hashes[row], row))[:MOST_ROWS])
    folds = np.array([hashes[row][-1] % FOLDS for row in chosen])
    return np.array(run.train, dtype=object)[chosen], run.labels[chosen], folds


def _best(
    run: FloorRun,
    labels: NDArray[Any],
    folds: NDArray[Any],
    predictors: Mapping[str, Predictor],
    *,
    constant: bool = False,
) -> Answers:
    """Answers of the predictor and setting that cross-validation finds best.

    Args:
        run: The run.
        labels: Of the rows that are learnt from, `[rows]`.
        folds: The fold of each, `[rows]`.
        predictors: By name.
        constant: Whether one answer to all takes part, which wins where nothing is above it.
    """
    import numpy as np

    same = _constant(labels, run.task.num_labels, run.task.is_regression)
    tried: list[tuple[float, str, dict[str, Any]]] = []
    if constant:
        tried.append((run.score(np.tile(same, (len(labels), 1)), labels), CONSTANT, {}))
    for name, predictor in predictors.items():
        answers = _cross_validated(run, predictor, labels, folds)
        for strength, logits in zip(predictor.strengths, answers, strict=True):
            for setting in _settings(strength, run.task.is_regression):
                shifted = logits - _shift(setting, same)
                tried.append((run.score(shifted, labels), name, setting))
    score, name, setting = max(tried, key=lambda one: one[0])
    if name == CONSTANT:
        logits = np.tile(same, (len(run.asked), 1))
    else:
        chosen = predictors[name]
        made = chosen.features(chosen.train)
        (logits,) = _fitted(run, (setting["strength"],), made(chosen.train), labels,
                            made(chosen.asked))  # fmt: skip
        logits = logits - _shift(setting, same)
    facts = {"predictor": name, **setting, "rows": len(labels), "cross_validated": round(score, 4)}
    return Answers(logits, facts)


def _cross_validated(
    run: FloorRun, predictor: Predictor, labels: NDArray[Any], folds: NDArray[Any]
) -> list[NDArray[Any]]:
    """What is answered to each row when its fold is left out, `[rows, labels]` a strength."""
    import numpy as np

    answers = [np.zeros((len(labels), run.task.num_labels)) for _ in predictor.strengths]
    for fold in np.unique(folds):
        out = folds == fold
        learnt = ~out if not out.all() else out  # rows of one fold alone cannot be left out
        made = predictor.features(predictor.train[learnt])
        found = _fitted(run, predictor.strengths, made(predictor.train[learnt]), labels[learnt],
                        made(predictor.train[out]))  # fmt: skip
        for logits, of_fold in zip(answers, found, strict=True):
            logits[out] = of_fold
    return answers


def _settings(strength: float, is_regression: bool) -> list[dict[str, Any]]:
    """A strength of regularisation and, of classes, what they are taken to occur like."""
    if is_regression:
        return [{"strength": strength}]
    return [{"strength": strength, "classes": classes} for classes in ("as trained", "even")]


def _shift(setting: Mapping[str, Any], constant: NDArray[Any]) -> Any:
    """What is taken off logits: the logarithms of the classes' shares, where these are even.

    So a rare class is answered as often as Matthews' correlation or macro F1 wants it (logit
    adjustment: Menon et al., 2021).
    """
    return constant if setting.get("classes") == "even" else 0.0


def _fitted(
    run: FloorRun,
    strengths: Sequence[float],
    features: Any,
    labels: NDArray[Any],
    asked: Any,
) -> list[NDArray[Any]]:
    """Logits of what is asked, `[asked rows, labels]` a strength, by models fitted on features."""
    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    classes, is_regression = run.task.num_labels, run.task.is_regression
    if len(np.unique(labels)) == 1:
        same = _constant(labels, classes, is_regression)
        return [np.tile(same, (asked.shape[0], 1)) for _ in strengths]
    if is_regression:
        ridges = (Ridge(alpha=1 / strength).fit(features, labels) for strength in strengths)
        return [np.asarray(ridge.predict(asked)).reshape(-1, 1) for ridge in ridges]
    model = LogisticRegression(solver="newton-cg", max_iter=100, warm_start=True)
    answers = []
    for strength in strengths:  # each begins where the one before has ended
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # more steps change no answer
            model.set_params(C=strength).fit(features, labels)
        found = model.decision_function(asked)
        if found.ndim == 1:
            found = np.stack([-found, found], axis=1) / 2
        every = np.full((len(found), classes), found.min() - 10)  # of classes that no row has
        every[:, model.classes_] = found
        answers.append(every)
    return answers


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


def _bag_of_words(train: NDArray[Any], asked: NDArray[Any]) -> Predictor:
    """Tf-idf of the terms of each side of texts, `[rows, sides]`, and the overlap of pairs."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    counters = [CountVectorizer(analyzer=_terms).fit(side) for side in train.T]

    def counted(texts: NDArray[Any]) -> Any:
        sides = [counter.transform(side) for counter, side in zip(counters, texts.T, strict=True)]
        both = [csr_matrix(_overlaps(texts))] if len(sides) == 2 else []
        return hstack([*sides, *both], format="csr")

    terms = sum(len(counter.vocabulary_) for counter in counters)

    def features(inside: Any) -> Callable[[Any], Any]:
        known = np.flatnonzero(inside[:, :terms].getnnz(axis=0))
        weigh = TfidfTransformer(sublinear_tf=True).fit(inside[:, known])
        scale = _scaled(inside[:, terms:].toarray()) if inside.shape[1] > terms else None

        def made(rows: Any) -> Any:
            weighed = weigh.transform(rows[:, known])
            if scale is None:
                return weighed
            return hstack([weighed, csr_matrix(scale(rows[:, terms:].toarray()))], format="csr")

        return made

    return Predictor(counted(train), counted(asked), features, (0.1, 1.0, 10.0))


def _joined(sides: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The features of a probe: the states of a text or, of a pair, how they go together, too."""
    import numpy as np

    if len(sides) == 1:
        return sides[0]
    u, v = sides
    return np.concatenate([u, v, np.abs(u - v), u * v], axis=1)
