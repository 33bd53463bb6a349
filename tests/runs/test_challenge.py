"""Challenge sets from files to a page: beside the report rows, and added to finished cells."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from challenge_files import ADVGLUE, HANS, parquet, tsv, write_challenges
from harness import Result, bench

from bench.results.store import Store

if TYPE_CHECKING:
    from bench.results.record import Record

METHODS = "magnitude,majority,text-floor"
SETS = "hans,advglue,round-1"


def rte(folder: Path) -> Path:
    """Small files in RTE's layout: what shares its last word is entailed."""
    words = ["film", "play", "song", "book"]
    for split, rows in (("train", 96), ("dev", 24)):
        lines = [
            (str(n), f"row {n} of the {split} has a {words[n % 4]}", f"it has a {words[n % 3]}",
             "entailment" if n % 4 == n % 3 else "not_entailment")
            for n in range(rows)
        ]  # fmt: skip
        tsv(folder / f"RTE/{split}.tsv", ("index", "sentence1", "sentence2", "label"), lines)
    return folder


def run(folder: Path, runs: str, *words: str | Path, methods: str = METHODS) -> Result:
    return bench(
        "run", "--tasks", "rte", "--data-dir", folder / "glue", "--model", "demo", "--methods",
        methods, "--epochs", "1", "--seeds", "1", "--trials", "0", "--ratios", "4", "--workers",
        "1", "--no-latency", "--name", "x", "--keep-models", "all", "--runs", folder / runs, *words,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with challenge sets, and one without them; all models are kept."""
    folder = tmp_path_factory.mktemp("challenge")
    rte(folder / "glue")
    sets = write_challenges(folder / "sets")
    parquet(sets / "round-1/rte.parquet", id=["a", "b"], label=[1, 0],
            text=["row 3 of the train has a book", "it rains"],
            text_pair=["it has a film", "it is wet"])  # fmt: skip
    result = run(folder, "with", "--challenge", SETS, "--challenge-dir", sets)
    assert result.status == 0, result.err
    assert "round-1: 1 of 2 rows have the text of a training row" in result.out
    result = run(folder, "without")
    assert result.status == 0, result.err
    return folder


def by_cell(runs: Path) -> dict[str, Record]:
    return {record.id: record for record in Store(runs).records()}


def test_scores_follow_from_the_files_and_the_answers(folder: Path) -> None:
    """Figures by hand, from what a model says to each row."""
    records = by_cell(folder / "with")
    assert len(records) == 4
    for record in records.values():
        assert record.status == "ok"
        found = record.challenges or {}
        assert list(found) == ["hans", "advglue", "round-1"]
        table = pq.read_table(folder / f"with/{record.id}/challenge-hans.parquet")
        assert table["label"].to_pylist() == [0, 1, 1, 0]
        given = table["prediction"].to_numpy()
        right = given == table["label"].to_numpy()
        assert found["hans"]["scores"] == {"accuracy": 100 * right.mean()}
        wanted = {
            "constituent": [2], "constituent: non-entailment": [2], "lexical_overlap": [1, 3],
            "lexical_overlap: entailment": [3], "lexical_overlap: non-entailment": [1],
            "subsequence": [0], "subsequence: entailment": [0],
        }  # fmt: skip
        assert found["hans"]["groups"] == {
            name: 100 * right[rows].mean() for name, rows in wanted.items()
        }
        table = pq.read_table(folder / f"with/{record.id}/challenge-advglue.parquet")
        assert table["label"].to_pylist() == [row["label"] for row in ADVGLUE["rte"]]
        assert (found["round-1"]["rows"], found["round-1"]["seen"]) == (2, 1)
        if record.cell["method"] == "majority":
            assert len(set(given.tolist())) == 1


def test_they_are_no_part_of_an_id_and_change_no_score(folder: Path) -> None:
    one, other = by_cell(folder / "with"), by_cell(folder / "without")
    assert one.keys() == other.keys()
    for key, record in one.items():
        assert record.score == other[key].score
        held = [pq.read_table(folder / f"{runs}/{key}/predictions.parquet")
                for runs in ("with", "without")]  # fmt: skip
        assert held[0].equals(held[1])
        assert other[key].challenges is None


def test_they_are_added_to_finished_cells_without_training(folder: Path, tmp_path: Path) -> None:
    for name in ("glue", "sets"):
        shutil.copytree(folder / name, tmp_path / name)
    shutil.copytree(folder / "without", tmp_path / "runs")
    before = {key: record.created for key, record in by_cell(tmp_path / "runs").items()}
    lost = next(
        r.id for r in by_cell(tmp_path / "runs").values() if r.cell["method"] == "magnitude"
    )
    shutil.rmtree(tmp_path / f"runs/{lost}/model")
    words = ("--challenge", SETS, "--challenge-dir", tmp_path / "sets")
    said = run(tmp_path, "runs", *words, "--dry-run")
    assert "4 done, 0 to run" in said.out
    assert "3 finished cells are to be scored on challenge sets" in said.out
    result = run(tmp_path, "runs", *words)
    assert result.status == 0, result.err
    assert "1 finished cells have no score on challenge sets" in result.out
    wanted = by_cell(folder / "with")
    for key, record in by_cell(tmp_path / "runs").items():
        assert record.created == before[key]
        if key == lost:
            assert record.challenges is None  # its model is gone
            continue
        assert record.challenges == wanted[key].challenges
        for name in ("hans", "advglue", "round-1"):
            file = f"{key}/challenge-{name}.parquet"
            assert pq.read_table(tmp_path / "runs" / file).equals(
                pq.read_table(folder / "with" / file)
            )
    assert "finished cells are to be scored" not in run(tmp_path, "runs", *words).out
    # Other rows of the same name are scored anew.
    tsv(tmp_path / "sets/hans/heuristics_evaluation_set.txt",
        ("gold_label", "sentence1", "sentence2", "heuristic"), [HANS[0], HANS[1]])  # fmt: skip
    assert "3 finished cells are to be scored" in run(tmp_path, "runs", *words).out
    assert bench("validate", tmp_path / "runs").status == 0


def test_a_page_has_columns_a_figure_and_groups_of_their_own(folder: Path) -> None:
    page = (folder / "with/x.md").read_text()
    assert "### Challenge sets" in page
    assert "rte: hans (accuracy)" in page
    assert "rte: hans, by group" in page
    assert "![Scores on the report split and on challenge sets" in page
    assert (folder / "with/x-challenges.svg").read_text().startswith("<?xml")
    rows = [line.split(",") for line in (folder / "with/x-challenges.csv").read_text().splitlines()]
    records = by_cell(folder / "with").values()
    mean = np.mean([(r.challenges or {})["hans"]["groups"]["lexical_overlap"] for r in records
                    if r.cell["method"] == "magnitude"])  # fmt: skip
    (row,) = [r for r in rows if r[:5] == ["4", "magnitude", "rte", "hans", "lexical_overlap"]]
    assert float(row[6]) == pytest.approx(mean)
    assert "Challenge sets" not in (folder / "without/x.md").read_text()
    held = json.loads((folder / "with/x.json").read_text())
    assert len(held["challenged"]) == 3 * len(records)
    assert {"rte: hans", "rte: advglue", "rte: round-1"} == held["rows"][0]["challenges"].keys()


def test_what_is_published_is_checked(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "pages"
    assert bench("leaderboard", "--runs", folder / "with", "--out", out).status == 0
    assert bench("leaderboard", "--check", "--out", out).status == 0
    assert (out / "x.md").read_text().count("rte: hans (accuracy)") == 1
    valid = bench("validate", out)
    assert valid.status == 0, valid.out
    path = out / "records/x.jsonl"
    line, *others = path.read_text().splitlines()
    plain = json.loads(line)
    for change, said in (
        ({"scores": {"accuracy": 99.0}, "score": 99.0}, "its predictions give"),
        ({"groups": {**plain["challenges"]["hans"]["groups"], "subsequence": 7.0}},
         "groups: subsequence is 7"),
    ):  # fmt: skip
        changed = {**plain["challenges"], "hans": {**plain["challenges"]["hans"], **change}}
        path.write_text("\n".join([json.dumps({**plain, "challenges": changed}), *others]) + "\n")
        assert said in bench("leaderboard", "--check", "--out", out).err
        assert said in bench("validate", out).out


def test_a_bad_set_ends_the_run_before_anything_is_trained(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "glue", tmp_path / "glue")
    sets = write_challenges(tmp_path / "sets")
    (sets / "advglue/dev.json").write_text("{}")
    (tmp_path / "sets/empty").mkdir()
    for words, said in (
        (("--challenge", "advglue"), "has no list 'rte' of rows"),
        (("--challenge", "paws"), "challenge set paws is for qqp, mrpc, and the run is of rte"),
        (("--challenge", "hanss"), "unknown challenge set 'hanss'"),
        (("--challenge", "empty"), "challenge set empty is for no task"),
        (("--challenge", "../sets"), "unknown challenge set"),
        (("--challenge-dir", tmp_path / "no"), "is no folder of challenge sets"),
    ):
        result = run(tmp_path, "runs", "--challenge-dir", sets, *words)
        assert result.status == 2
        assert said in result.err
        assert len(result.err.strip().splitlines()) == 1
    assert not list((tmp_path / "runs").glob("*/record.json"))
