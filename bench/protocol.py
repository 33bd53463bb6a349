"""Everything that is held equal among methods.

Two results may stand in one table only if their protocol has the same hash.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.files import json_hash

Precision = Literal["fp32", "bf16"]

Overlap = Literal["removed", "kept"]

SEQUENCE_LENGTH = 128
"""Tokens that rows are cut at, and of the one example that FLOPs are counted and matched on, where
nothing else is said."""

TOLERANCE = 0.98
"""Share of the wanted ratio that a delivered model has to achieve."""

EFFORTS = {
    "quick": {"trials": 4, "seeds": 3, "epochs": 3},
    "standard": {"trials": 20, "seeds": 5, "epochs": 6},
    "paper": {"trials": 40, "seeds": 5, "epochs": 12},
}
"""Named efforts: trials of a study, report seeds, and epochs of a training.

Epochs are those of docs/convergence.md: at "quick" dense still gains by a longer training on STS-B;
"standard" is the smallest number that was tried at which it does not; "paper" is twice that.
"""

OPTIONS = ("perturb", "max_train_samples", "pretrain_steps", "intermediate")
"""Fields that a method may be pinned to as well (`magnitude:perturb=none`). Such a row has a dense
model of its own, under the same options, which it starts and learns from and is read against."""

NONE = "none"
"""How a pin says that an option is off, which a protocol says by an empty text."""

SYNTHETIC = ("synthetic", "synthetic-binary")
"""Intermediate tasks that are made from unlabelled text: to find the real ending of a passage among
fakes, or to say of one ending whether it is real."""

UNSAID: dict[str, object] = {
    "max_train_samples": None,
    "corpus": "",
    "learning_rate": 1e-4,
    "batch_size": 32,
    "dropout": 0.1,
    "clip_norm": 1.0,
    "augment": 0,
    "carried": "",
    "sequence_length": 128,
    "overlap": "kept",
    "perturb": "",
    "pretrain_steps": 0,
    "adapt_from": "",
    "intermediate": "",
    "generator": "",
    "train_with": "",
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
        sequence_length: Tokens that rows are cut at, and of the one example that FLOPs are counted
            and matched on.
        overlap: What becomes of training rows whose text is a report row's.
        perturb: How the input of a training is perturbed; see
            `bench.training.perturbation.Perturbation`. Empty for not at all.
        pretrain_steps: Optimizer steps for which the encoder first goes on learning to name hidden
            pieces of the unlabelled text.
        adapt_from: A task of another domain, whose training rows are learnt as well; see
            `bench.training.easy_adapt`. Empty for none.
        intermediate: The task that the encoder is fine-tuned on before anything else, by its name,
            or one of `SYNTHETIC`. Empty for none.
        generator: Hash of the model that writes fake endings; empty for the encoder itself.
        train_with: Closed rounds of an arena whose examples are learnt as well, which commas
            separate; see `bench.data.further`. Empty for none.
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
    sequence_length: int = SEQUENCE_LENGTH
    overlap: Overlap = "removed"
    perturb: str = ""
    pretrain_steps: int = 0
    adapt_from: str = ""
    intermediate: str = ""
    generator: str = ""
    train_with: str = ""
    version: int = 3

    def under(self, options: Mapping[str, str]) -> Protocol:
        """The protocol of a method that is pinned to some of `OPTIONS`, each said as a text."""
        values: dict[str, Any] = {
            name: UNSAID[name] if said in ("", NONE) else said if UNSAID[name] == "" else int(said)
            for name, said in options.items()
        }
        return dataclasses.replace(self, **values)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits over all fields but those that have their value in `UNSAID`."""
        fields = dataclasses.asdict(self).items()
        return json_hash({k: v for k, v in fields if k not in UNSAID or v != UNSAID[k]})[:12]


def meets(achieved: float, wanted: float) -> bool:
    """Whether a delivered model's ratio counts as the wanted one."""
    return achieved >= TOLERANCE * wanted
