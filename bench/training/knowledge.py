"""What a delivered model keeps of what pre-training taught: its masked-language-model loss.

The head that the encoder was pre-trained with is put on each model in turn and has to name the same
masked pieces of the same held-out text. It was never fine-tuned, so it understands a model as far
as the model still says what the pre-trained encoder would have said.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import nn

from bench.data.corpus import read_passages
from bench.data.encoded import Encoded
from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.errors import BenchError, DivergedError
from bench.files import atomic_path, read_json, short_hash, write_json
from bench.models.checkpoint import load_tokenizer, max_pieces, read_config
from bench.models.folder import tokenizer_hash
from bench.models.masked_lm import load_head
from bench.training.batches import EVALUATION_BATCH, collate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from transformers import PreTrainedModel


SHARE = 0.15
"""Of the pieces, how many have to be named (Devlin et al., 2018, like the next two)."""

HIDDEN, EXCHANGED = 0.8, 0.1
"""Of those, how many are hidden behind the mask, and how many are exchanged for another piece."""

SEED = 0
UNASKED = -100

PLACES = 256
"""Masked places that the head sees at once. It is as wide as the vocabulary: all of a batch would
take more memory than training a small model does, and a record tells that."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Masked text in a folder; plain data, so that worker processes can be sent it.

    Attributes:
        name: Last part of the file's name, or `demo`.
        hash: Hash of text, tokenizer and masks; losses compare where it is the same.
        folder: Where the masked rows lie.
        rows: Passages.
        masked: Pieces that have to be named.
        objection: Why nothing can be measured with this encoder; empty where it can.
    """

    name: str
    hash: str = ""
    folder: Path = Path()
    rows: int = 0
    masked: int = 0
    objection: str = ""


def prepare_probe(file: Path | None, *, encoder: Path, cache: Path, length: int) -> Probe | None:
    """Reads, tokenises and masks held-out text, as far as the cache does not have it yet.

    Args:
        file: The text, a passage a line; without it the demo's encoder has its own.
        encoder: Folder of the encoder, whose tokenizer, positions and head count.
        cache: Folder for the masked rows.
        length: Pieces of a passage at most; what is longer is cut.

    Returns:
        The probe, nothing but an objection in it where the encoder has no head; or `None` where
        there is no text.

    Raises:
        BenchError: The file cannot be read, or there is nothing in it that could be masked.
    """
    if file is not None:
        name, passages = file.name, read_passages(file)
    elif encoder.resolve() == demo_encoder_path().resolve():
        name, passages = "demo", probe_text()
    else:
        return None
    if not passages:
        raise BenchError(f"--probe-text {file} holds no text.")
    try:
        load_head(encoder)
    except BenchError as error:
        return Probe(name=name, objection=str(error))
    limit = min(length, max_pieces(encoder))
    identity = [passages, tokenizer_hash(encoder), limit]
    folder = cache / f"probe-{short_hash(identity)}"
    done = read_json(folder / "probe.json")
    if done is None:
        tensors = _masked_rows(passages, encoder, limit)
        asked = int((tensors["targets"] != UNASKED).sum())
        if not asked:
            raise BenchError(f"--probe-text {file} holds no word that the encoder knows.")
        with atomic_path(folder / "rows.safetensors") as temporary:
            temporary.write_bytes(save(tensors))  # whose errors are the system's own
        # A hash of the masks themselves, since no seed promises the same draws for ever.
        state = hashlib.sha256(repr(identity).encode())
        for tensor in tensors.values():
            state.update(tensor.tobytes())
        done = {"hash": state.hexdigest()[:16], "rows": len(passages), "masked": asked}
        write_json(folder / "probe.json", done)
    return Probe(name=name, folder=folder, **done)


@torch.inference_mode()
def masked_loss(model: PreTrainedModel, probe: Probe, encoder: Path, device: str) -> float | None:
    """The loss of a model's encoder under the pre-trained head, in fp32, in nats a masked piece.

    Args:
        model: Any model of the encoder's vocabulary; its own head is not used. Left on `device`.
        probe: The masked text.
        encoder: Folder of the pre-trained encoder, whose head it is.
        device: `cpu` or `cuda`.

    Returns:
        The mean over all masked pieces; `None` where the head does not fit the model.

    Raises:
        DivergedError: The loss is NaN or infinite.
    """
    head = load_head(encoder)
    if any(getattr(model.config, size) != getattr(head.config, size)
           for size in ("hidden_size", "vocab_size")):  # fmt: skip
        return None
    rows, targets = _load(probe.folder)
    model.eval().to(device)
    nn.Module.to(head, device)
    total = 0.0
    order = np.argsort(rows.lengths, kind="stable")
    for begin in range(0, len(order), EVALUATION_BATCH):
        chosen = order[begin : begin + EVALUATION_BATCH]
        inputs = collate(rows, chosen, model, torch.device(device)).inputs
        flat = [targets[rows.offsets[row] : rows.offsets[row + 1]] for row in chosen]
        wanted = torch.full_like(inputs["input_ids"], UNASKED)
        wanted[inputs["attention_mask"].bool()] = torch.from_numpy(np.concatenate(flat)).to(device)
        asked = wanted != UNASKED
        hidden = model.base_model(**inputs).last_hidden_state[asked].float()
        for part, pieces in zip(hidden.split(PLACES), wanted[asked].split(PLACES), strict=True):
            head.base_model.hidden = part[None]
            logits = head(input_ids=inputs["input_ids"]).logits[0]
            total += nn.functional.cross_entropy(logits, pieces, reduction="sum").item()
    if not np.isfinite(total):
        raise DivergedError("the masked-language-model loss is NaN or infinite")
    return total / probe.masked


def _masked_rows(passages: Sequence[str], encoder: Path, limit: int) -> dict[str, NDArray[Any]]:
    """Tokenises passages and masks some of their pieces.

    Returns:
        `pieces` with the masks in place and `targets`, `UNASKED` where none is, each `[pieces]`;
        `offsets`, where each row begins, `[rows + 1]`.
    """
    tokenizer = load_tokenizer(encoder)
    if tokenizer.mask_token_id is None:
        raise BenchError(f"the tokenizer in {encoder} has no mask: leave --probe-text.")
    rows = tokenizer(list(passages), truncation=True, max_length=limit)["input_ids"]
    pieces = np.concatenate([np.asarray(row, np.int64) for row in rows])
    size = min(len(tokenizer), read_config(encoder).vocab_size)
    ordinary = np.setdiff1d(np.arange(size), tokenizer.all_special_ids)
    places = np.flatnonzero(np.isin(pieces, ordinary))
    generator = np.random.default_rng(SEED)
    asked = generator.permutation(places)[: int(np.ceil(SHARE * len(places)))]
    fate = generator.random(len(asked))
    others = generator.choice(ordinary, len(asked))
    targets = np.full(len(pieces), UNASKED)
    targets[asked] = pieces[asked]
    pieces[asked] = np.where(fate < HIDDEN + EXCHANGED, others, pieces[asked])
    pieces[asked] = np.where(fate < HIDDEN, tokenizer.mask_token_id, pieces[asked])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return {"pieces": pieces, "targets": targets, "offsets": offsets}


@functools.lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Encoded, NDArray[np.int64]]:
    """The masked rows of a probe, and the pieces that have to be named, `[pieces]`."""
    tensors = load_file(folder / "rows.safetensors")
    return Encoded.unlabelled(tensors["pieces"], tensors["offsets"]), tensors["targets"]
