"""Rounds, examples and validations on the disk."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from arena_tables import DENSE, SMALL, begun, member, written

from bench.arena.answers import Answer, Word
from bench.arena.database import Database
from bench.arena.examples import Examples
from bench.arena.verdicts import Rule
from bench.errors import BenchError


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "arena" / "arena.sqlite3")


def test_what_is_kept_comes_back(database: Database) -> None:
    begun(database, pairs=True)
    ada = member(database, "Ada")
    examples = Examples(database)
    number = examples.add(1, ada, ["one", "two"], 1, source="t3", seconds=2.5)
    said = Answer(SMALL.id, 0, (0.9, 0.1), 3.0, (Word(0, 0, 3, 0.5), Word(1, 0, 3, -1.0)))
    assert [one.id for one in examples.unanswered(1)] == [number]
    examples.answer(number, [said])
    assert examples.unanswered(1) == []
    found = examples.get(number)
    assert found is not None
    assert (found.texts, found.label, found.source, found.seconds) == (("one", "two"), 1, "t3", 2.5)
    assert found.answers == {SMALL.id: said}
    assert list(examples.models()) == [DENSE.id, SMALL.id]
    assert [str(model) for model in examples.models().values()] == [
        "dense, seed 0", "magnitude 4×, seed 0",
    ]  # fmt: skip


def test_an_example_outlives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "arena" / "arena.sqlite3"
    code = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from arena_tables import begun, member; from bench.arena.database import Database\n"
        "from bench.arena.examples import Examples\n"
        "database = Database(Path(sys.argv[1])); begun(database)\n"
        "Examples(database).add(1, member(database, 'Ada'), ['kept'], 0, source=None, seconds=1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, path, Path(__file__).parents[1]], check=False)
    assert [one.texts for one in Examples(Database(path)).unanswered(1)] == [("kept",)]


def test_the_same_text_is_written_once(database: Database) -> None:
    begun(database)
    ada = member(database, "Ada")
    first = written(database, ada, "same", 0, dense=0, small=1)
    with pytest.raises(BenchError, match="written before"):
        written(database, ada, "same", 1, dense=0, small=1)
    Examples(database).retract(first, ada)
    written(database, ada, "same", 1, dense=0, small=1)


def test_nobody_validates_their_own_nor_twice(database: Database) -> None:
    begun(database)
    ada, bea, cem = (member(database, name) for name in ("Ada", "Bea", "Cem"))
    examples = Examples(database)
    number = written(database, ada, "text", 0, dense=0, small=1)
    assert examples.next_for(1, ada) == (None, 0)
    with pytest.raises(BenchError, match="of their own"):
        examples.validate(number, ada, 0)
    found, left = examples.next_for(1, bea)
    assert found is not None
    assert (found.id, left, found.answers) == (number, 1, {})
    examples.validate(number, bea, 0)
    assert examples.next_for(1, bea) == (None, 0)
    with pytest.raises(BenchError, match="have validated"):
        examples.validate(number, bea, 1)
    examples.validate(number, cem, 0)
    whole = examples.get(number)
    assert whole is not None
    assert whole.verdict(Rule()) == "validated"
    with pytest.raises(BenchError, match="decided"):
        examples.validate(number, member(database, "Dan"), 1)


def test_what_was_begun_is_decided_first(database: Database) -> None:
    begun(database)
    ada, bea, cem = (member(database, name) for name in ("Ada", "Bea", "Cem"))
    written(database, ada, "first", 0, dense=0, small=1)
    second = written(database, ada, "second", 0, dense=0, small=1)
    Examples(database).validate(second, bea, None)
    found, left = Examples(database).next_for(1, cem)
    assert found is not None
    assert (found.id, left) == (second, 2)


def test_a_retracted_text_is_gone(database: Database) -> None:
    begun(database)
    ada, bea = member(database, "Ada"), member(database, "Bea")
    examples = Examples(database)
    number = written(database, ada, "a regretted sentence", 0, dense=0, small=1)
    with pytest.raises(BenchError, match="none of your"):
        examples.retract(number, bea)
    examples.validate(number, bea, 0)
    examples.retract(number, ada)
    assert examples.get(number) is None
    assert examples.of_round(1) == []
    with pytest.raises(BenchError, match="retracted"):
        examples.validate(number, bea, 0)
    files = list(database.path.parent.iterdir())
    assert not any(b"regretted" in path.read_bytes() for path in files)


def test_a_closed_round_stays_as_it_is(database: Database) -> None:
    begun(database)
    ada, bea = member(database, "Ada"), member(database, "Bea")
    examples = Examples(database)
    number = written(database, ada, "text", 0, dense=0, small=1)
    examples.close(1)
    for change in (
        lambda: examples.close(1),
        lambda: examples.retract(number, ada),
        lambda: examples.validate(number, bea, 0),
        lambda: examples.add(1, ada, ["more"], 0, source=None, seconds=1),
    ):
        with pytest.raises(BenchError, match=r"closed|not open"):
            change()
    assert begun(database).number == 2
    assert [one.closed is None for one in examples.rounds()] == [False, True]


def test_a_round_keeps_its_rule_and_its_labels(database: Database) -> None:
    begun(database, rule=Rule(1, 1))
    assert begun(database, rule=Rule(5, 4)).rule == Rule(1, 1)
    with pytest.raises(BenchError, match="other labels"):
        Examples(database).open_round("toy", ("no", "yes"), pairs=False, rule=Rule())
    with pytest.raises(BenchError, match="no round 7"):
        Examples(database).round(7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE rounds SET labels = '{{'", "labels: expected `array`, got `str`"),
        ("UPDATE rounds SET votes = 0", "2 of 0 validators cannot agree"),
        ("UPDATE examples SET label = 9", "example 1 has a label that its round does not have"),
        ("UPDATE answers SET label = -1", "example 1 has a label that its round does not have"),
        ("UPDATE examples SET text = x'ff'", "text: expected `str`, got `bytes`"),
        ("UPDATE examples SET seconds = 'soon'", "seconds: expected `float`, got `str`"),
        ("UPDATE answers SET probabilities = '[NaN]'", "probabilities: expected `array`, got"),
        ("UPDATE answers SET words = '[{}]'", "missing required field `text`"),
    ],
)
def test_what_no_arena_writes_is_one_line(tmp_path: Path, change: str, said: str) -> None:
    """SQLite takes values of any type, and a run folder may come from anybody."""
    database = Database(tmp_path / "arena" / "arena.sqlite3")
    ada, examples = member(database, "Ada"), Examples(database)
    begun(database)
    number = written(database, ada, "text", 1, dense=1, small=0)
    assert examples.get(number) is not None
    database.read(change)
    with pytest.raises(BenchError, match=re.escape(said)):
        examples.get(number)
