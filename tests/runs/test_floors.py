"""Floors beside models: a run, its page, its published page, and what needs a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness import bench, quick, records

from bench.results.record import ENCODER_FLOOR, TEXT_FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("floors") / "runs"
    methods = f"{TEXT_FLOOR},{ENCODER_FLOOR},random-mask"
    result = quick(
        folder, "--seeds", "2", "--trials", "1", "--name", "demo", methods=methods, probed=True
    )
    assert result.status == 0, result.err
    return folder


def test_floors_are_controls_without_a_size(runs: Path) -> None:
    found, page = records(runs), (runs / "demo.md").read_text(encoding="utf-8")
    for name in (TEXT_FLOOR, ENCODER_FLOOR):
        one, other = (found[name, 1.0, seed] for seed in (0, 1))
        assert one.status == "ok"
        assert one.score == other.score  # no seed changes it
        assert f"| {name} (control)" in page
        assert one.tuning == {"trials": 0, "parameters": "default"}
    assert not list(runs.glob("studies/*floor*"))
    said = [line for line in page.splitlines() if line.startswith("- demo-sentiment: text floor")]
    assert len(said) == 1
    encoder = found[ENCODER_FLOOR, 1.0, 0].score
    assert f"encoder floor (linear probe) {encoder:.1f}" in said[0]
    masked = sum(found["random-mask", 4.0, seed].score or 0 for seed in (0, 1)) / 2
    assert (f"{encoder:.1f}, 1 of 1 rows below it (random-mask)" in said[0]) == (masked < encoder)


def test_what_is_published_is_the_same_page(runs: Path, tmp_path: Path) -> None:
    published = tmp_path / "published"
    assert bench("leaderboard", "--runs", runs, "--out", published).status == 0
    assert bench("leaderboard", "--check", "--out", published).status == 0
    page = (published / "demo.md").read_text(encoding="utf-8")
    assert "**Floors**" in page


def test_what_needs_a_model_says_in_a_line_that_there_is_none(runs: Path) -> None:
    record = records(runs)[TEXT_FLOOR, 1.0, 0]
    for words in (["export", record.id, "--format", "hf"], ["latency", record.id]):
        result = bench(*words, "--runs", runs)
        assert result.status == 2
        assert result.err.strip().splitlines()[-1].endswith("it has answers and no model.")


def test_floors_are_compared_and_listed_as_others_are(runs: Path) -> None:
    said = bench("compare", TEXT_FLOOR, "dense", "--task", "demo-sentiment", "--runs", runs)
    assert said.status == 0, said.err
    assert "difference:" in said.out
    for words in (["status"], ["knowledge"], ["tuning"]):
        assert bench(*words, "--runs", runs).status == 0
    assert "answer from the words alone" in bench("describe", TEXT_FLOOR).out


def test_a_plan_with_floors_is_estimated(tmp_path: Path) -> None:
    """A floor trains nothing and keeps no model."""
    alone = quick(tmp_path, "--dry-run", "--seeds", "1", methods="dense")
    both = quick(tmp_path, "--dry-run", "--seeds", "1", methods=f"{TEXT_FLOOR},{ENCODER_FLOOR}")
    for result in (alone, both):
        assert result.status == 0, result.err
    (disk,) = (line for line in alone.out.splitlines() + alone.err.splitlines() if "disk" in line)
    assert disk in both.out + both.err


def test_a_floor_with_parameters_is_a_broken_plugin(
    plugin: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "site" / "tuned_floor.py").write_text(
        "import bench\n"
        "class Tuned(bench.Floor):\n"
        "    info = bench.MethodInfo(name='tuned', summary='', kind='reference', removes='',\n"
        "                            starts_from='none', control=True)\n"
        "    Params = bench.TrainParams\n"
        "    def answer(self, run): ...\n"
    )
    plugin("tuned-floor", tuned="tuned_floor:Tuned")
    result = bench("describe", "tuned")
    assert result.status != 0
    assert "Tuned is a floor: its kind is reference, and it has no parameters" in result.err
