"""Cells that fail: each alone, and its record says why."""

from __future__ import annotations

import pytest
from harness import bench, quick, records, statuses
from studies import studies

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


ENDS = {
    "exits-well": "the worker process was ended with status 0",
    "exits-ill": "the worker process was ended with status 7",
    "crashes": "the worker process was killed by signal 11",
    "closes-all": "the worker process was ",
    "interrupted": "KeyboardInterrupt",
    "leaves-generator": "leaves-generator raised GeneratorExit",
    "raises-own": "raises-own raised OwnError: of its own",
}
"""Ways of a method to end its process, and what its record says."""


def test_a_worker_that_ends_in_any_way_fails_its_cell_alone(runs, capfd) -> None:
    result = quick(runs, methods=",".join([*ENDS, "random-mask"]), in_workers=True)
    assert result.status == 1
    found = records(runs)
    assert statuses(runs) == {"dense": "ok", "random-mask": "ok", **dict.fromkeys(ENDS, "failed")}
    for method, said in ENDS.items():
        error = found[method, 4, 0].error or {}
        assert error["message"].startswith(said)
        assert said in (runs / error["log"]).read_text()
    assert "Traceback" not in result.err + capfd.readouterr().err
    assert result.err.count("bench: failed: ") == len(ENDS)


def test_a_trial_whose_worker_ends_has_failed_and_the_study_goes_on(runs) -> None:
    result = quick(runs, "--trials", "2", methods="ends-first-trial", in_workers=True)
    assert (result.status, result.err) == (0, "")
    assert statuses(runs) == {"dense": "ok", "ends-first-trial": "ok"}
    first, second = studies(runs)["ends-first-trial"]["trials"]
    assert first["error"] == "the worker process was ended with status 0"
    assert "error" not in second


def test_what_an_error_says_is_cut_and_cleaned(runs) -> None:
    methods = "says-nothing,says-too-much,random-mask"
    result = quick(runs, methods=methods)
    assert result.status == 1
    assert statuses(runs)["random-mask"] == "ok"
    nothing, too_much = (
        records(runs)[name, 4, 0].error or {} for name in ("says-nothing", "says-too-much")
    )
    assert nothing["message"] == "an error whose text cannot be had (RuntimeError)"
    assert too_much["type"] == r"Odd\x1bError"
    shown = r"half \udc80 a character, \x00 and \x1b[31m red"
    assert too_much["message"].startswith(f"{shown}!!!")
    assert len(too_much["message"]) < 600
    log = (runs / too_much["log"]).read_bytes()
    assert log.startswith(shown.encode())
    assert b"Traceback" in log
    assert len(log) < 200_000
    said = result.out + result.err + (runs / "demo.md").read_text()
    assert shown in said
    assert not set("\x00\x1b\udc80") & set(said)
    assert len(said) < 20_000
