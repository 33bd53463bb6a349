"""Passages cut into a prompt and its real ending, as Chang and Lu (2021, arXiv:2108.11696) do.

A text is split into sentences. Of each the first words are kept, a short one is left out, and the
rest is cut in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import Struct

from bench.checksums import is_as_written
from bench.data.corpus import read_passages
from bench.errors import BenchError
from bench.files import read_json, short_hash, write_json
from bench.models.checkpoint import read_tokenizer
from bench.models.folder import tokenizer_hash
from bench.parquet import read_parquet, write_parquet
from bench.schema import Count

if TYPE_CHECKING:
    from bench.data.corpus import Text

LEAST_WORDS, MOST_WORDS = 20, 30
"""Of a sentence: a shorter one is left out, and a longer one is cut."""

MOST_PASSAGES = 30_000

ROWS = "passages.parquet"

SEED = 42
"""Of their order, as in the paper's script."""

VERSION = 1
"""Raised when the same text would become other passages."""


class Passage(NamedTuple):
    """The two halves of a sentence."""

    prompt: str
    ending: str


@dataclass(frozen=True, kw_only=True)
class Passages:
    """Passages that were cut into a folder; plain data, so that worker processes can be sent it.

    Attributes:
        fingerprint: Hash of text and cut.
        text: Name of the text.
        folder: Where `passages.parquet` lies.
        count: How many there are.
    """

    fingerprint: str
    text: str
    folder: Path
    count: int


class _Described(Struct, kw_only=True):
    """What `passages.json` has to say."""

    count: Count


def cut_passages(texts: Iterable[str]) -> Iterator[Passage]:
    """The passages of texts: split at ". ", cut to `MOST_WORDS` words, the last word left away."""
    for text in texts:
        for sentence in text.split(". "):
            words = sentence.split()[:MOST_WORDS]
            if len(words) >= LEAST_WORDS:
                half = len(words) // 2
                yield Passage(" ".join(words[:half]), " ".join(words[half:-1]))


def prepare_passages(text: Text, cache: Path, most: int | None, writer: Path) -> Passages:
    """Cuts a text into passages, as far as the cache does not have them, and shuffles them.

    Args:
        text: The text.
        cache: Folder for them.
        most: How many are kept at most, where `MOST_PASSAGES` are more.
        writer: Folder of the model that writes fake endings. A real one that its tokenizer has no
            pieces for would be told by that, and is left out.

    Raises:
        BenchError: The text cannot be read, or has fewer than two passages.
    """
    wanted = min(MOST_PASSAGES, most or MOST_PASSAGES)
    fingerprint = short_hash([text.hash, wanted, tokenizer_hash(writer), VERSION])
    folder = cache / f"passages-{fingerprint}"
    path, done = folder / ROWS, read_json(folder / "passages.json", _Described)
    if done is None or not is_as_written(path):
        import pyarrow

        texts = (passage for file in text.files for passage in read_passages(file, text.limits)[0])
        distinct = list({passage.prompt: passage for passage in cut_passages(texts)}.values())
        found = _known(distinct, read_tokenizer(writer))
        if len(found) < 2:  # one to learn from, and one to ask for
            raise BenchError(
                f"{text.name} has {len(distinct)} sentences of {LEAST_WORDS} words or more, "
                f"{len(found)} of them in words that the writing model knows: --intermediate "
                "synthetic takes two at least."
            )
        order = np.random.default_rng(SEED).permutation(len(found))[:wanted]
        kept = [found[place] for place in order]
        columns = dict(zip(Passage._fields, map(list, zip(*kept, strict=True)), strict=True))
        write_parquet(path, pyarrow.table(columns))
        done = {"count": len(kept)}
        write_json(folder / "passages.json", done)
    return Passages(fingerprint=fingerprint, text=text.name, folder=folder, count=done["count"])


def _known(passages: list[Passage], tokenizer: Any) -> list[Passage]:
    """The passages whose endings are pieces of a tokenizer, none of them special."""
    special = set(tokenizer.all_special_ids)
    if not passages:
        return []
    endings = [passage.ending for passage in passages]
    pieces = tokenizer(endings, add_special_tokens=False, verbose=False)["input_ids"]
    both = zip(passages, pieces, strict=True)
    return [passage for passage, ending in both if ending and special.isdisjoint(ending)]


def load_passages(passages: Passages) -> list[Passage]:
    """The passages themselves, in their order."""
    path = passages.folder / ROWS
    table = read_parquet(path, f"remove {passages.folder}, and it is made anew")
    columns = (table[name].to_pylist() for name in Passage._fields)
    return [Passage(*both) for both in zip(*columns, strict=True)]
