"""Word replacement (TinyBERT, Jiao et al. 2020, arXiv:1909.10351, Algorithm 1): rows made of rows.

Each word that is a single piece is masked in turn, and the encoder's own masked language model says
what else could stand there. The paper's nearest word vectors, for words of several pieces, would
have to come from elsewhere: such words stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from bench.data.splits import row_hash
from bench.errors import BenchError
from bench.models.families import has_segments

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

CANDIDATES = 15
"""The paper's M: how many words the language model proposes for a place."""

PROBABILITY = 0.4
"""The paper's p_t: how often a word is replaced."""

SALT = "augment"
SPACE_MARKER = "Ġ"
"""What byte-level vocabularies put before a piece that begins a word."""

MASKED_BATCH = 64
CHUNK = 10_000

# Parts of a contraction or a compound are no words (don't, well-known, nor MRPC's "didn 't"), and
# a single letter is an initial at best.
WORD = re.compile(r"(?<![\w'’-])[^\W\d_]{2,}(?![\w'’-]|\s['’]t\b)")


class Slots(NamedTuple):
    """The words of a text that may be replaced.

    Attributes:
        spans: First character of each and the one behind it, `[words, 2]`.
        candidates: Pieces that may stand there, the likeliest first, `[words, CANDIDATES]`.
    """

    spans: NDArray[np.int32]
    candidates: NDArray[np.int32]


class Augmenter:
    """Makes variants of rows with an encoder's own masked language model.

    What a row becomes depends on its texts alone, not on its label nor on any other row: variants
    of a few rows are the same as those rows' variants among many.

    Attributes:
        identity: What the variants depend on beside the rows: plain data, for a cache.
    """

    def __init__(self, encoder: Path, variants: int, *, weights: str, device: str = "cpu") -> None:
        """Loads the language model.

        Args:
            encoder: Folder of the encoder.
            variants: How many variants of a row are drawn.
            weights: Hash of the encoder.
            device: `cpu` or `cuda`.

        Raises:
            BenchError: The checkpoint has no masked-language-model head, or no whole words.
        """
        from bench.models.checkpoint import load_tokenizer, max_pieces
        from bench.models.footprint import count_dense
        from bench.models.masked_lm import load_masked_model

        self.variants = variants
        self.identity = ["word replacement", variants, CANDIDATES, PROBABILITY, weights]
        self._device, self._limit = device, max_pieces(encoder)
        self._tokenizer: Any = load_tokenizer(encoder)
        try:
            self._encoder, self._head = load_masked_model(encoder)
        except BenchError as error:
            raise BenchError(f"--augment asks the encoder for words, but {error}.") from None
        torch.nn.Module.to(self._encoder, device)
        torch.nn.Module.to(self._head, device)
        self._words = whole_words(self._tokenizer, self._head.config.vocab_size)
        if sum(map(bool, self._words)) < CANDIDATES:
            raise BenchError(f"--augment: the vocabulary has not even {CANDIDATES} whole words.")
        self._no_words = torch.tensor([not word for word in self._words], device=device)
        self._counts = count_dense(self._encoder)
        self._known: dict[str, Slots] = {}
        self._flops = 0

    def augment(self, rows: Dataset) -> tuple[list[Dataset], int]:
        """Makes the variants of rows.

        Args:
            rows: Rows of a task.

        Returns:
            Rows of the same columns and `source`, the number of the row that each was made from, in
            the order of their sources; and the FLOPs of it: the language model's passes over the
            masked texts, without padding, equal texts once.
        """
        self._known, self._flops = {}, 0  # what an earlier task has paid for is paid again
        return list(self._chunks(rows)), self._flops

    def _chunks(self, rows: Dataset) -> Iterator[Dataset]:
        """The variants of `CHUNK` rows at a time, since an Arrow table is smaller than its rows."""
        from datasets import Dataset

        names = [name for name in ("text", "text_pair") if name in rows.column_names]
        for begin in range(0, len(rows), CHUNK):
            made = []
            for number, row in enumerate(rows.select(range(begin, min(begin + CHUNK, len(rows))))):
                for count, texts in enumerate(self.vary([row[name] for name in names]), 1):
                    own = {"id": f"{row['id']}+{count}", "source": begin + number}
                    made.append({**row, **dict(zip(names, texts, strict=True)), **own})
            if made:
                yield Dataset.from_list(made)

    def vary(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        """Variants of a row, all different from it and from one another.

        Each draw replaces every word that has candidates with probability `PROBABILITY` by any of
        them, among which the word itself may be. Of a pair, the draws take the first and the second
        text in turn and leave the other as it is. (The authors' script varies all first texts, then
        all second ones, which it pairs with the last variant of the first: an accident.)

        Args:
            texts: The text of the row, or its two texts.
        """
        generator = np.random.default_rng(int.from_bytes(row_hash(texts, SALT), "big"))
        found = {tuple(texts): None}  # in the order of the draws
        for draw in range(self.variants):
            which = draw % len(texts)
            varied = list(texts)
            varied[which] = self._replace(texts[which], generator)
            found[tuple(varied)] = None
        return list(found)[1:]

    def candidates(self, text: str) -> dict[tuple[int, int], list[str]]:
        """The words that may stand in a text instead of its own, by the characters they replace."""
        spans, pieces = self._slots(text)
        return {
            (int(begin), int(end)): [self._words[piece] for piece in row]
            for (begin, end), row in zip(spans, pieces, strict=True)
        }

    def _replace(self, text: str, generator: np.random.Generator) -> str:
        spans, candidates = self._slots(text)
        replaced = generator.random(len(spans)) < PROBABILITY
        chosen = generator.integers(CANDIDATES, size=len(spans))
        parts, behind = [], 0
        for word in np.flatnonzero(replaced):
            begin, end = spans[word]
            parts += [text[behind:begin], self._words[candidates[word, chosen[word]]]]
            behind = end
        return "".join([*parts, text[behind:]])

    def _slots(self, text: str) -> Slots:
        if text not in self._known:
            self._known[text] = self._propose(text)
        return self._known[text]

    @torch.inference_mode()
    def _propose(self, text: str) -> Slots:
        """Asks the language model about every word, given "[masked text] [SEP] [text]".

        A batch holds one text's words only: all its rows are equally long, and no digit depends on
        which other texts there are. Larger ones were no faster on a processor.
        """
        from bench.models.masked_lm import head_flops, piece_logits

        encoded = self._tokenizer(
            text, text, return_offsets_mapping=True, return_token_type_ids=True, verbose=False
        )
        # What is too long is cut at the end, as the authors' script does.
        pieces = torch.tensor(encoded["input_ids"][: self._limit], device=self._device)
        segments = torch.tensor(encoded["token_type_ids"][: self._limit], device=self._device)
        spans = self._places(text, encoded)
        places = torch.tensor(list(spans), device=self._device)
        found = np.empty((len(spans), CANDIDATES), dtype=np.int32)
        for begin in range(0, len(spans), MASKED_BATCH):
            masked = places[begin : begin + MASKED_BATCH]
            rows = torch.arange(len(masked), device=self._device)
            inputs = {"input_ids": pieces.repeat(len(masked), 1)}
            inputs["input_ids"][rows, masked] = self._tokenizer.mask_token_id
            if has_segments(self._encoder.config):
                inputs["token_type_ids"] = segments.repeat(len(masked), 1)
            hidden = self._encoder(**inputs).last_hidden_state[rows, masked]
            logits = piece_logits(self._head, hidden).masked_fill(self._no_words, -torch.inf)
            found[begin : begin + len(masked)] = logits.topk(CANDIDATES).indices.cpu().numpy()
        self._flops += self._counts.forward_flops([len(pieces)] * len(spans))
        self._flops += head_flops(self._head, len(spans))
        return Slots(np.array(list(spans.values()), np.int32).reshape(-1, 2), found)

    def _places(self, text: str, encoded: Any) -> dict[int, tuple[int, int]]:
        """Where the words that may be replaced stand in the first text: pieces and characters."""
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        words = {
            match.span() for match in WORD.finditer(text)
            if match[0].lower() not in ENGLISH_STOP_WORDS
        }  # fmt: skip
        found = {}
        for place, (piece, which, (begin, end)) in enumerate(
            zip(
                encoded["input_ids"], encoded.sequence_ids(), encoded["offset_mapping"], strict=True
            )
        ):
            # Some byte-level tokenizers count the space before a word to the word.
            begin += len(text[begin:end]) - len(text[begin:end].lstrip())
            known = which == 0 and piece != self._tokenizer.unk_token_id
            if known and place < self._limit and (begin, end) in words:
                found[place] = (begin, end)
        return found


def whole_words(tokenizer: PreTrainedTokenizerBase, size: int) -> list[str]:
    """The word that each piece is; empty for parts of words, special pieces and all but letters.

    Args:
        tokenizer: The tokenizer.
        size: Pieces that the model knows.
    """
    from tokenizers.models import BPE

    byte_level = isinstance(tokenizer.backend_tokenizer.model, BPE)
    special = set(tokenizer.all_special_ids)
    words = [""] * size
    count = min(size, len(tokenizer))
    for number, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(count)))):
        word = piece or ""
        if byte_level:
            begins = word.startswith(SPACE_MARKER)
            word = tokenizer.convert_tokens_to_string([word]).strip() if begins else ""
        if number not in special and word.isalpha():  # a WordPiece "##ing" is not
            words[number] = word
    return words
