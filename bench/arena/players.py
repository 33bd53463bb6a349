"""Kept models as they are played against: what they answer, how fast, and by which words."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.arena.answers import Answer, Model, Word
from bench.data.encoded import Encoded
from bench.deploy.kept import kept_dense, kept_model
from bench.errors import BenchError
from bench.models.checkpoint import load_classifier, load_tokenizer, max_pieces, read_config
from bench.models.heads import marks_spans
from bench.results.record import is_dense
from bench.results.suites import find_record

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bench.results.record import Record
    from bench.results.store import Store

WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Player:
    """A model that plays.

    Attributes:
        model: What it is called.
    """

    model: Model
    network: PreTrainedModel


@dataclass(frozen=True)
class Field:
    """The models that play, all of one task.

    Attributes:
        task: The task's name.
        labels: Its classes, in the order of their numbers.
        fingerprint: Hash of the rows that they were trained on.
        length: Tokens of an example at most.
        players: Dense models first.
    """

    task: str
    labels: tuple[str, ...]
    fingerprint: str
    length: int
    players: tuple[Player, ...]
    tokenizer: PreTrainedTokenizerBase

    def begin(self) -> None:
        """Has the thread that will ask the models compute alone.

        Of an example of a few words, threads would wait for one another longer than they compute,
        and the other cores answer browsers meanwhile.
        """
        import torch

        torch.set_num_threads(1)

    def pieces(self, texts: Sequence[str]) -> int:
        """How many tokens some texts are, special ones included."""
        return len(self.tokenizer(*texts, truncation=False, verbose=False)["input_ids"])

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        """What every model says of an example of one text, or of two."""
        encoding = self.tokenizer(
            *texts,
            truncation="longest_first",
            max_length=self.length,
            return_token_type_ids=True,
            return_offsets_mapping=self.tokenizer.is_fast,
        )
        return [_answer(player, texts, encoding) for player in self.players]


def find_players(store: Store, cells: Sequence[str]) -> Field:
    """Loads the models of some cells, and the dense ones that they were compressed from.

    Args:
        store: The run folder.
        cells: Ids of compressed cells, or their beginnings, of one task.

    Raises:
        BenchError: There is no such cell, its model or its dense one was not kept, the cells are of
            several tasks, or of one without labels.
    """
    records = {record.id: record for record in (find_record(store, cell) for cell in cells)}
    tasks = sorted({record.cell["task"] for record in records.values()})
    if len(tasks) > 1:
        raise BenchError(f"the cells are of {', '.join(tasks)}: an arena is of one task at a time.")
    compressed: dict[str, tuple[Record, Path, str]] = {}
    dense: dict[str, tuple[Record, Path]] = {}
    for record in records.values():
        if is_dense(record.cell["method"]):
            raise BenchError(
                f"{record.id} is a dense model, which comes with every compressed one: name cells "
                "of compressed ones."
            )
        folder = kept_model(store, record)
        _check_labels(folder, tasks[0])
        other = kept_dense(store, record)
        reference = other and store.get(Path(other).parent.name)
        if not reference:
            raise BenchError(
                f"the dense model of cell {record.id} was not kept: run its suite with "
                "--keep-models all."
            )
        compressed[record.id] = record, folder, reference.id
        dense[reference.id] = reference, kept_model(store, reference)
    players = [_load(*held, None) for held in dense.values()]
    players += [_load(*held) for held in compressed.values()]
    labels = {tuple((player.network.config.id2label or {}).values()) for player in players}
    first, folder = next(iter(dense.values()))
    cuts = [record.data.get("cut_to_fit", {}) for record in [*records.values(), first]]
    fingerprints = {record.data.get("fingerprint", "") for record in records.values()}
    if len(labels) > 1 or len(fingerprints) > 1:
        raise BenchError(f"the cells know other labels or rows of {tasks[0]}: name cells of one.")
    return Field(
        task=tasks[0],
        labels=labels.pop(),
        fingerprint=fingerprints.pop(),
        length=min([max_pieces(folder), *(cut["pieces"] for cut in cuts if cut)]),
        players=tuple(players),
        tokenizer=load_tokenizer(folder),
    )


def _check_labels(folder: Path, task: str) -> None:
    config = read_config(folder)
    if marks_spans(config):
        raise BenchError(f"{task} looks for spans: an arena needs a task with labels to aim at.")
    if config.num_labels == 1:
        raise BenchError(f"{task} is a regression: an arena needs a task with labels to aim at.")


def _load(record: Record, folder: Path, dense: str | None) -> Player:
    network, _ = load_classifier(str(folder))
    cell = record.cell
    return Player(
        model=Model(record.id, cell["method"], cell["ratio"], cell["seed"], dense),
        network=network.eval().requires_grad_(False),  # no gradient but that of the words
    )


def _answer(player: Player, texts: Sequence[str], encoding: Any) -> Answer:
    import torch

    inputs = _inputs(player.network, encoding)
    with torch.inference_mode():
        begun = time.perf_counter()
        logits = player.network(**inputs).logits[0]
        milliseconds = 1000 * (time.perf_counter() - begun)
    label = int(logits.argmax())
    influence = input_times_gradient(player.network, inputs, label)
    return Answer(
        model=player.model.id,
        label=label,
        probabilities=tuple(round(value, 6) for value in logits.softmax(0).tolist()),
        milliseconds=round(milliseconds, 3),
        words=_words(texts, encoding, influence) if "offset_mapping" in encoding else (),
    )


def _inputs(network: PreTrainedModel, encoding: Any) -> dict[str, Any]:
    """One row as training and scoring see it."""
    import torch

    from bench.training.batches import collate

    pieces = np.asarray(encoding["input_ids"], np.int32)
    row = Encoded(
        ids=["0"],
        pieces=pieces,
        segments=np.asarray(encoding["token_type_ids"], np.int8),
        offsets=np.asarray([0, len(pieces)]),
        labels=np.zeros(1, np.int64),
    )
    return collate(row, np.zeros(1, np.int64), network, torch.device("cpu")).inputs


def input_times_gradient(
    network: PreTrainedModel, inputs: dict[str, Any], label: int
) -> list[float]:
    """What each token's word embedding e does to a logit z, to the first order: e · ∂z/∂e.

    Args:
        network: The classifier.
        inputs: Of one row.
        label: The class whose logit is asked for.

    Returns:
        In logits, `[pieces]` (Shrikumar et al. 2016, arXiv:1605.01713).
    """
    import torch

    held: list[torch.Tensor] = []

    def keep(module: Any, given: Any, embeddings: torch.Tensor) -> torch.Tensor:
        held.append(embeddings.detach().requires_grad_())
        return held[0]

    handle = network.get_input_embeddings().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = network(**inputs).logits[0, label]
            (gradient,) = torch.autograd.grad(logit, held[0])
    finally:
        handle.remove()
    found: list[float] = (gradient * held[0]).sum(-1)[0].tolist()
    return found


def _words(texts: Sequence[str], encoding: Any, influence: Sequence[float]) -> tuple[Word, ...]:
    """Sums what the pieces of each word do; a word is what white space surrounds."""
    found = []
    places = list(zip(encoding.sequence_ids(0), encoding["offset_mapping"], influence, strict=True))
    for number, text in enumerate(texts):
        for word in WORD.finditer(text):
            own = [
                value
                for of, (begin, end), value in places
                if of == number and begin < word.end() and end > word.start()
            ]
            found.append(Word(number, word.start(), word.end(), round(sum(own), 6)))
    return tuple(found)
