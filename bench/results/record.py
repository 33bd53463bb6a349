"""The stored result of a cell: what it says, and whether it says it whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from types import UnionType
from typing import Any, Literal, get_args

from bench.errors import BenchError
from bench.protocol import SEQUENCE_LENGTH


def record_hash(record: Record) -> str:
    """Hash over a slimmed record."""
    text = json.dumps(slim(record), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def slim(record: Record) -> dict[str, Any]:
    """What a page needs of a record: all but its date and the list of skipped rows."""
    data = record.to_json()
    del data["created"]
    for later in ("latency", "curve"):
        if data[later] is None:  # so that a record of before there was any stays as it is
            del data[later]
    data["data"].pop("skipped", None)
    return data


SCHEMA = 2
"""Of what is written now: since 2, predictions hold logits."""

READABLE = (1, 2)
"""Schemas of records that can be read; a page leaves out what the older ones do not know."""

DENSE = "dense"
"""The name of the uncompressed control."""

TEXT_FLOOR, ENCODER_FLOOR = "text-floor", "encoder-floor"
"""The names of the controls that say what words alone, and the untrained encoder, are worth."""

AGAINST_MAJORITY = "against_majority"
"""What `tuning` of a dense model's record calls the test against the majority class that decides
whether the task tells anything: `dense` and `score`, on the tune rows, and `p` of the difference.
It was made before any report row was read."""

AXES = ("weights", "params", "flops")
"""What every footprint says a ratio of."""

SIZES = ("weights", "bytes", "params", "flops", "flops_task")
"""All that a footprint may say a ratio of: old ones lack the FLOPs at a task's lengths."""

ANSWERS = "answers"
"""What the method of a cell delivers that made no model, as its `delivers` says; such a cell has
neither a footprint nor a speed."""

Status = Literal["ok", "missed", "unreachable", "failed", "external"]
STATUSES = get_args(Status)
SCORED = ("ok", "missed", "external")
"""Statuses of a cell that came to a model."""

FIELDS: dict[str, dict[str, type | UnionType]] = {
    "cell": {"method": str, "task": str, "axis": str, "ratio": int | float, "seed": int},
    "method": {"kind": str, "control": bool, "starts_from": str, "teacher": str},
    "params": {},
    "tuning": {},
    "scores": {},
    "footprint": {},
    "cost": {},
    "data": {
        "train": int,
        "train_available": int,
        "report": int,
        "skipped_rows": int,
        "cut_to_fit": dict,
    },
    "environment": {
        "python": str,
        "packages": dict,
        "processor": str,
        "vector_extensions": list,
        "device": str,
        "threads": int,
        "precision": str,
    },
    "knowledge": {
        "text": str,
        "hash": str,
        "rows": int,
        "masked": int,
        "loss": int | float | None,
        "pretrained": int | float | None,
        "finetuned": int | float | None,
    },
    "latency": {
        "rows": list,
        "engines": dict,
        "threads": int,
        "processor": str,
        "vector_extensions": list,
    },
    "curve": {"steps": list, "loss": list},
    "error": {"type": str, "message": str, "log": str},
}
"""Fields of a record that hold names and values; what a page reads of them, where they are filled,
and of what type."""

LATER: dict[str, dict[str, type | UnionType]] = {
    "knowledge": {
        "floor": int | float,
        "refitted": int | float,
        "pretrained_refitted": int | float | None,
        "finetuned_refitted": int | float | None,
    },
}
"""Like `FIELDS`, of names that old records do not have."""

NULLABLE = ("knowledge", "latency", "curve", "error")

TIMING = {
    "model": str,
    "engine": str,
    "batch": int,
    "seq_len": int,
    "gain": int | float,
    "median_ms": int | float,
    "agrees": bool,
}
"""What a page reads of a row of `latency`, and of what type."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a cell once it has ended; the keys of `record.json`.

    Attributes:
        id: The cell's id, see `bench.runs.cells.cell.Cell.id`.
        status: `ok`; `missed` where the achieved ratio is below 98 % of the wanted one;
            `unreachable` where no training could have met it; `failed`; `external` for a checkpoint
            made elsewhere.
        cell: method, task, axis, ratio, seed, model and protocol.
        method: The method's kind, control, starts_from, teacher, paper and version; and what it
            `delivers` if that is `ANSWERS` alone.
        params: The resolved parameters of the method.
        tuning: How the parameters were found.
        score: The task's main figure on the report split, 0–100.
        scores: All figures of the task's metric, in the same unit.
        reference: The fine-tuned dense model that it started or learnt from.
        footprint: `weights`, `params`, `flops`, `bytes`: each with `dense`, `actual` and `ratio`;
            so too `flops_task`, the mean FLOPs over the report rows, each at its own length.
        cost: `train_flops`, `parts`, `wall_s`, `steps`, `peak_memory_mb`.
        knowledge: Where the model was probed: `text`, its `hash`, `rows` and `masked` pieces, and
            the masked-language-model loss in nats a masked piece: `loss` of the delivered model
            (`None` where its width is not the encoder's), `pretrained` and `finetuned` of the
            encoder before and after fine-tuning. Those are under the pre-trained head; `refitted`,
            `pretrained_refitted` and `finetuned_refitted` under one fitted on the model, and
            `floor` is what word frequencies reach. Old records lack these four.
        latency: Where its model was timed: the machine, and a row an engine, batch and length.
        curve: `steps` made until some ten points of the training, and the mean training `loss`
            since the point before.
        data: Where the rows came from, how many were used, cut or skipped, and the report rows'
            `median_length` in tokens.
        environment: Versions, hardware, threads, precision.
        created: When, with its time zone, in ISO 8601.
        error: Type, message and the log's name of a failure.
        schema: Version of this layout and of that of its predictions.
    """

    id: str
    status: Status
    cell: dict[str, Any]
    method: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] = field(default_factory=dict)
    score: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    reference: dict[str, Any] | None = None
    footprint: dict[str, dict[str, float]] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    knowledge: dict[str, Any] | None = None
    latency: dict[str, Any] | None = None
    curve: dict[str, Any] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat())
    error: dict[str, str] | None = None
    schema: int = SCHEMA

    @property
    def timing(self) -> dict[str, Any] | None:
        """One example of the task's median length on the fastest engine that answers right.

        Old records do not know that length: theirs is an example of 128 tokens.
        """
        wanted = ("given", 1, self.data.get("median_length", SEQUENCE_LENGTH))
        rows = (self.latency or {}).get("rows", [])
        own = [r for r in rows if (r["model"], r["batch"], r["seq_len"]) == wanted and r["agrees"]]
        return min(own, key=lambda row: row["median_ms"]) if own else None

    @property
    def has_model(self) -> bool:
        """Whether its method delivers a model rather than answers alone."""
        return self.method.get("delivers") != ANSWERS

    def to_json(self) -> dict[str, Any]:
        """Plain data, in the order of the fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Reads plain data back.

        Raises:
            BenchError: It is not a record of a schema that can be read.
        """
        if not isinstance(data, dict) or data.get("schema") not in READABLE:
            raise BenchError(f"not a record of schema {' or '.join(map(str, READABLE))}")
        known = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        if missing := {"id", "status", "cell"} - set(known):
            raise BenchError(f"a record without {', '.join(sorted(missing))}")
        odd = list(_odd_fields(known))
        if known["status"] not in STATUSES:
            odd.append("status")
        if known["status"] in SCORED:
            counted = known.get("footprint", {})
            whole = "footprint" in odd or all(has(counted.get(axis), "ratio") for axis in AXES)
            method = known.get("method")
            delivers = method.get("delivers") if isinstance(method, dict) else None
            if not whole and (counted or delivers != ANSWERS):
                odd.append("footprint")
            if known["status"] != "external":
                cost = known.get("cost", {})
                if not has(cost, "train_flops"):
                    odd.append("cost.train_flops")
                parts = cost.get("parts", {}) if isinstance(cost, dict) else {}
                if not isinstance(parts, dict) or not all(has(parts, part) for part in parts):
                    odd.append("cost.parts")
            if not has(known, "score"):
                odd.append("score")
        if odd:
            raise BenchError(f"a record with no valid {', '.join(odd)}")
        return cls(**known)


def _odd_fields(record: dict[str, Any]) -> Iterator[str]:
    """The fields, or keys of fields, that are not what `FIELDS` says; a field may be empty."""
    for name, keys in FIELDS.items():
        held = record.get(name, {})
        if held is None and name in NULLABLE:
            continue
        if not isinstance(held, dict):
            yield name
        elif held:
            later = {key: kind for key, kind in LATER.get(name, {}).items() if key in held}
            known = (keys | later).items()
            yield from (f"{name}.{key}" for key, kind in known if not has(held, key, kind))

    latency = record.get("latency")
    timings = latency.get("rows") if isinstance(latency, dict) else None
    if isinstance(timings, list) and not all(
        has(row, key, kind) for row in timings for key, kind in TIMING.items()
    ):
        yield "latency.rows"


def has(held: Any, key: str, kind: type | UnionType = int | float) -> bool:
    """Whether `held` is a mapping that has a value of a type under a key; a flag is no number."""
    if not isinstance(held, dict) or key not in held:
        return False
    return isinstance(held[key], kind) and (kind is bool or not isinstance(held[key], bool))
