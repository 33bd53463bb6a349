"""Fake endings for prompts, beside the real ones: rows of a task that a text sets by itself.

To tell a real ending from fakes is the control of Chang and Lu (2021, arXiv:2108.11696), whose
fakes a causal language model writes. Where none is at hand, the encoder's own masked language model
fills the places of the real ending, some of them in each pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import torch
from msgspec import Struct
from torch import nn

from bench.checksums import is_as_written
from bench.data.encoded import Encoded
from bench.data.passages import load_passages
from bench.data.prepare import encode
from bench.errors import BenchError
from bench.files import lock, read_json, short_hash, write_json
from bench.models.causal_lm import continuing_flops, load_generator, positions_of
from bench.models.checkpoint import load_tokenizer, max_pieces
from bench.models.folder import tokenizer_hash
from bench.models.footprint import count_dense
from bench.models.masked_lm import head_flops, load_masked_model, ordinary_pieces, piece_logits
from bench.models.sampling import nucleus

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.passages import Passage, Passages

FAKES = 3
ENDINGS = 1 + FAKES
"""Of a prompt; the real one comes first."""

PASSES = 4
"""In which a masked language model fills an ending, a part of the places in each."""

BATCH = 48
"""Texts that are written at once, a multiple of `FAKES`."""

SEED = 0

VERSION = 1
"""Raised when the same passages would become other rows."""


class Asked(NamedTuple):
    """A passage as the pieces of whoever writes."""

    prompt: list[int]
    ending: list[int]


class Writer(Protocol):
    """Writes endings.

    Attributes:
        tokenizer: What its texts are made of.
        room: Pieces of prompt and ending together at most.
        flops: What its passes have cost.
    """

    tokenizer: Any
    room: int
    flops: int

    def write(self, prompts: list[list[int]], lengths: list[int]) -> list[list[int]]:
        """An ending for each prompt, of so many pieces; all prompts are equally long."""


class MaskedWriter:
    """An encoder whose masked language model fills endings, `PASSES` passes each.

    Which places are filled in which pass is drawn. What is filled before is seen by the later ones.

    Args:
        encoder: Folder of the encoder.
        device: `cpu` or `cuda`.

    Raises:
        BenchError: The encoder has no such head, or its tokenizer no mask.
    """

    def __init__(self, encoder: Path, device: str = "cpu") -> None:
        self.tokenizer: Any = load_tokenizer(encoder)
        if self.tokenizer.mask_token_id is None:
            raise BenchError("the encoder's tokenizer has no mask to hide pieces behind")
        self._encoder, self._head = load_masked_model(encoder)
        for part in (self._encoder, self._head):
            nn.Module.to(part, device)
        self.room = max_pieces(encoder) - 2  # one before, one behind
        self.flops = 0
        self._counts = count_dense(self._encoder)
        self._draw = torch.Generator().manual_seed(SEED)
        known = self._encoder.config.vocab_size
        self._never = torch.ones(known, dtype=torch.bool)
        self._never[ordinary_pieces(self.tokenizer, known)] = False
        pieces = self.tokenizer.convert_ids_to_tokens(list(range(min(len(self.tokenizer), known))))
        self._inside = self._never.clone()  # no ending begins inside a word
        self._inside[[n for n, piece in enumerate(pieces) if (piece or "").startswith("##")]] = True

    @torch.inference_mode()
    def write(self, prompts: list[list[int]], lengths: list[int]) -> list[list[int]]:
        """See `Writer.write`."""
        begin, device = 1 + len(prompts[0]), self._encoder.device
        count = torch.tensor(lengths)[:, None]
        place = torch.arange(int(count.max()) + 1)[None]
        pieces = torch.full((len(prompts), begin + place.shape[1]), self._padding)
        pieces[:, 0] = self.tokenizer.cls_token_id
        pieces[:, 1:begin] = torch.tensor(prompts)
        ending = pieces[:, begin:]  # a view
        ending[place < count] = self.tokenizer.mask_token_id
        ending[place == count] = self.tokenizer.sep_token_id
        real = torch.cat([torch.ones(len(prompts), begin, dtype=torch.bool), place <= count], dim=1)
        turns = self._turns(count, place)
        for turn in range(PASSES):
            asked = torch.zeros_like(real)
            asked[:, begin:] = turns == turn
            if not asked.any():  # of a short ending, whose places are fewer than the passes
                continue
            inputs = {"input_ids": pieces.to(device), "attention_mask": real.long().to(device)}
            states = self._encoder(**inputs).last_hidden_state[asked.to(device)]
            logits = piece_logits(self._head, states).float()
            never = torch.where(
                (asked.nonzero()[:, 1] == begin)[:, None], self._inside, self._never
            )
            logits = logits.masked_fill(never.to(device), -torch.inf)
            pieces[asked] = nucleus(logits, self._draw).cpu()
            self.flops += self._counts.forward_flops(real.sum(dim=1).numpy())
        self.flops += head_flops(self._head, sum(lengths))
        return [row[:length].tolist() for row, length in zip(ending, lengths, strict=True)]

    def _turns(self, count: Tensor, place: Tensor) -> Tensor:
        """The pass in which each place is filled, `[rows, places]`; -1 for what is none."""
        chance = torch.rand(len(count), place.shape[1], generator=self._draw)
        order = chance.masked_fill(place >= count, 2.0).argsort(dim=1).argsort(dim=1)
        return torch.where(place < count, order * PASSES // count, -1)

    @property
    def _padding(self) -> int:
        return int(self._encoder.config.pad_token_id or 0)


class CausalWriter:
    """A causal language model that continues prompts, piece by piece.

    Args:
        folder: Folder of the model.
        device: `cpu` or `cuda`.

    Raises:
        BenchError: It cannot be read.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self._model, self.tokenizer = load_generator(folder)
        nn.Module.to(self._model, device)
        self.room = positions_of(self._model)
        self.flops = 0
        self._draw = torch.Generator().manual_seed(SEED)
        self._special = torch.tensor(self.tokenizer.all_special_ids, device=device).long()

    @torch.inference_mode()
    def write(self, prompts: list[list[int]], lengths: list[int]) -> list[list[int]]:
        """See `Writer.write`. What ends a text is never drawn, so that all are of their length."""
        shown = torch.tensor(prompts, device=self._model.device)
        past, written = None, []
        for _ in range(max(lengths)):
            output: Any = self._model(input_ids=shown, past_key_values=past, use_cache=True)
            logits = output.logits[:, -1].float()
            logits[:, self._special] = -torch.inf
            logits[:, len(self.tokenizer) :] = -torch.inf  # some have more outputs than pieces
            past, shown = output.past_key_values, nucleus(logits, self._draw)[:, None]
            written.append(shown.cpu())
        each = continuing_flops(self._model, len(prompts[0]), max(lengths))
        self.flops += len(lengths) * each
        rows = torch.cat(written, dim=1).tolist()
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]


class Written(NamedTuple):
    """Rows that were made of passages.

    Attributes:
        rows: `ENDINGS` rows a prompt, the real one first: prompt and ending, and as label 1 for
            the real one and 0 for a fake.
        flops: Of the writing.
    """

    rows: Encoded
    flops: int


class _Described(Struct, kw_only=True):
    """What `endings.json` has to say."""

    flops: int


def prepare_endings(
    passages: Passages,
    writer: Callable[[], Writer],
    *,
    identity: str,
    encoder: Path,
    cache: Path,
    length: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Writes fake endings and tokenises all, as far as the cache does not have them.

    Args:
        passages: Prompts and real endings.
        writer: Makes the writer, which is loaded only if it has something to write.
        identity: Hash of the model that writes.
        encoder: Folder of the encoder that the rows are tokenised for.
        cache: Folder for the rows.
        length: Pieces of a row at most.
        progress: Called with passages done and passages in all.
    """
    limit = min(length, max_pieces(encoder))
    key = [passages.fingerprint, identity, tokenizer_hash(encoder), limit, PASSES, VERSION]
    folder = cache / f"endings-{short_hash(key)}"
    path = folder / "rows.parquet"
    with lock(cache, folder.name):  # to write them twice would cost more than to wait
        done = read_json(folder / "endings.json", _Described)
        if done is None or not is_as_written(path):
            from datasets import Dataset

            using = writer()
            made = Dataset.from_list(list(rows_of(load_passages(passages), using, progress)))
            encode([made], encoder, limit, False)[0].save(path)
            done = {"flops": using.flops}
            write_json(folder / "endings.json", done)
    return Written(Encoded.load(path), done["flops"])


def rows_of(
    passages: Sequence[Passage],
    writer: Writer,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[dict[str, Any]]:
    """The rows of passages, in their order.

    A real ending, too, is what its pieces say, so that the tokenizer's habits give nothing away.
    """
    known = [_pieces(passage, writer) for passage in passages]
    fakes: dict[int, list[list[int]]] = {}
    order = sorted(range(len(known)), key=lambda number: (*map(len, known[number]), number))
    for _, alike in itertools.groupby(order, key=lambda number: len(known[number].prompt)):
        members = list(alike)
        for begin in range(0, len(members), BATCH // FAKES):
            batch = [n for n in members[begin : begin + BATCH // FAKES] for _ in range(FAKES)]
            prompts = [known[number].prompt for number in batch]
            lengths = [len(known[number].ending) for number in batch]
            for number, pieces in zip(batch, writer.write(prompts, lengths), strict=True):
                fakes.setdefault(number, []).append(pieces)
            progress(len(fakes), len(known))
    for number, passage in enumerate(passages):
        for which, pieces in enumerate([known[number].ending, *fakes[number]]):
            yield {
                "id": f"{number}-{which}",
                "text": passage.prompt,
                "text_pair": _said(writer.tokenizer, pieces),
                "label": int(which == 0),
            }


def _pieces(passage: Passage, writer: Writer) -> Asked:
    """A passage's pieces, as many as there is room for: half of it for the end of the prompt."""
    prompt, ending = (
        writer.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        for text in (passage.prompt, f" {passage.ending}")  # byte-level pieces hold the space
    )
    half = writer.room // 2
    return Asked(prompt[-half:], ending[: writer.room - half])


def _said(tokenizer: Any, pieces: list[int]) -> str:
    return " ".join(str(tokenizer.decode(pieces, skip_special_tokens=True)).split())
