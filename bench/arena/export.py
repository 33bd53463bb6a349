"""All that an arena knows, without accounts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.arena.accounts import Accounts
from bench.arena.database import FILE, Database
from bench.arena.examples import Examples
from bench.arena.standings import as_plain, megabytes_of, names_of, standings
from bench.errors import BenchError
from bench.files import refuse_outward_links, write_json, write_text
from bench.results.rounds import ARENA, FIGURES

if TYPE_CHECKING:
    from bench.arena.examples import Example, Round
    from bench.results.store import Store

EXAMPLES = "examples.jsonl"


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
    refuse_outward_links(store.root)  # a database is opened to be written
    path = store.root / ARENA / FILE
    if not path.is_file():
        raise BenchError(f"{store.root} has no arena yet: bench arena CELL begins one.")
    database = Database(path)
    examples, people = Examples(database), Accounts(database).all()
    names = names_of(people)
    lines, figures = [], {}
    for held in examples.rounds():
        found = examples.of_round(held.number)
        lines += [json.dumps(_row(held, one, names), ensure_ascii=False) for one in found]
        models = examples.models()
        made = standings(held, found, models, megabytes_of(store, models))
        figures[held.name] = as_plain(made, names)
    database.close()
    write_text(out / EXAMPLES, "".join(f"{line}\n" for line in lines))
    write_json(out / FIGURES, figures)
    return [out / EXAMPLES, out / FIGURES]


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
