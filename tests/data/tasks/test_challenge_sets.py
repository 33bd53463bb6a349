"""Challenge sets, each from a small file of its layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from challenge_files import ADVGLUE, DIAGNOSTIC, HANS, PAWS, parquet, tsv, write_challenges
from fake_hub import fake_download, hub_error

from bench import registry
from bench.data.task import Challenge, Source, checked_challenge
from bench.data.tasks.challenge_files import FolderSet
from bench.data.tasks.challenge_sets import SETS
from bench.data.tasks.table import table_task
from bench.errors import BenchError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_challenges(tmp_path)


def read(name: str, task: str, folder: Path | None) -> Challenge:
    return checked_challenge(SETS[name], registry.task(task), Source(data_dir=folder))


def test_every_set_is_of_tasks_that_there_are() -> None:
    for name, one in SETS.items():
        assert one.name == name
        assert set(one.info.tasks) <= set(registry.tasks.names())
        assert one.info.reference


@pytest.mark.parametrize(("task", "merged"), [("mnli", (0, 1, 1)), ("rte", (0, 1))])
def test_hans_tells_two_classes_apart_by_heuristic(
    folder: Path, task: str, merged: tuple[int, ...]
) -> None:
    found = read("hans", task, folder)
    assert found.rows["text"][:] == [row[1] for row in HANS]
    assert found.rows["text_pair"][:] == [row[2] for row in HANS]
    assert found.rows["label"][:] == [0, 1, 1, 0]
    assert found.rows["groups"][:] == [
        ["subsequence", "subsequence: entailment"],
        ["lexical_overlap", "lexical_overlap: non-entailment"],
        ["constituent", "constituent: non-entailment"],
        ["lexical_overlap", "lexical_overlap: entailment"],
    ]
    assert (found.metric, found.merged) == ("accuracy", merged)
    assert found.provenance["files"].startswith("hans/heuristics_evaluation_set.txt ")


def test_hans_as_lines_of_json(tmp_path: Path) -> None:
    lines = [{"gold_label": a, "sentence1": b, "sentence2": c, "heuristic": d}
             for a, b, c, d in HANS]  # fmt: skip
    path = tmp_path / "hans/heuristics_evaluation_set.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert read("hans", "rte", tmp_path).rows["label"][:] == [0, 1, 1, 0]


@pytest.mark.parametrize("task", ["sst2", "qqp", "qnli", "rte"])
def test_advglue_has_a_list_a_task(folder: Path, task: str) -> None:
    found, wanted = read("advglue", task, folder), ADVGLUE[task]
    texts = [key for key in wanted[0] if key not in ("idx", "label")]
    assert found.rows["text"][:] == [row[texts[0]] for row in wanted]
    if len(texts) == 2:
        assert found.rows["text_pair"][:] == [row[texts[1]] for row in wanted]
    assert found.rows["label"][:] == [row["label"] for row in wanted]
    # Its own script takes GLUE's metric of each task.
    assert (found.metric, found.merged) == (registry.task(task).info.metric, None)


def test_advglue_of_mnli_has_its_two_parts(folder: Path) -> None:
    found = read("advglue", "mnli", folder)
    assert found.rows["part"][:] == ["matched", "matched", "mismatched"]
    assert found.rows["label"][:] == [0, 2, 1]
    assert found.rows["id"][:] == ["matched:0", "matched:1", "mismatched:0"]


def test_a_row_of_the_diagnostic_set_may_be_in_several_categories(folder: Path) -> None:
    found = read("diagnostic", "mnli", folder)
    assert found.rows["label"][:] == [2, 0, 0, 1]
    assert found.rows["text"][:] == [row[5] for row in DIAGNOSTIC]
    assert found.rows["groups"][:] == [
        ["Logic", "Logic: Negation"],
        ["Lexical Semantics", "Lexical Semantics: Factivity", "Lexical Semantics: Quantifiers",
         "Logic", "Logic: Negation", "Logic: Universal"],
        ["Knowledge", "Knowledge: World knowledge"],
        ["Lexical Semantics", "Lexical Semantics: Quantifiers", "Predicate-Argument Structure",
         "Predicate-Argument Structure: Datives"],
    ]  # fmt: skip
    assert found.metric == "matthews"


@pytest.mark.parametrize("task", ["qqp", "mrpc"])
def test_paws_from_either_place(folder: Path, task: str) -> None:
    found = read("paws", task, folder)
    assert found.rows["text"][:] == [row[1] for row in PAWS]
    assert (found.rows["label"][:], found.metric) == ([0, 1], "accuracy_f1")
    (folder / "paws/final").mkdir()
    (folder / "paws/test.tsv").rename(folder / "paws/final/test.tsv")
    assert read("paws", task, folder).rows["label"][:] == [0, 1]


def test_the_hubs_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As their pages on the hub describe them."""
    there = tmp_path / ("a" * 40)
    texts = {"premise": [row[1] for row in HANS], "hypothesis": [row[2] for row in HANS]}
    parquet(there / "plain_text/validation/0000.parquet", **texts, label=[0, 1, 1, 0],
            heuristic=[row[3] for row in HANS])  # fmt: skip
    for name, of in (("mnli", "mnli"), ("mnli_mismatched", "mnli-mm")):
        columns = {key: [row[key] for row in ADVGLUE[of]] for key in ADVGLUE[of][0]}
        parquet(there / f"adv_{name}/validation-00000-of-00001.parquet", **columns)
    columns = {name.lower(): [row[place] for row in DIAGNOSTIC] for place, name in
               enumerate(["Lexical Semantics", "Predicate-Argument Structure", "Logic",
                          "Knowledge"])}  # fmt: skip
    parquet(there / "data/test-00000-of-00001.parquet", **columns, label=[2, 0, 0, 1],
            premise=[row[5] for row in DIAGNOSTIC], hypothesis=[row[6] for row in DIAGNOSTIC],
            index=[0, 1, 2, 3])  # fmt: skip
    parquet(there / "labeled_final/test-00000-of-00001.parquet", id=[1, 2], label=[0, 1],
            sentence1=[row[1] for row in PAWS], sentence2=[row[2] for row in PAWS])  # fmt: skip
    local = write_challenges(tmp_path / "local")
    asked = fake_download(monkeypatch, there)
    for name, task in (("hans", "mnli"), ("advglue", "mnli"), ("diagnostic", "mnli"),
                       ("paws", "qqp")):  # fmt: skip
        found = read(name, task, None)
        assert found.provenance["revision"] == "a" * 40
        assert found.provenance["source"] == asked["name"]
        assert found.rows[:] == read(name, task, local).rows[:]
    fake_download(monkeypatch, tmp_path)
    with pytest.raises(BenchError, match=r"on the hub has no labeled_final/test-\*\.parquet"):
        read("paws", "qqp", None)


@pytest.mark.parametrize("name", SETS)
def test_without_a_network_one_line_says_what_helps(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_download(monkeypatch, hub_error("LocalEntryNotFoundError"))
    with pytest.raises(BenchError, match=r"is not in the cache") as error:
        checked_challenge(SETS[name], registry.task(SETS[name].info.tasks[0]), Source(offline=True))
    assert "\n" not in str(error.value)
    assert "--challenge-dir DIR" in str(error.value)
    assert f"bench fetch --challenge {name}" in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "name", "task", "said"),
    [
        ("hans/heuristics_evaluation_set.txt", "", "hans", "rte", "is empty"),
        ("hans/heuristics_evaluation_set.txt", "gold_label\tsentence1\n", "hans", "rte",
         "has no column 'sentence2'"),
        ("advglue/dev.json", "{", "advglue", "rte", "cannot be read as .json"),
        ("advglue/dev.json", "[1]", "advglue", "rte", "has no list 'rte' of rows"),
        ("advglue/dev.json", '{"rte": []}', "advglue", "rte", "has no list 'rte' of rows"),
        ("advglue/dev.json", '{"rte": [3]}', "advglue", "rte", "no JSON object"),
        ("advglue/dev.json", '{"rte": [{"sentence1": "a", "sentence2": "b", "label": 2}]}',
         "advglue", "rte", "label '2' is none of"),
        ("diagnostic/diagnostic-full.tsv", "Premise\tHypothesis\tLabel\na\tb\tneutral\n",
         "diagnostic", "mnli", "has no column 'Lexical Semantics'"),
        ("paws/test.tsv", "sentence1\tsentence2\tlabel\na\tb\t7\n", "paws", "qqp",
         "label '7' is none of 0, 1"),
    ],
)  # fmt: skip
def test_a_bad_file_is_named_in_one_line(
    folder: Path, file: str, text: str, name: str, task: str, said: str
) -> None:
    (folder / file).write_text(text)
    with pytest.raises(BenchError) as error:
        read(name, task, folder)
    assert said in str(error.value)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_without_the_file_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no file .*paws/test.tsv\. Either name a folder that"):
        read("paws", "qqp", tmp_path)


def test_a_folder_of_our_own_files(tmp_path: Path) -> None:
    pairs = {"text": ["one", "two"], "text_pair": ["a", "b"]}
    parquet(tmp_path / "round-1/rte.parquet", id=["x7", "y"], **pairs, label=["entailment", "1"],
            fooled=[True, False])  # fmt: skip
    parquet(tmp_path / "round-1/sst2.parquet", id=["p"], text=["fine"], label=[1])
    found = FolderSet(tmp_path / "round-1")
    assert (found.name, found.info.tasks) == ("round-1", ("rte", "sst2"))
    rte = checked_challenge(found, registry.task("rte"), Source())
    assert rte.rows[:] == {"id": ["x7", "y"], **pairs, "label": [0, 1]}
    sst2 = checked_challenge(found, registry.task("sst2"), Source())
    assert sst2.rows[:] == {"id": ["p"], "text": ["fine"], "label": [1]}
    parquet(tmp_path / "round-1/sst2.parquet", id=["p", "p"], text=["a", "b"], label=[1, 0])
    with pytest.raises(BenchError, match="'round-1' has an id twice in its challenge rows"):
        checked_challenge(found, registry.task("sst2"), Source())
    (tmp_path / "round-1/sst2.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(BenchError, match=r"sst2.parquet cannot be read as .parquet"):
        checked_challenge(found, registry.task("sst2"), Source())


def test_a_closed_round_of_an_arena(tmp_path: Path) -> None:
    """As `bench.arena.closing` writes it."""
    folder = tmp_path / "round-1"
    parquet(folder / "set.parquet", id=["round-1-7"], text=["not bad"], label=[1], author=["A"],
            edited_row=["3"], fooled=[["abc"]])  # fmt: skip
    facts = {"name": "round-1", "task": "sst2", "labels": ["negative", "positive"],
             "targets": [{"cell": "abc", "method": "dense", "ratio": 1.0, "seed": 0}]}  # fmt: skip
    assert FolderSet(folder).info.tasks == ()  # what is not whole is no set yet
    (folder / "round.json").write_text(json.dumps(facts))
    found = checked_challenge(FolderSet(folder), registry.task("sst2"), Source())
    assert found.rows[:] == {"id": ["round-1-7"], "text": ["not bad"], "label": [1]}
    assert found.targets == ("abc",)
    (folder / "round.json").write_text(json.dumps({**facts, "labels": ["positive", "negative"]}))
    with pytest.raises(BenchError, match="numbers its classes positive, negative, and sst2"):
        checked_challenge(FolderSet(folder), registry.task("sst2"), Source())


def test_a_task_of_ones_own_declares_its_sets(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        tsv(tmp_path / f"{name}.tsv", ("text", "label"), [["good", "up"], ["bad", "down"]])
    tsv(tmp_path / "odd.tsv", ("text", "label", "part"), [["goood", "up", "typo"],
                                                          ["not good", "down", ""]])  # fmt: skip
    path = tmp_path / "own.toml"
    head = 'name = "own"\ntrain = "train.tsv"\ndev = "dev.tsv"\ntext = "text"\nlabel = "label"\n'
    head += 'labels = ["down", "up"]\n'
    path.write_text(f'{head}[challenge.odd]\nfile = "odd.tsv"\ngroup = "part"\n')
    task = table_task(path)
    found = checked_challenge(task.challenges["odd"], task, Source())
    assert found.rows[:] == {"id": ["0", "1"], "text": ["goood", "not good"], "label": [1, 0],
                             "groups": [["typo"], []]}  # fmt: skip
    for wrong, said in (
        ("challenge = 3\n", "challenge = 3 is not tables"),
        ('challenge.odd = "odd.tsv"\n', "challenge.odd = 'odd.tsv' is no table with a file"),
        ('[challenge.odd]\nfil = "odd.tsv"\n', "unknown key 'fil'"),
        ('[challenge.odd]\nfile = "odd.txt"\n', "challenge.odd: file = 'odd.txt' is not a file"),
        ('[challenge.Odd]\nfile = "odd.tsv"\n', "is not tables [challenge.NAME]"),
    ):
        path.write_text(head + wrong)
        with pytest.raises(BenchError) as error:
            table_task(path)
        assert said in str(error.value)
    path.write_text(f'{head}[challenge.odd]\nfile = "no.tsv"\n')
    task = table_task(path)
    with pytest.raises(BenchError, match="no file"):
        checked_challenge(task.challenges["odd"], task, Source())


def test_too_many_groups_are_no_groups(tmp_path: Path) -> None:
    rows = [["entailment", "a", "b", f"kind {n}"] for n in range(150)]
    tsv(tmp_path / "hans/heuristics_evaluation_set.txt",
        ("gold_label", "sentence1", "sentence2", "heuristic"), rows)  # fmt: skip
    with pytest.raises(BenchError, match="has 300 groups of rows: 200 at most"):
        read("hans", "rte", tmp_path)
