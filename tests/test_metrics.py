"""The table of metrics: every figure has all that it needs, and every metric ends with a page."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import bench
from planted import answers
from scipy import stats
from sklearn import metrics as of_others

from bench.metrics import FIGURES, METRICS, figure_of, objection


def test_every_figure_of_every_metric_is_in_the_table() -> None:
    assert {name for metric in METRICS.values() for name in metric.figures} == set(FIGURES)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_score_is_of_its_figure_whatever_part_it_ends_in(figure: str) -> None:
    for name in (figure, f"{figure}_matched", f"{figure}_of_f1"):
        assert figure_of(name) == figure
    with pytest.raises(KeyError):
        figure_of(f"x{figure}")


NUMBERS = [name for name in FIGURES if name not in METRICS["squad"].figures]
"""Figures of classes and numbers; tests/test_squad_metric.py has those of texts."""

OTHERS = {
    "accuracy": lambda given, wanted: of_others.accuracy_score(wanted, given),
    "f1": lambda given, wanted: of_others.f1_score(wanted, given, labels=[1], average="macro"),
    "macro_f1": lambda given, wanted: of_others.f1_score(
        wanted, given, labels=np.unique(wanted), average="macro"
    ),
    "matthews": lambda given, wanted: of_others.matthews_corrcoef(wanted, given),
    "pearson": lambda given, wanted: stats.pearsonr(wanted, given).statistic,
    "spearman": lambda given, wanted: stats.spearmanr(wanted, given).statistic,
}


@pytest.mark.parametrize("figure", NUMBERS)
def test_figures_are_those_of_scikit_learn_and_scipy(figure: str) -> None:
    (metric,) = [name for name, facts in METRICS.items() if figure in facts.figures][:1]
    for rows in (7, 120, 1043):
        given, wanted = answers(metric, rows)
        for columns in ((given, wanted), (wanted, given)):
            assert FIGURES[figure].score(*columns) == pytest.approx(
                OTHERS[figure](*columns), rel=1e-14, abs=1e-15
            )


@pytest.mark.parametrize("figure", NUMBERS)
def test_an_influence_has_no_mean(figure: str) -> None:
    given, wanted = np.random.default_rng(0).integers(3, size=(2, 50))
    influence = FIGURES[figure].influence(given, wanted)
    assert influence.shape == (50,)
    assert abs(influence.mean()) < 1e-12


def declare(folder: Path, name: str, metric: str, classes: int, *, missing: bool = False) -> Path:
    """A task of few rows; of its classes, the last may be missing in the report rows."""
    for split, rows in (("train", 60), ("dev", 30)):
        there = classes - (missing and split == "dev")
        with (folder / f"{name}-{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([f"the {split} word {n}", n % there] for n in range(rows))
    labels = ", ".join(f'"{n}"' for n in range(classes))
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\ntrain = "{name}-train.csv"\ndev = "{name}-dev.csv"\n'
        f'text = "text"\nlabel = "label"\nmetric = "{metric}"\n'
        + ("regression = true\n" if METRICS[metric].regression else f"labels = [{labels}]\n")
    )
    return path


def page_of(folder: Path, *tasks: Path) -> str:
    """The page of a run of the quickest kind."""
    said = ("--tasks", ",".join(map(str, tasks)), "--model", "demo", "--runs", folder / "x")
    result = bench("run", *said, "--methods", "majority", "--epochs", "1", "--seeds", "2",
                   "--trials", "0", "--ratios", "4", "--workers", "1")  # fmt: skip
    assert result.status == 0, result.err
    assert "majority" in result.out
    (page,) = (folder / "x").glob("*.md")
    return page.read_text().replace("\\", "")


@pytest.mark.parametrize("metric", [name for name, one in METRICS.items() if not one.spans])
def test_every_metric_ends_with_a_page(metric: str, tmp_path: Path) -> None:
    """`macro_f1` has a sign in its name that parts are told by."""
    page = page_of(tmp_path, declare(tmp_path, "t", metric, 2 if METRICS[metric].binary else 3))
    assert "/".join(METRICS[metric].figures) in page


@pytest.mark.slow
@pytest.mark.filterwarnings("error::UserWarning")
def test_a_page_stands_a_class_that_is_missing_in_the_report_rows(tmp_path: Path) -> None:
    """Every metric of classes with two to five of them, all in one run."""
    tasks = {
        f"t{classes}-{metric}".replace("_", "-"): (metric, classes)
        for metric, facts in METRICS.items()
        if not (facts.regression or facts.spans)
        for classes in ((2,) if facts.binary else (2, 3, 4, 5))
    }
    page = page_of(
        tmp_path, *(declare(tmp_path, name, *what, missing=True) for name, what in tasks.items())
    )
    for name, (metric, _) in tasks.items():
        assert re.search(rf"\| {name}( †)? \({'/'.join(METRICS[metric].figures)}\)", page), name


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
