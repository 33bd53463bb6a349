"""Held-out text with masked pieces, which delivered models are asked for.

Its passages are in two parts. A head is fitted on the first, whose pieces also give the word
frequencies that any model has to beat, and losses are measured on the second.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct
from safetensors.numpy import load_file, save

from bench.data.corpus import read_passages
from bench.data.encoded import Encoded
from bench.data.equal_texts import normalised
from bench.data.splits import row_hash
from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.errors import BenchError
from bench.files import is_whole, read_json, short_hash, write_bytes, write_json
from bench.inputs import USUAL, Limits
from bench.models.checkpoint import load_tokenizer, max_pieces, read_config
from bench.models.folder import tokenizer_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Part = Literal["fit", "held_out"]


VERSION = 2
"""Of masks, and of how a head is fitted on them: raised where the same text gives other losses."""

VIEWS: dict[Part, int] = {"fit": 6, "held_out": 2}
"""How often each passage of a part is a row, other pieces hidden each time. A piece of the fit part
is asked for once at most: fewer are learnt by heart by the head that is fitted."""

SEED = 0
UNASKED = -100
SALT = "probe"

SMOOTHING = np.geomspace(1e-3, 10, 41)
"""Of the word frequencies: what may be added to each piece's count."""


class _Described(Struct, kw_only=True):
    """What `probe.json` has to say."""

    hash: str
    rows: int
    masked: int
    frequencies: float


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Masked text in a folder; plain data, so that worker processes can be sent it.

    Attributes:
        name: Last part of the file's name, or `demo`.
        hash: Hash of text, tokenizer, masks and version; losses compare where it is the same.
        folder: Where the masked rows lie.
        rows: Passages that losses are measured on.
        masked: Pieces that have to be named there.
        frequencies: What naming them costs who knows how frequent each piece is in the fit part
            and nothing else, in nats a piece.
        objection: Why nothing can be measured with this encoder; empty where it can.
    """

    name: str
    hash: str = ""
    folder: Path = Path()
    rows: int = 0
    masked: int = 0
    frequencies: float = 0.0
    objection: str = ""


@dataclass(frozen=True)
class MaskedRows:
    """Rows some of whose pieces are hidden.

    Attributes:
        rows: What a model is shown.
        targets: The pieces that it has to name, `UNASKED` elsewhere, `[pieces]`.
    """

    rows: Encoded
    targets: NDArray[np.int64]


def prepare_probe(
    file: Path | None, *, encoder: Path, cache: Path, length: int, limits: Limits = USUAL
) -> Probe | None:
    """Reads, tokenises and masks held-out text, as far as the cache does not have it yet.

    Args:
        file: The text, a passage a line; without it the demo's encoder has its own.
        encoder: Folder of the encoder, whose tokenizer, positions and head count.
        cache: Folder for the masked rows.
        length: Pieces of a passage at most; what is longer is cut.
        limits: How much the file may hold.

    Returns:
        The probe, nothing but an objection in it where the encoder has no head; or `None` where
        there is no text.

    Raises:
        BenchError: The file cannot be read, or there is too little in it that could be masked.
    """
    from bench.models.masked_lm import load_head

    if file is not None:
        name, (passages, skipped) = file.name, read_passages(file, limits)
        if skipped:
            raise BenchError(f"--probe-text {skipped[0]}.")
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
    identity = [VERSION, passages, tokenizer_hash(encoder), limit]
    folder = cache / f"probe-{short_hash(identity)}"
    done = read_json(folder / "probe.json", _Described)
    if done is None or not all(is_whole(folder / f"{part}.safetensors") for part in VIEWS):
        done = _make(folder, passages, encoder, limit, repr(identity))
    return Probe(name=name, folder=folder, **done)


@functools.lru_cache(maxsize=2)
def load_part(folder: Path, part: Part) -> MaskedRows:
    """The masked rows of one part of a probe."""
    held = load_file(folder / f"{part}.safetensors")
    return MaskedRows(Encoded.unlabelled(held["pieces"], held["offsets"]), held["targets"])


def halves(passages: Sequence[str]) -> dict[Part, list[str]]:
    """Both parts, half of the different texts in each; equal texts, normalised, share a part."""
    plain = [normalised(passage) for passage in passages]
    order = sorted(set(plain), key=lambda text: row_hash([text], SALT))
    fit = set(order[: len(order) // 2])
    pairs = list(zip(passages, plain, strict=True))
    return {
        "fit": [passage for passage, text in pairs if text in fit],
        "held_out": [passage for passage, text in pairs if text not in fit],
    }


def frequency_loss(known: NDArray[np.int64], asked: NDArray[np.int64], kinds: int) -> float:
    """What naming pieces by their frequency in other text costs.

    The same figure is added to every count. It is the one by which each known piece is best
    foretold by all the others, so nothing is taken from what is asked.

    Args:
        known: The pieces that are counted, as numbers.
        asked: The pieces that have to be named.
        kinds: How many different pieces there are.

    Returns:
        The mean of −log p over `asked`, in nats.
    """
    counts, total = np.bincount(known, minlength=1 + max(known.max(), asked.max())), len(known)

    def cost(seen: NDArray[np.int64], of: int, added: float) -> float:
        return float(np.log(of + added * kinds) - np.log(seen + added).mean())

    added = min(SMOOTHING, key=lambda one: cost(counts[known] - 1, total - 1, one))
    return cost(counts[asked], total, added)


def _make(
    folder: Path, passages: Sequence[str], encoder: Path, limit: int, identity: str
) -> dict[str, Any]:
    """Writes the masked rows of both parts, and what a probe says of them."""
    from bench.models.masked_lm import ordinary_pieces

    tokenizer = load_tokenizer(encoder)
    if tokenizer.mask_token_id is None:
        raise BenchError(f"the tokenizer in {encoder} has no mask: leave --probe-text.")
    ordinary = ordinary_pieces(tokenizer, read_config(encoder).vocab_size)
    generator = np.random.default_rng(SEED)
    # A hash of the masks themselves, since no seed promises the same draws for ever.
    state = hashlib.sha256(identity.encode())
    parts, texts = halves(passages), {}
    for part, views in VIEWS.items():
        own = parts[part] or [""]  # of which tokenizers make no list
        rows = tokenizer(own, truncation=True, max_length=limit)["input_ids"]
        texts[part] = np.array([piece for row in rows for piece in row], np.int64)
        places = np.flatnonzero(np.isin(texts[part], ordinary))
        if not len(places):
            raise BenchError(
                "--probe-text: one half of its passages is to fit a head, and one to measure on. "
                "A half holds no word that the encoder knows: name a longer text."
            )
        shuffled = generator.permutation(places)
        held = _views(rows, texts[part], shuffled, views, tokenizer.mask_token_id)
        for tensor in held.values():
            state.update(tensor.tobytes())
        write_bytes(folder / f"{part}.safetensors", save(held))
        asked = held["targets"][held["targets"] != UNASKED]
    known = texts["fit"][np.isin(texts["fit"], ordinary)]
    done = {
        "hash": state.hexdigest()[:16],
        "rows": len(parts["held_out"]),
        "masked": len(asked),
        "frequencies": frequency_loss(known, asked, len(ordinary)),
    }
    write_json(folder / "probe.json", done)
    return done


def _views(
    rows: Sequence[Sequence[int]],
    text: NDArray[np.int64],
    places: NDArray[np.int64],
    views: int,
    mask: int,
) -> dict[str, NDArray[np.int64]]:
    """The same rows several times, the next places hidden each time.

    All of them are hidden. BERT's pre-training leaves or exchanges a fifth, and what is left can
    be copied by a model that knows nothing of the text around it.

    Returns:
        `pieces` and `targets`, each `[views · pieces]`; `offsets`, `[views · rows + 1]`.
    """
    from bench.models.masked_lm import SHARE

    pieces, targets = np.tile(text, (views, 1)), np.full((views, len(text)), UNASKED)
    each = int(np.ceil(SHARE * len(places)))
    for view in range(views):
        hidden = places[view * each : (view + 1) * each]
        targets[view, hidden] = text[hidden]
        pieces[view, hidden] = mask
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows] * views)])
    return {"pieces": pieces.ravel(), "targets": targets.ravel(), "offsets": offsets}
