"""Continued pre-training: an encoder goes on learning to name hidden pieces of unlabelled text.

It is a stage of its own (Gururangan et al. 2020, arXiv:2004.10964; Bai, Ritter and Xu 2021,
arXiv:2109.04711): made once a run folder for an encoder, a text and a number of steps, and what
every method then takes for the pre-trained encoder. Its order of rows and its masks have a seed of
their own, as the pre-trained weights have.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from msgspec import Struct
from torch import nn

from bench.checksums import damaged_files
from bench.compression.params import TrainParams
from bench.data.corpus import load_corpus
from bench.errors import BenchError
from bench.files import is_whole, json_hash, lock, read_json, write_json
from bench.models.checkpoint import read_classifier, read_config, save_model
from bench.models.footprint import TRAINED_PASS, count_dense
from bench.models.masked_lm import load_head
from bench.training.loop import foretold_visits, train
from bench.training.seeds import isolated_rng
from bench.training.word_head import load_language_model

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch, Loss
    from bench.compression.language_model import LanguageModel
    from bench.data.corpus import Corpus
    from bench.protocol import Protocol

VERSION = 1
"""Raised when the same encoder, text and steps would give another encoder."""

SEED = 0
ORDER = (SEED, 0)
"""Of the masks, and of the order of the rows."""


class _Described(Struct, kw_only=True):
    """What `pretraining.json` has to say."""

    train_flops: int
    wall_s: float


@dataclass(frozen=True)
class Continued:
    """An encoder that has gone on learning, on disk.

    Attributes:
        key: Hash of all that it depends on.
        folder: Its Hugging Face folder: a masked language model, and the pooler as it was.
        train_flops: What its training cost, counted.
        wall_s: Seconds that it took.
    """

    key: str
    folder: Path
    train_flops: int
    wall_s: float


def check_pretraining(encoder: Path, corpus: object) -> None:
    """Finds what continued pre-training lacks before anything runs.

    Args:
        encoder: Folder of the encoder.
        corpus: The unlabelled text, if there is any.

    Raises:
        BenchError: There is no text, or the encoder has no masked-language-model head.
    """
    if corpus is None:
        raise BenchError("continued pre-training reads unlabelled text: name one with --corpus.")
    try:
        load_head(encoder)
    except BenchError as error:
        raise BenchError(f"continued pre-training is not possible: {error}.") from None


def pretraining_flops(corpus: Corpus, encoder: Path, protocol: Protocol) -> int:
    """FLOPs that `continued` will charge, from the lengths of the rows that it will visit.

    Args:
        corpus: The unlabelled text, tokenised.
        encoder: Folder of the encoder.
        protocol: Says the steps and the rows of each.
    """
    model = load_language_model(
        encoder, lambda: load_corpus(corpus.path), dropout=0.0, device="cpu"
    )[0]
    lengths = load_corpus(corpus.path).lengths
    visits = foretold_visits(lengths, protocol, ORDER, protocol.pretrain_steps)
    return _cost(model, np.repeat(lengths, visits))


def continued(
    runs: Path,
    corpus: Corpus,
    *,
    encoder: Path,
    weights: str,
    protocol: Protocol,
    device: str,
    progress: Callable[[int, int], None],
) -> Continued:
    """Returns the encoder after `protocol.pretrain_steps`, training it where there is none yet.

    Args:
        runs: The run folder.
        corpus: The unlabelled text, tokenised.
        encoder: Folder of the pre-trained encoder, a masked language model.
        weights: Hash of the encoder.
        protocol: What is held equal; its default rate, batch, dropout, clipping and precision hold.
        device: `cpu` or `cuda`.
        progress: Called with steps made and steps in all.

    Raises:
        DivergedError: Its training met a NaN or an infinite value.
    """
    settings = {
        name: getattr(protocol, name)
        for name in ("pretrain_steps", "learning_rate", "batch_size", "dropout", "clip_norm",
                     "precision", "sequence_length")
    }  # fmt: skip
    identity = {"version": VERSION, "weights": weights, "corpus": corpus.hash, **settings}
    key = json_hash(identity)[:16]
    folder = runs / "encoders" / key
    with lock(runs, f"encoder-{key}"):
        done = read_json(folder / "pretraining.json", _Described)
        if done is None or not is_whole(folder / "model.safetensors") or damaged_files(folder):
            begin = time.perf_counter()
            flops = _train(folder, corpus, encoder, protocol, device, progress)
            done = {"train_flops": flops, "wall_s": time.perf_counter() - begin, **identity}
            write_json(folder / "pretraining.json", done)
    return Continued(key, folder, done["train_flops"], done["wall_s"])


def _train(
    folder: Path,
    corpus: Corpus,
    encoder: Path,
    protocol: Protocol,
    device: str,
    progress: Callable[[int, int], None],
) -> int:
    """Trains, saves, and counts the FLOPs."""
    data = load_corpus(corpus.path)
    with isolated_rng(SEED):
        model, _ = load_language_model(
            encoder, lambda: data, dropout=protocol.dropout, device=device
        )
        training = train(
            model.encoder,
            data,
            loss=naming_loss(model),
            params=TrainParams(learning_rate=protocol.learning_rate),
            protocol=protocol,
            device=device,
            seed=ORDER,
            callbacks=[model],
            progress=progress,
            steps=protocol.pretrain_steps,
        )
    flops = _cost(model, np.repeat(data.lengths, training.visits))
    save_model(_whole(model, encoder).cpu(), folder, encoder)
    return flops


def naming_loss(model: LanguageModel) -> Loss:
    """Cross-entropy of the hidden pieces of a batch, in nats (Devlin et al. 2018)."""
    draw = torch.Generator().manual_seed(SEED)

    def loss(_: PreTrainedModel, batch: Batch) -> Tensor:
        question = model.ask(batch, draw)
        return nn.functional.cross_entropy(model.answer(question), question.pieces)

    return loss


def _cost(model: LanguageModel, lengths: NDArray[np.int64]) -> int:
    """FLOPs of training on rows of these lengths."""
    forward = count_dense(model.encoder).forward_flops(lengths) + model.forward_flops(lengths)
    return TRAINED_PASS * forward


def _whole(model: LanguageModel, encoder: Path) -> PreTrainedModel:
    """Encoder and head as one model, with the pooler of the checkpoint, which no loss has seen."""
    whole = model.head
    setattr(whole, whole.base_model_prefix, model.encoder)
    classifier, missing = read_classifier(encoder, read_config(encoder), fresh_head=True)
    pooler = getattr(classifier.base_model, "pooler", None)
    if pooler is not None and not any("pooler" in name for name in missing):
        model.encoder.pooler = pooler
    return whole
