"""Everything that is held equal among methods, and how training rows are capped and cut.

Two results may stand in one table only if their protocol has the same hash.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.files import digest

Precision = Literal["fp32", "bf16"]

EFFORTS = {
    "quick": {"trials": 4, "seeds": 3, "epochs": 3},
    "standard": {"trials": 20, "seeds": 5, "epochs": 6},
    "paper": {"trials": 40, "seeds": 5, "epochs": 12},
}
"""Named efforts: trials of a study, report seeds, and epochs of a training."""

CAP_SALT = "cap"
TUNE_SALT = "tune"

UNSAID: dict[str, object] = {
    "max_train_samples": None,
    "corpus": "",
    "learning_rate": 1e-4,
    "batch_size": 32,
    "dropout": 0.1,
    "clip_norm": 1.0,
    "augment": 0,
    "carried": "",
    "version": 2,
}
"""What a hash does not say. Never changed, whatever becomes of the defaults, or equal hashes would
stand for other settings; a new field enters with its default, and old hashes stay."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is held equal. Lists of methods, tasks, ratios and seeds are no part of it.

    Attributes:
        epochs: Passes over the training rows, for every training of every method.
        trials: Optuna trials a method, task and ratio; 0 means default parameters.
        precision: Arithmetic of the training; evaluation is always in fp32.
        max_train_samples: Cap on a task's training rows, or `None`.
        corpus: Hash of the unlabelled text for general distillation; empty for a task's own.
        learning_rate: Default peak rate of every method; its own tuning may move it.
        batch_size: Rows of one optimizer step.
        dropout: Probability in embeddings, attention, hidden layers and head while training.
        clip_norm: Largest 2-norm of the gradient of one step.
        carried: The suite that parameters were carried from; empty for none.
        augment: Variants by word replacement that are drawn of each training row; 0 means none.
        version: Raised when the same settings would now give other numbers; the only version that
            the key of a reference knows.
    """

    epochs: int
    trials: int
    precision: Precision
    max_train_samples: int | None = None
    corpus: str = ""
    learning_rate: float = 1e-4
    batch_size: int = 32
    dropout: float = 0.1
    clip_norm: float = 1.0
    augment: int = 0
    carried: str = ""
    version: int = 2

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits over all fields but those that have their value in `UNSAID`."""
        fields = dataclasses.asdict(self).items()
        return digest({k: v for k, v in fields if k not in UNSAID or v != UNSAID[k]})[:12]


def row_hash(texts: Sequence[str], salt: str) -> bytes:
    """A row's place in a salted order that depends on its texts alone."""
    return hashlib.sha256("\0".join((salt, *texts)).encode()).digest()


def cap(rows: Sequence[Sequence[str]], limit: int | None) -> list[int]:
    """The first `limit` rows in the order of a hash of their texts, as sorted row numbers."""
    if limit is None or len(rows) <= limit:
        return list(range(len(rows)))
    order = sorted(range(len(rows)), key=lambda i: (row_hash(rows[i], CAP_SALT), i))
    return sorted(order[:limit])


def cut_tune(rows: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Cuts training rows into *fit* and *tune*.

    Tune gets 10 % of the rows, at most 2,000, or 20 % below 5,000 rows. Rows of equal texts fall on
    the same side, whatever their labels.

    Args:
        rows: The texts of each row.

    Returns:
        Row numbers of fit and of tune, each sorted.
    """
    share = 0.2 if len(rows) < 5000 else 0.1
    wanted = min(2000, round(share * len(rows)))
    hashes = [row_hash(texts, TUNE_SALT) for texts in rows]
    ordered = sorted(hashes)
    while 0 < wanted < len(rows) and ordered[wanted - 1] == ordered[wanted]:
        wanted -= 1  # a group of equal rows that does not fit whole stays in fit
    chosen = set(ordered[:wanted])
    fit = [i for i, value in enumerate(hashes) if value not in chosen]
    tune = [i for i, value in enumerate(hashes) if value in chosen]
    return fit, tune
