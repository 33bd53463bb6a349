"""Cells that fail: each alone, and its record says why."""

from __future__ import annotations

import pytest
from harness import bench, quick, records, statuses

pytestmark = pytest.mark.usefixtures("unruly")


def test_a_task_whose_loss_is_infinite_fails_alone(runs, tmp_path) -> None:
    """Nor does the estimate of the time end the run."""
    for name, first in (("train", 0), ("dev", 60)):
        rows = [f"some words {n},{n}e29" for n in range(first, first + 60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,y", *rows, ""]))
    (tmp_path / "far.toml").write_text(
        'name = "far"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\nlabel = "y"\n'
        "regression = true\n"
    )
    result = bench("run", "--tasks", f"demo-sentiment,{tmp_path / 'far.toml'}", "--model", "demo",
                   "--methods", "majority", "--ratios", "4", "--epochs", "1", "--seeds", "1",
                   "--trials", "0", "--max-train-samples", "60", "--workers", "1",
                   "--runs", runs)  # fmt: skip
    assert result.status == 1
    assert "dense on far, seed 0: the loss is inf" in result.err
    assert "dense on demo-sentiment" not in result.err


def test_a_method_that_raises_fails_its_cell_alone(runs, unruly) -> None:
    result = quick(runs, methods="raises,magnitude")
    assert result.status == 1
    assert statuses(runs) == {"dense": "ok", "raises": "failed", "magnitude": "ok"}
    record = records(runs)["raises", 4, 0]
    assert record.error is not None
    assert record.error["type"] == "RuntimeError"
    assert "no luck" in record.error["message"]
    log = runs / record.error["log"]
    assert "Traceback" in log.read_text()
    assert "and a second line" in log.read_text()
    assert result.err.startswith("bench: failed: raises on demo-sentiment, seed 0: no luck")
    assert str(log) in result.err
    assert result.err.count("\n") == 1
    assert "failed: raises on demo-sentiment" in (runs / "demo.md").read_text()
    assert "/home/secret" not in (runs / "demo.md").read_text()

    again = quick(runs, methods="raises,magnitude")
    assert (again.status, "3 done, 0 to run" in again.out) == (1, True)
    (unruly / "open").touch()
    mended = quick(runs, "--rerun", "failed", methods="raises,magnitude")
    assert (mended.status, "2 done, 1 to run" in mended.out) == (0, True)
    assert statuses(runs)["raises"] == "ok"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("diverges", "loss"),
        ("returns-nothing", "NoneType, not a model"),
        ("quits", "asked the process to exit (3)"),
        ("wrapped", "query.weight_orig"),
        ("other-head", "such as classifier.weight"),
    ],
)
def test_a_failed_record_says_what_went_wrong(runs, method, said) -> None:
    result = quick(runs, methods=method)
    assert result.status == 1
    record = records(runs)[method, 4, 0]
    assert record.status == "failed"
    assert record.score is None
    assert said in (record.error or {})["message"]
    if method == "diverges":
        assert (record.error or {})["type"] == "DivergedError"
