"""A task's rows, tokenised once and kept."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from bench.checksums import is_as_written
from bench.data import windows
from bench.data.encoded import FOREIGN, Encoded
from bench.data.further import add_rounds, check_rounds, other_rows, with_rows, without_rows
from bench.data.revisions import pin, pinned
from bench.data.splits import cap, cut_tune, find_twins
from bench.data.task import checked_rows
from bench.data.texts import keep_texts, texts_of_rows
from bench.errors import BenchError
from bench.files import lock, read_json, short_hash, write_json
from bench.models.checkpoint import load_tokenizer, max_pieces
from bench.models.folder import tokenizer_hash
from bench.schema import Count

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy.typing import NDArray

    from bench.data.augmentation import Augmenter
    from bench.data.further import Rounds
    from bench.data.task import Source, Splits, Task
    from bench.protocol import Overlap

CUT = 2
"""Raised when `cut_tune` would cut the same rows otherwise; rows that are kept would be others."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task's rows, ready for training and evaluation.

    Attributes:
        fit: Rows that tuning trials train on, and their augmentations.
        tune: Rows that trials are scored on.
        train: All of these and their augmentations, which final runs train on.
        report: Rows that final runs are scored on, and nothing else ever is.
        facts: What the record says of the data.
    """

    fit: Encoded
    tune: Encoded
    train: Encoded
    report: Encoded
    facts: dict[str, Any]

    def for_trials(self) -> TaskData:
        """The same with fit rows to train on and tune rows to be scored on, and no report rows."""
        return replace(self, train=self.fit, report=self.tune)

    @property
    def own(self) -> Encoded:
        """The rows of `train` without augmentations, and none of another domain."""
        if self.train.sources is None:
            return self.train
        return self.train.select(self.own_rows.tolist())

    @property
    def own_rows(self) -> NDArray[np.int64]:
        """The numbers that these rows have in `train`."""
        numbers = np.arange(len(self.train))
        sources = self.train.sources
        return numbers if sources is None else numbers[sources == numbers]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A task whose rows were read and tokenised into a folder.

    Attributes:
        task: The task's name, or the file that declares it.
        fingerprint: Hash of the rows.
        folder: Where `train.parquet` and `report.parquet` lie, and the texts of their rows.
        train_rows: What a training sees: rows under the cap, and their augmentations; windows of
            them where spans are looked for.
        report_rows: Rows of the report split, or windows of them.
        mean_length: Mean pieces of a training row.
        facts: What the record says of the data.
    """

    task: str
    fingerprint: str
    folder: Path
    train_rows: int
    report_rows: int
    mean_length: float
    facts: dict[str, Any] = field(compare=False)


def data_hash(task: Task, splits: Splits) -> str:
    """Hash over all rows of a task, as sixteen hexadecimal digits."""
    state = hashlib.sha256(json.dumps([task.name, task.info.version, task.info.labels]).encode())
    for rows in (splits.train, splits.dev):
        for name in sorted(rows.column_names):
            state.update(json.dumps([name, rows[name][:]], ensure_ascii=False).encode())
    return state.hexdigest()[:16]


def prepare(
    task: Task,
    source: Source,
    *,
    name: str,
    encoder: Path,
    cap_at: int | None,
    cache: Path,
    length: int | None = None,
    overlap: Overlap = "removed",
    augmenter: Augmenter | None = None,
    other: Task | None = None,
    rounds: Rounds = MappingProxyType({}),
) -> Prepared:
    """Reads a task's rows, caps and augments the training rows, tokenises and keeps them.

    Args:
        task: The task.
        source: Where its rows may come from.
        name: How to find the task again in another process: its name or its TOML file.
        encoder: Folder of the encoder, whose tokenizer and positions count.
        cap_at: `Protocol.max_train_samples`.
        cache: Folder for tokenised rows, and for the revision of the hub's data that they are of
            (`bench.data.revisions`); a folder a set of rows, tokenizer, cap and augmentation.
        length: Pieces of a row at most; as many as the encoder takes where nothing is said.
        overlap: What becomes of training rows whose text is a report row's.
        augmenter: Makes variants of the training rows, if it is asked for.
        other: A task of another domain with the same labels, whose training rows are learnt, too.
        rounds: Closed rounds of an arena whose examples are learnt as further training rows.

    Raises:
        BenchError: Rows cannot be read, a split has none, all training rows are report rows, or
            the other task or a round has no texts of this one's kind.
    """
    splits = checked_rows(task, pinned(source, task.name, cache))
    pin(splits.provenance, task.name, cache)
    longest = max_pieces(encoder)
    limit = longest if length is None else min(length, longest)
    if augmenter is not None and task.finds_spans:
        raise BenchError(
            f"'{task.name}' looks for answers in its texts, whose words --augment would replace: "
            "leave one of the two out."
        )
    data = data_hash(task, splits)
    key = [data, tokenizer_hash(encoder), limit, cap_at, overlap, CUT]
    if task.finds_spans:
        key.append(windows.VERSION)
    if augmenter is not None:
        key += augmenter.identity
    if rounds:
        check_rounds(rounds, task, splits)
        examples = [[name, one.rows[:], one.stems] for name, one in rounds.items()]
        data = short_hash([data, examples])
        key += ["rounds", data]
    further = None if other is None else other_rows(other, source, splits, cache, overlap)
    if other is not None and further is not None:
        data = short_hash([data, other.name, further["text"][:], further["label"][:]])
        key += ["other", data]
    folder = cache / f"{task.name}-{short_hash(key)}"
    done = _found(folder)
    if done is None:
        with lock(cache, folder.name):  # to augment twice would cost more than to wait
            done = _found(folder)
            if done is None:
                done = _write(
                    folder, task, splits, data, encoder, limit, cap_at, overlap, augmenter, further,
                    rounds,
                )  # fmt: skip
    texts = functools.reduce(with_rows, (one.rows for one in rounds.values()), splits.train)
    keep_texts(folder, {"train": texts, "report": splits.dev})
    return Prepared(
        task=name,
        fingerprint=done["fingerprint"],
        folder=folder,
        train_rows=done["train_rows"],
        report_rows=done["report_rows"],
        mean_length=done["mean_length"],
        facts=done["facts"] | ({"licence": task.info.licence} if task.info.licence else {}),
    )


def rows_to_learn_from(
    task: Task, source: Source, *, cache: Path, overlap: Overlap = "removed"
) -> int:
    """How many training rows a task has that a run would train on, without any cap.

    Args:
        task: The task.
        source: Where its rows may come from.
        cache: Folder for the revision of the hub's data that they are of.
        overlap: What becomes of training rows whose text is a report row's.

    Raises:
        BenchError: Rows cannot be read.
    """
    splits = checked_rows(task, pinned(source, task.name, cache))
    if overlap == "kept":
        return len(splits.train)
    twins = find_twins(texts_of_rows(splits.train), texts_of_rows(splits.dev))
    return len(splits.train) - len(twins.rows)


def _found(folder: Path) -> dict[str, Any] | None:
    """What `prepared.json` says, if it and the rows are what was written."""
    done = read_json(folder / "prepared.json", _Described)
    files = (folder / "train.parquet", folder / "report.parquet")
    return done if done is not None and all(map(is_as_written, files)) else None


class _Described(Struct, kw_only=True):
    """What `prepared.json` has to say."""

    fingerprint: str
    train_rows: Count
    report_rows: Count
    mean_length: float
    tune: list[Count]
    facts: dict[str, Any]


def _write(
    folder: Path,
    task: Task,
    splits: Splits,
    data: str,
    encoder: Path,
    limit: int,
    cap_at: int | None,
    overlap: Overlap,
    augmenter: Augmenter | None,
    further: Dataset | None,
    rounds: Rounds,
) -> dict[str, Any]:
    """Makes and keeps what `load` reads; returns what `prepared.json` says."""
    twins = find_twins(texts_of_rows(splits.train), texts_of_rows(splits.dev))
    if overlap == "kept":
        train = splits.train
    elif len(twins.rows) == len(splits.train):
        raise BenchError(
            f"every training row of '{task.name}' is a report row, too: --overlap kept trains on "
            "them all the same."
        )
    else:  # before the cap, which is filled all the same
        train = without_rows(splits.train, twins.rows)
    train = train.select(cap(texts_of_rows(train), cap_at))
    ties: list[tuple[int, int]] = []
    learnt: dict[str, Any] = {}
    if rounds:
        train, ties, learnt = add_rounds(train, rounds, splits, twins.rows)
    fit, tune, shared = cut_tune(texts_of_rows(train), ties)
    encoded, report = _encoded(task, [train, splits.dev], encoder, limit)
    facts = {
        **splits.provenance,
        "fingerprint": data,
        "train": len(train),
        "train_available": len(splits.train),
        "fit": len(fit),
        "tune": len(tune),
        "tune_shared": shared,
        "report": len(splits.dev),
        "overlap": {"rows": len(twins.rows), "exact": twins.exact, "are": overlap},
        "cut_to_fit": {"pieces": limit, "train": encoded.cut, "report": report.cut},
        "skipped_rows": len(splits.skipped),
        "skipped": list(splits.skipped[:20]),
    }
    if learnt:
        facts["train_with"] = learnt
    if encoded.spans is not None:
        counts = {"train": len(encoded), "report": len(report)}
        facts["windows"] = {**counts, "overlap": windows.overlap_of(limit)}
        facts["no_answer"] = sum(not right for right in encoded.spans.answers)
        tune = np.flatnonzero(np.isin(encoded.spans.examples, tune)).tolist()
    if augmenter is not None:
        variants, flops = augmenter.augment(train)
        sources = [np.arange(len(train)), *(np.asarray(rows["source"]) for rows in variants)]
        made = _encoded(task, variants, encoder, limit)
        encoded = Encoded.join([encoded, *made], np.concatenate(sources))
        facts["augmentation"] = {
            "variants": augmenter.variants,
            "rows": len(encoded) - len(train),
            "flops": flops,
        }
    if further is not None:
        (made_elsewhere,) = _encoded(task, [further], encoder, limit)
        own = np.arange(len(encoded)) if encoded.sources is None else encoded.sources
        foreign = np.full(len(further), FOREIGN)
        encoded = Encoded.join([encoded, made_elsewhere], np.concatenate([own, foreign]))
        facts["other_domain"] = {"rows": len(further)}
    encoded.save(folder / "train.parquet")
    report.save(folder / "report.parquet")
    done = {
        "fingerprint": data,
        "train_rows": len(encoded),
        "report_rows": len(report),
        "mean_length": float(encoded.lengths.mean()),
        "tune": tune,
        "facts": facts,
    }
    write_json(folder / "prepared.json", done)
    return done


def _encoded(task: Task, splits: list[Dataset], encoder: Path, limit: int) -> list[Encoded]:
    """Tokenises splits as a task's rows are."""
    if task.finds_spans:
        return windows.encode_windows(splits, encoder, limit)
    return encode(splits, encoder, limit, task.is_regression)


def load(prepared: Prepared) -> TaskData:
    """Reads the tokenised rows of a task."""
    train = Encoded.load(prepared.folder / "train.parquet")
    tune = read_json(prepared.folder / "prepared.json")["tune"]  # type: ignore[index]
    sources = np.arange(len(train)) if train.sources is None else train.sources
    fit = np.flatnonzero(~np.isin(sources, tune))
    rows = train.select(fit.tolist())
    if train.sources is not None:  # each row's own comes before those made from it
        kept = sources[fit]
        rows = replace(rows, sources=np.where(kept < 0, kept, np.searchsorted(fit, kept)))
    return TaskData(
        fit=rows,
        tune=train.select(tune),
        train=train,
        report=Encoded.load(prepared.folder / "report.parquet"),
        facts=prepared.facts,
    )


def encode(splits: list[Dataset], encoder: Path, limit: int, is_regression: bool) -> list[Encoded]:
    """Tokenises splits with the encoder's own tokenizer, cutting the longest text first.

    Args:
        splits: Rows with `id`, `text`, `label` and, for pairs, `text_pair`.
        encoder: Folder with the tokenizer.
        limit: Pieces that fit the model's positions.
        is_regression: Whether labels are figures.

    Raises:
        BenchError: As `load_tokenizer`.
    """
    tokenizer = load_tokenizer(encoder)
    encoded = []
    for rows in splits:
        pair = rows["text_pair"][:] if "text_pair" in rows.column_names else None
        tokens = tokenizer(rows["text"][:], pair, truncation=False, verbose=False)["input_ids"]
        too_long = sum(len(row) > limit for row in tokens)
        output = tokenizer(
            rows["text"][:],
            pair,
            truncation="longest_first",
            max_length=limit,
            return_token_type_ids=True,
        )
        lengths = [len(row) for row in output["input_ids"]]
        encoded.append(
            Encoded(
                ids=[str(i) for i in rows["id"]],
                pieces=np.concatenate([np.asarray(r, np.int32) for r in output["input_ids"]]),
                segments=np.concatenate([np.asarray(r, np.int8) for r in output["token_type_ids"]]),
                offsets=np.concatenate([[0], np.cumsum(lengths)]),
                labels=np.asarray(rows["label"], np.float32 if is_regression else np.int64),
                parts=list(rows["part"]) if "part" in rows.column_names else None,
                cut=too_long,
            )
        )
    return encoded
