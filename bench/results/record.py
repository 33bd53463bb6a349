"""The stored result of a cell: what it says, and whether it says it whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, get_args

from bench.errors import BenchError
from bench.files import json_hash
from bench.protocol import NONE, OPTIONS, SEQUENCE_LENGTH
from bench.results.layout import ANSWERS, RecordFile, Status
from bench.schema import check


def cell_id(
    cell: Mapping[str, Any],
    *,
    version: int | None,
    data: str,
    weights: str,
    carried: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The id of a cell: sixteen hexadecimal digits.

    Args:
        cell: Its fields, as a record has them.
        version: The method's version.
        data: Fingerprint of the task's rows.
        weights: Hash of the encoder.
        carried: Parameters that were carried from another suite, the reference's included.
    """
    key = {**cell, **({"carried": carried} if carried else {})}
    key["model"] = weights  # a moved or renamed folder is the same model
    return json_hash({**key, "version": version, "data": data})[:16]


def now() -> str:
    """The date and time by this machine's clock, as records have it."""
    return datetime.now(timezone.utc).isoformat()


def start_hash(weights: str, intermediate: str) -> str:
    """Identity of the encoder that cells start from.

    Args:
        weights: Hash of the encoder that was asked for.
        intermediate: Name of the folder of the rows that it is fine-tuned on before, which says
            data, tokenizer and cap; empty where there are none.
    """
    return json_hash([weights, intermediate])[:16] if intermediate else weights


def record_hash(record: Record) -> str:
    """Hash over a slimmed record."""
    text = json.dumps(slim(record), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def slim(record: Record) -> dict[str, Any]:
    """What a page needs of a record: all but its date and the list of skipped rows."""
    data = record.to_json()
    del data["created"]
    for later in ("latency", "curve", "challenges"):
        if data[later] is None:  # so that a record of before there was any stays as it is
            del data[later]
    data["data"] = {name: held for name, held in record.data.items() if name != "skipped"}
    return data


def outcome(record: Record) -> dict[str, Any]:
    """All that a record says but when, how fast and from which commit, as a second run has it."""
    data = slim(record)
    data["cost"] = {name: held for name, held in record.cost.items() if name not in MEASURED}
    data["environment"] = {name: v for name, v in record.environment.items() if name != "git"}
    return data


MEASURED = ("wall_s", "train_s", "peak_memory_mb")
"""Costs that are not counted, but measured."""

SCHEMA = 2
"""Of what is written now: since 2, predictions hold logits."""

READABLE = (1, 2)
"""Schemas of records that can be read; a page leaves out what the older ones do not know."""

DENSE = "dense"
"""The name of the uncompressed control."""


def dense_of(method: str) -> str:
    """The dense model that a row is read against: the one that is pinned to the same options.

    Args:
        method: A variant's name, such as `magnitude:perturb=none`.
    """
    pins = [part for part in method.split(":")[1:] if part.partition("=")[0] in OPTIONS]
    return ":".join([DENSE, *pins])


def without_option(method: str, option: str) -> tuple[str, str]:
    """A variant's name without one of the options that it is pinned to, and that option's value."""
    parts = method.split(":")
    values = [part.partition("=")[2] for part in parts if part.partition("=")[0] == option]
    kept = [part for part in parts if part.partition("=")[0] != option]
    return ":".join(kept), "".join(values)


def option_of(method: str, option: str, settings: Mapping[str, Any]) -> str:
    """What holds for a row of one of the protocol's `OPTIONS`: its own, or its suite's.

    Args:
        method: A variant's name.
        option: The option.
        settings: The suite's protocol, as its file has it.

    Returns:
        The value; empty where the option is off.
    """
    said = without_option(method, option)[1] or settings.get(option) or ""
    return "" if said == NONE else said


def is_dense(method: str) -> bool:
    """Whether a row is a dense model that others are read against."""
    return method == dense_of(method)


TEXT_FLOOR, ENCODER_FLOOR = "text-floor", "encoder-floor"
"""The names of the controls that say what words alone, and the untrained encoder, are worth."""

THRESHOLD = "no_answer_threshold"
"""What `data` of a record calls the margin, in logits, above which a question has no answer."""

AGAINST_MAJORITY = "against_majority"
"""What `tuning` of a dense model's record calls the test against the majority class that decides
whether the task tells anything: `dense` and `score`, on the tune rows, and `p` of the difference.
It was made before any report row was read."""

SIZES = ("weights", "bytes", "params", "flops", "flops_task")
"""All that a footprint may say a ratio of: old ones lack the FLOPs at a task's lengths."""

STATUSES = get_args(Status)


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
        cost: `train_flops`, `parts`, `wall_s`, `steps`, `peak_memory_mb`, and in `train_s` the
            seconds of the final run's trainings, that of a reference and what cells share included.
            Old records lack these seconds.
        knowledge: Where the model was probed: `text`, its `hash`, `rows` and `masked` pieces, and
            the masked-language-model loss in nats a masked piece: `loss` of the delivered model
            (`None` where its width is not the encoder's), `pretrained` and `finetuned` of the
            encoder before and after fine-tuning. Those are under the pre-trained head; `refitted`,
            `pretrained_refitted` and `finetuned_refitted` under one fitted on the model, and
            `floor` is what word frequencies reach. Old records lack these four.
        latency: Where its model was timed: the machine, and a row an engine, batch and length.
        curve: `steps` made until some ten points of the training, and the mean training `loss`
            since the point before.
        challenges: What it scored on challenge sets, by their names: `score` and `scores` as of the
            report rows, the main figure of each of the rows' `groups`, `fingerprint`, where the
            rows came from and how many they are (`rows`), how many were `cut` or have a training
            row's text (`seen`), `notes`, and `target` where the rows were written against the cell.
        data: Where the rows came from, how many were used, cut or skipped, and the report rows'
            `median_length` in tokens.
        environment: Versions, hardware, threads, precision.
        created: When, with its time zone, in ISO 8601.
        error: Type, message and the log's name of a failure.
        schema: Version of this layout and of that of its predictions.
        more: What a later version of this package has written beside, kept as it is.
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
    challenges: dict[str, dict[str, Any]] | None = None
    data: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    created: str = field(default_factory=now)
    error: dict[str, str] | None = None
    schema: int = SCHEMA
    more: dict[str, Any] = field(default_factory=dict)

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
        """Plain data, in the order of the fields; what it holds is the record's own, not a copy."""
        return {name: getattr(self, name) for name in FIELDS} | self.more

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Reads plain data back.

        Raises:
            BenchError: It is not a record of a schema that can be read.
        """
        if not isinstance(data, dict) or data.get("schema") not in READABLE:
            raise BenchError(f"not a record of schema {' or '.join(map(str, READABLE))}")
        said = {name: held for name, held in data.items() if held != {}}
        check(said, RecordFile)
        return cls(
            **{name: held for name, held in said.items() if name in FIELDS},
            more={name: held for name, held in data.items() if name not in FIELDS},
        )


FIELDS = tuple(field.name for field in dataclasses.fields(Record) if field.name != "more")
"""What this version writes."""
