"""A challenge set's rows for a task, tokenised once and kept beside the task's own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bench.checksums import is_as_written
from bench.data.encoded import Encoded
from bench.data.prepare import encode, load
from bench.data.revisions import pin, pinned
from bench.data.splits import find_twins
from bench.data.task import checked_challenge
from bench.data.texts import keep_texts, read_texts, texts_of_rows
from bench.files import lock, read_json, short_hash, write_json
from bench.parquet import read_parquet, write_parquet
from bench.schema import Count

if TYPE_CHECKING:
    from bench.data.prepare import Prepared
    from bench.data.task import Challenge, ChallengeSet, Source, Task
    from bench.data.texts import Texts


@dataclass(frozen=True, kw_only=True)
class PreparedChallenge:
    """A challenge set whose rows for a task were read and tokenised into a folder.

    Attributes:
        name: The set's name.
        fingerprint: Hash of the rows, and of how they are scored.
        folder: Where rows, texts and groups lie.
        metric: A key of `bench.metrics.METRICS`.
        merged: The set's class of each of the task's classes, where it tells fewer apart.
        rows: How many there are.
        facts: What the record says of the rows.
        targets: Ids of cells that the rows were written against.
    """

    name: str
    fingerprint: str
    folder: Path
    metric: str
    merged: tuple[int, ...] | None
    rows: int
    facts: dict[str, Any] = field(compare=False)
    targets: tuple[str, ...] = ()

    def load(self) -> tuple[Encoded, list[list[str]] | None]:
        """The rows, and the groups of each if there are any."""
        table = read_parquet(self.folder / GROUPS, f"remove {self.folder}, and it is made anew")
        groups = table["groups"].to_pylist()
        return Encoded.load(self.folder / ROWS), groups if any(groups) else None

    def texts(self, rows: Encoded) -> list[Texts]:
        """The texts of the rows."""
        return read_texts(self.folder, "report", rows.ids)


ROWS, GROUPS, DESCRIBED = "report.parquet", "groups.parquet", "challenge.json"


class _Described(Struct, kw_only=True):
    """What `challenge.json` has to say."""

    cut: Count
    seen: Count


def read_challenge(
    challenge_set: ChallengeSet, task: Task, source: Source, cache: Path
) -> Challenge:
    """A challenge set's rows, of the hub's revision that a folder was begun with.

    Args:
        challenge_set: The set.
        task: The task.
        source: Where its rows may come from.
        cache: Folder for tokenised rows.

    Raises:
        BenchError: As `checked_challenge`.
    """
    key = f"challenge {challenge_set.name}"
    found = checked_challenge(challenge_set, task, pinned(source, key, cache))
    pin(found.provenance, key, cache)
    return found


def prepare_challenge(
    challenge_set: ChallengeSet,
    found: Challenge,
    task: Task,
    beside: Prepared,
    *,
    encoder: Path,
    cache: Path,
) -> PreparedChallenge:
    """Tokenises and keeps the rows of a challenge set.

    Args:
        challenge_set: The set.
        found: Its rows for the task.
        task: The task.
        beside: The task's own rows, which these are cut like.
        encoder: Folder of the encoder, whose tokenizer counts.
        cache: Folder for tokenised rows; a folder a set, task and tokenizer.

    Raises:
        BenchError: As `encode`.
    """
    limit = beside.facts["cut_to_fit"]["pieces"]
    fingerprint = _hash(challenge_set, found, task)
    folder = (
        cache / f"{task.name}-{challenge_set.name}-{short_hash([fingerprint, beside.folder.name])}"
    )
    with lock(cache, folder.name):
        done = _found(folder)
        if done is None:
            done = _write(folder, found, task, beside, encoder, limit)
    return PreparedChallenge(
        name=challenge_set.name,
        fingerprint=fingerprint,
        folder=folder,
        metric=found.metric,
        merged=found.merged,
        rows=len(found.rows),
        facts={
            **found.provenance,
            "rows": len(found.rows),
            "cut": done["cut"],
            "seen": done["seen"],
            "skipped_rows": len(found.skipped),
            "skipped": list(found.skipped[:20]),
        },
        targets=found.targets,
    )


def _hash(challenge_set: ChallengeSet, found: Challenge, task: Task) -> str:
    """Hash over the rows and how they are scored, as sixteen hexadecimal digits."""
    how = [challenge_set.name, challenge_set.info.version, found.metric, found.merged]
    state = hashlib.sha256(json.dumps([*how, task.name, task.info.labels]).encode())
    for name in sorted(found.rows.column_names):
        state.update(json.dumps([name, found.rows[name][:]], ensure_ascii=False).encode())
    return state.hexdigest()[:16]


def _found(folder: Path) -> dict[str, Any] | None:
    """What `challenge.json` says, if it and the rows are what was written."""
    done = read_json(folder / DESCRIBED, _Described)
    return done if done and all(is_as_written(folder / name) for name in (ROWS, GROUPS)) else None


def _write(
    folder: Path, found: Challenge, task: Task, beside: Prepared, encoder: Path, limit: int
) -> dict[str, Any]:
    """Makes and keeps what `PreparedChallenge` reads; returns what `challenge.json` says."""
    import pyarrow

    rows = found.rows
    (encoded,) = encode([rows], encoder, limit, task.is_regression)
    encoded.save(folder / ROWS)
    groups = rows["groups"][:] if "groups" in rows.column_names else [[] for _ in range(len(rows))]
    kind = pyarrow.list_(pyarrow.string())
    write_parquet(folder / GROUPS, pyarrow.table({"groups": pyarrow.array(groups, kind)}))
    keep_texts(folder, {"report": rows})
    learnt = read_texts(beside.folder, "train", load(beside).own.ids)
    done = {"cut": encoded.cut, "seen": len(find_twins(texts_of_rows(rows), learnt).rows)}
    write_json(folder / DESCRIBED, done)
    return done
