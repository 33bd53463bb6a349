"""All that an arena knows, without accounts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.arena.accounts import Accounts
from bench.arena.database import FILE, FOLDER, Database
from bench.arena.examples import Examples
from bench.arena.standings import names_of, standings
from bench.errors import BenchError
from bench.files import write_json, write_text

if TYPE_CHECKING:
    from bench.arena.examples import Example, Round
    from bench.arena.figures import Share
    from bench.results.store import Store

EXAMPLES, FIGURES = "examples.jsonl", "figures.json"


def export(store: Store, out: Path) -> list[Path]:
    """Writes every example of an arena, and the figures of its rounds.

    Args:
        store: The run folder; a server may be at work.
        out: Folder for the files.

    Returns:
        The files.

    Raises:
        BenchError: The run folder has no arena.
        OSError: The folder cannot be written.
    """
    path = store.root / FOLDER / FILE
    if not path.is_file():
        raise BenchError(f"{store.root} has no arena yet: bench arena CELL begins one.")
    database = Database(path)
    examples, people = Examples(database), Accounts(database).all()
    names = names_of(people)
    lines, figures = [], {}
    for held in examples.rounds():
        found = examples.of_round(held.number)
        lines += [json.dumps(_row(held, one, names), ensure_ascii=False) for one in found]
        figures[held.name] = _figures(store, examples, held, found, names)
    database.close()
    write_text(out / EXAMPLES, "".join(f"{line}\n" for line in lines))
    write_json(out / FIGURES, figures)
    return [out / EXAMPLES, out / FIGURES]


def megabytes_of(store: Store, models: dict[str, Any]) -> dict[str, float | None]:
    """MB of the models' files; `None` of those whose record has vanished."""
    found: dict[str, float | None] = {}
    for number in models:
        record = store.get(number)
        size = record.footprint.get("bytes", {}).get("actual") if record is not None else None
        found[number] = None if size is None else size / 1e6
    return found


def _row(held: Round, example: Example, names: dict[int, str]) -> dict[str, Any]:
    text, *pair = example.texts
    return {
        "id": f"{held.name}-{example.id}",
        "task": held.task,
        "text": text,
        **({"text_pair": pair[0]} if pair else {}),
        "label": held.labels[example.label],
        "author": names[example.author],
        "edited_row": example.source,
        "seconds": round(example.seconds, 1),
        "created": example.created,
        "verdict": example.verdict(held.rule),
        "votes": {
            names[account]: None if vote is None else held.labels[vote]
            for account, vote in example.votes.items()
        },
        "answers": {
            model: {
                "label": held.labels[said.label],
                "probabilities": list(said.probabilities),
                "milliseconds": said.milliseconds,
            }
            for model, said in example.answers.items()
        },
    }


def _figures(
    store: Store, examples: Examples, held: Round, found: list[Example], names: dict[int, str]
) -> dict[str, Any]:
    models = examples.models()
    made = standings(held, found, models, megabytes_of(store, models))
    return {
        "task": held.task,
        "closed": held.closed,
        "written": made.written,
        "validated": made.validated,
        "rejected": made.rejected,
        "waiting": made.waiting,
        "agreement": made.agreement,
        "median_seconds": made.seconds,
        "models": [
            {
                **dataclasses.asdict(line.model),
                "mer": _share(line.rates.mer),
                "vmer": _share(line.rates.vmer),
                "lost": None if line.rates.lost is None else _share(line.rates.lost),
                "accuracy": _share(line.accuracy),
                "milliseconds": line.milliseconds,
                "megabytes": line.megabytes,
                "dynascore": line.dynascore,
            }
            for line in made.models
        ],
        "authors": [
            {
                "author": names[line.author],
                "written": line.written,
                "median_seconds": line.seconds,
                "models": {
                    model: {"mer": _share(rates.mer), "vmer": _share(rates.vmer)}
                    for model, rates in line.rates.items()
                },
            }
            for line in made.authors
        ],
    }


def _share(share: Share) -> dict[str, Any]:
    return {"count": share.count, "of": share.of, "share": share.value, "interval": share.interval}
