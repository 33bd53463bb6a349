"""The command line: mistakes are one clear line, and nothing heavy is loaded to say it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from harness import bench, start
from refusals import assert_refused

pytestmark = pytest.mark.usefixtures("empty_place")

# Start-up.


@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "run --help", "methods", "methods --json", "tasks", "tasks --json",
     "describe magnitude", "status", "rnu", "run --keep-modles all"],
)  # fmt: skip
def test_nothing_heavy_is_imported_to_say_what_there_is(words: str) -> None:
    script = (
        "import sys\nfrom bench.cli.main import main\n"
        f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 0.5


# Wrong words.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", ["COMMAND"]),
        ("rnu", ["unknown command 'rnu'", "Did you mean 'run'?"]),
        ("run extra", ["'extra'", "bench run --help"]),
        ("run --keep-modles all", ["unknown option '--keep-modles'", "'--keep-models'"]),
        ("run --wrkers=1", ["unknown option '--wrkers'", "'--workers'"]),
        ("run --ratio 4", ["unknown option '--ratio'", "'--ratios'"]),
        ("run --keep-models sum", ["--keep-models", "'sum'", "all, first, none"]),
        ("run --match wieghts", ["--match", "Did you mean 'weights'?"]),
        ("run --methods magnitud", ["unknown method 'magnitud'", "Did you mean 'magnitude'?"]),
        ("run --methods ,", ["--methods", "names nothing"]),
        ("run --tasks colla", ["unknown task 'colla'", "Did you mean 'cola'?", "FILE.toml"]),
        ("run --tasks nowhere.toml", ["nowhere.toml", "No such file"]),
        ("run --tasks demo-sentiment,cola", ["--model"]),
        ("run --methods magnitude:scope=globl", ["scope", "'globl'", "Did you mean 'global'?"]),
        ("run --methods magnitude:scop=global", ["unknown parameter 'scop'", "'scope'"]),
        ("run --methods magnitude:final_phase=7", ["final_phase=7", "0 … 0.6"]),
        ("run --methods magnitude:final_phase=nan", ["final_phase=nan"]),
        ("run --methods magnitude:final_phase=late", ["final_phase=late", "float"]),
        ("run --methods magnitude:", ["'magnitude:'", "parameter=value"]),
        ("run --methods magnitude:scope", ["'scope'", "parameter=value"]),
        ("run --ratios 0", ["'0'", "greater than 1"]),
        ("run --ratios 1", ["'1'", "greater than 1"]),
        ("run --ratios -3", ["'-3'", "greater than 1"]),
        ("run --ratios 4,-3", ["'-3'", "greater than 1"]),
        ("run --ratios -3,4", ["--ratios"]),
        ("run --ratios nan", ["'nan'"]),
        ("run --ratios inf", ["'inf'"]),
        ("run --ratios x", ["'x'"]),
        ("run --seeds 0", ["--seeds", "'0'", "at least 1"]),
        ("run --seeds -1", ["--seeds", "'-1'", "at least 1"]),
        ("run --seeds 14-10", ["--seeds", "'14-10'", "such as 10-14"]),
        ("run --seeds 998-1000", ["--seeds", "seed 1000", "below 1000"]),
        ("run --epochs x", ["--epochs", "'x'"]),
        ("run --trials -1", ["--trials", "'-1'", "at least 0"]),
        ("run --trials x", ["--trials", "'x'"]),
        ("run --trials 2 --carry-from a", ["--carry-from", "--trials"]),
        ("run --carry-from nowhere", ["unknown suite 'nowhere'"]),
        ("run --methods tinybert:depth=9", ["depth of tinybert", "'9'", "1, 2"]),
        ("compare a b --task t", ["no suite has been run here"]),
        ("evaluate ./nowhere --task cola", ["no model folder './nowhere'"]),
        ("evaluate ./nowhere --task cola --label-map x", ["--label-map 'x'", "LABEL=LABEL"]),
        ("evaluate ./nowhere --task glue", ["--task glue", "name one of them"]),
        ("predict 0123", ["unknown cell of runs '0123'"]),
        ("run --workers 0", ["--workers", "'0'"]),
        ("run --max-train-samples 0", ["--max-train-samples", "'0'"]),
        ("run --shard 3/2", ["--shard", "'3/2'", "I/N"]),
        ("run --shard 0/2", ["--shard", "'0/2'"]),
        ("run --max-hours 0", ["--max-hours", "'0'"]),
        ("run --max-hours nan", ["--max-hours", "'nan'"]),
        ("run --cell-hours -1", ["--cell-hours", "'-1'"]),
        ("run --cell-memory-gb 0", ["--cell-memory-gb", "'0'", "positive"]),
        ("run --name a/b", ["--name", "'a/b'"]),
        ("run --seeds 1001", ["--seeds", "1001", "1000 at most"]),
        ("run --device cuda", ["--device cuda", "no GPU"]),
        ("run --model ./nowhere", ["no model folder './nowhere'"]),
        ("run --config nowhere.toml", ["nowhere.toml", "No such file"]),
        ("describe magnitud", ["'magnitud'", "Did you mean 'magnitude'?"]),
        ("fetch", ["--tasks", "--model"]),
        ("leaderboard --runs nowhere", ["nowhere has no suite"]),
        ("leaderboard --check --out nowhere", ["nowhere", "--runs"]),
        ("leaderboard --check --runs nowhere", ["--check", "--runs"]),
        ("footprint ./nowhere", ["no model folder './nowhere'"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_says_what_is_meant(
    words: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert_refused(bench(*words.split()), *said)
    assert not list(Path().iterdir())


def test_a_reader_that_goes_away_has_not_seen_everything() -> None:
    process = start("methods", "--json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("words", "said"), [("run --help", "all|NAME,?"), ("describe movement --json", r"0 \u2026")]
)
def test_a_character_that_the_output_lacks_is_replaced(words: str, said: str) -> None:
    process = start(*words.split(), PYTHONIOENCODING="ascii")
    assert said in process.communicate(timeout=60)[0]
    assert process.returncode == 0


# Wrong inputs.


def test_a_path_that_no_system_takes_is_one_line() -> None:
    for words in ("status --runs", "run --data-dir", "footprint"):
        result = bench(*words.split(), "./" + "x" * 5000)
        assert result.status == 2
        assert result.err.startswith("bench: ")
        assert "File name too long" in result.err
    assert_refused(bench("footprint", "~nobody-of-that-name/model"), "no model folder")


@pytest.mark.parametrize(
    "content", ["[1]", "{}", '{"name": "s"}', '{"name": "../s", "cells": {}}', "cut sh", "\xff"]
)
def test_a_suite_that_cannot_be_read_is_named(content: str, tmp_path: Path) -> None:
    for folder in ("suites", "records"):
        path = tmp_path / folder / "s.json"
        path.parent.mkdir()
        path.write_bytes(content.encode("latin-1"))
    for words in ("status --runs", "leaderboard --out pages --runs", "leaderboard --check --out",
                  "knowledge --runs"):  # fmt: skip
        result = bench(*words.split(), tmp_path)
        assert_refused(result, "s.json does not describe a suite")


# JSON.


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("status", {"runs", "suites"}),
        ("methods", {"methods", "broken"}),
        ("tasks", {"tasks", "broken"}),
        ("describe magnitude", {"method", "kind", "parameters", "distribution"}),
        ("describe cola", {"task", "metric", "labels"}),
        ("doctor", {"facts", "extras", "missing", "broken"}),
    ],
)  # fmt: skip
def test_json_is_one_object_and_nothing_else(words: str, keys: set[str], no_network) -> None:
    result = bench(*words.split(), "--json")
    assert keys <= json.loads(result.out).keys()
    assert result.err == ""


def test_nothing_interrupts_the_end_of_an_interrupted_command() -> None:
    code = (
        "import signal, sys; import bench.cli.methods as methods; from bench.cli.main import main\n"
        "def handle(arguments): raise KeyboardInterrupt\n"
        "methods.handle = handle; sys.argv = ['bench', 'methods']; status = main()\n"
        "handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]\n"
        "assert (status, *handlers) == (130, signal.SIG_IGN, signal.SIG_IGN)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
