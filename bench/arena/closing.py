"""Closed rounds: each is a challenge set that never changes, with a card that says what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.arena.standings import as_plain, megabytes_of, names_of, standings
from bench.errors import BenchError
from bench.files import write_json, write_text
from bench.parquet import write_parquet
from bench.results.rounds import ARENA, FIGURES, ROUNDS

if TYPE_CHECKING:
    from bench.arena.accounts import Accounts
    from bench.arena.examples import Example, Examples, Round
    from bench.arena.standings import Standings
    from bench.results.store import Store

SET, CARD, FACTS = "set.parquet", "README.md", "round.json"


def close_round(store: Store, examples: Examples, accounts: Accounts, number: int) -> Path:
    """Closes a round, and writes its set.

    Args:
        store: The run folder.
        examples: The arena's.
        accounts: The arena's, for pseudonyms.
        number: The round's.

    Returns:
        The set's folder.

    Raises:
        BenchError: Nothing of it is validated, or it is closed already.
        OSError: The folder cannot be written.
    """
    rule = examples.round(number).rule
    if not any(one.verdict(rule) == "validated" for one in examples.of_round(number)):
        raise BenchError("No example is validated yet: the set would be empty.")
    examples.close(number)
    return write_set(store, examples, accounts, number)


def write_missing(store: Store, examples: Examples, accounts: Accounts) -> None:
    """Writes the sets of closed rounds that a server was killed over."""
    for held in examples.rounds():
        if held.closed is None:
            continue
        if not (store.root / ARENA / ROUNDS / held.name / FACTS).is_file():
            write_set(store, examples, accounts, held.number)


def write_set(store: Store, examples: Examples, accounts: Accounts, number: int) -> Path:
    """Writes the set of a closed round: all examples that count, whomever they fool."""
    import pyarrow

    held, found, models = examples.round(number), examples.of_round(number), examples.models()
    counted = [one for one in found if one.verdict(held.rule) == "validated"]
    figures = standings(held, found, models, megabytes_of(store, models))
    place, names = store.root / ARENA / ROUNDS / held.name, names_of(accounts.all())
    write_parquet(place / SET, pyarrow.table(_columns(held, counted, names)))
    write_json(place / FIGURES, as_plain(figures, names))
    write_text(place / CARD, _card(figures))
    # Last: where it is, the set is whole.
    write_json(place / FACTS, _facts(figures))
    for name in (SET, CARD, FIGURES, FACTS):
        (place / name).chmod(0o444)
    return place


def _columns(
    held: Round, examples: Sequence[Example], names: Mapping[int, str]
) -> dict[str, list[Any]]:
    """As rows of a task have them, with where each comes from."""
    columns: dict[str, list[Any]] = {
        "id": [f"{held.name}-{one.id}" for one in examples],
        "text": [one.texts[0] for one in examples],
    }
    if held.pairs:
        columns["text_pair"] = [one.texts[1] for one in examples]
    return columns | {
        "label": [one.label for one in examples],
        "author": [names[one.author] for one in examples],
        "edited_row": [one.source for one in examples],
        "fooled": [
            [model for model, said in sorted(one.answers.items()) if said.label != one.label]
            for one in examples
        ],
    }


def _facts(figures: Standings) -> dict[str, Any]:
    held = figures.round
    return {
        "name": held.name,
        "task": held.task,
        "labels": list(held.labels),
        "pairs": held.pairs,
        "rows": figures.validated,
        "written": figures.written,
        "votes": held.rule.votes,
        "agreeing": held.rule.agreeing,
        "agreement": figures.agreement,
        "opened": held.opened,
        "closed": held.closed,
        "targets": [
            {"cell": one.model.id, "method": one.model.method, "ratio": one.model.ratio,
             "seed": one.model.seed}
            for one in figures.models
        ],
    }  # fmt: skip


def _card(figures: Standings) -> str:
    held = figures.round
    alpha = "not defined" if figures.agreement is None else f"{figures.agreement:.2f}"
    targets = "".join(f"- `{one.model.id}`: {one.model}\n" for one in figures.models)
    labels = "".join(f"- {number}: `{label}`\n" for number, label in enumerate(held.labels))
    return f"""# {held.name}: {held.task}

{figures.validated} examples that people wrote to fool compressed models, and that others validated.

- Task: {held.task}. Columns: `id`, `text`, {"`text_pair`, " if held.pairs else ""}`label`, `author`
  (a pseudonym), `edited_row` (id of the training row that was edited, if one was), `fooled` (cells
  that answered otherwise).
- Written: {figures.written}. An example counts when {held.rule.agreeing} of at most
  {held.rule.votes} validators, who saw no answer, gave its author's label. Examples that fooled no
  model are in the set, too.
- Krippendorff's alpha of the validators: {alpha}.
- Opened {held.opened}, closed {held.closed}. It does not change any more.

## Labels

{labels}
## Targets

The set was written against these models. It is harder for them than for others, so their scores on
it cannot be compared with those of others, and are never ranked.

{targets}
## Limits

- Few people have written it, for one machine's models. It is no sample of the task's texts.
- Error rates on it depend on how long its authors tried.
- What is written is its authors' own. Nobody has looked for names of people in it.
"""
