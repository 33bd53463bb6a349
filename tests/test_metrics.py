"""The table of metrics: every figure has all that it needs, and every metric ends with a page."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import bench

from bench.metrics import FIGURES, METRICS, figure_of, objection


def test_every_figure_of_every_metric_is_in_the_table() -> None:
    assert {name for metric in METRICS.values() for name in metric.figures} == set(FIGURES)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_score_is_of_its_figure_whatever_part_it_ends_in(figure: str) -> None:
    for name in (figure, f"{figure}_matched", f"{figure}_of_f1"):
        assert figure_of(name) == figure
    with pytest.raises(KeyError):
        figure_of(f"x{figure}")


@pytest.mark.parametrize("figure", FIGURES)
def test_an_influence_has_no_mean(figure: str) -> None:
    given, wanted = np.random.default_rng(0).integers(3, size=(2, 50))
    influence = FIGURES[figure].influence(given, wanted)
    assert influence.shape == (50,)
    assert abs(influence.mean()) < 1e-12


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_ends_with_a_page(metric: str, tmp_path: Path) -> None:
    """`macro_f1` has a sign in its name that parts are told by."""
    regression, classes = METRICS[metric].regression, 2 if METRICS[metric].binary else 3
    for split, rows in (("train", 60), ("dev", 30)):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([f"the {split} word {n}", n % classes] for n in range(rows))
    labels = [f'"{n}"' for n in range(classes)]
    (tmp_path / "t.toml").write_text(
        f'name = "t"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "label"\n'
        f'metric = "{metric}"\n'
        + ("regression = true\n" if regression else f"labels = [{', '.join(labels)}]\n")
    )
    said = ("--tasks", tmp_path / "t.toml", "--model", "demo", "--runs", tmp_path / "x")
    result = bench("run", *said, "--methods", "majority", "--epochs", "1", "--seeds", "2",
                   "--trials", "0", "--ratios", "4", "--workers", "1")  # fmt: skip
    assert result.status == 0, result.err
    assert "majority" in result.out
    (page,) = (tmp_path / "x").glob("*.md")
    assert "/".join(METRICS[metric].figures) in page.read_text().replace("\\", "")


def test_f1_of_several_classes_is_called_what_it_is() -> None:
    assert "macro_f1" in objection("f1", ("a", "b", "c"))
    assert not objection("macro_f1", ("a", "b", "c"))


def test_knowing_metrics_and_tasks_imports_nothing_heavy() -> None:
    code = (
        "import sys, bench.metrics, bench.hub, bench.data.tasks.glue, bench.data.tasks.table\n"
        "heavy = {'torch', 'datasets', 'evaluate', 'pandas', 'pyarrow', 'numpy', 'sklearn'}\n"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
