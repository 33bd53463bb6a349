"""The command line: mistakes are one clear line, and nothing heavy is loaded to say it."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import PAGES, QUICK, Result, bench, quick, records, start
from safetensors.numpy import load_file, save_file

from bench import hub
from bench.cli.options import config_words
from bench.data.tasks.demo import demo_encoder_path
from bench.errors import BenchError, unknown_name
from bench.files import write_json
from bench.runs.command import portable_command


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    hub.reachable.cache_clear()
    yield
    hub.reachable.cache_clear()


def assert_refused(result: Result, *said: str) -> None:
    """One line on standard error, status 2, and nothing was run."""
    assert result.status == 2
    assert result.err.startswith("bench: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    for text in said:
        assert text in result.err
    assert not list(Path().rglob("record.json"))


# Start-up.


@pytest.mark.parametrize(
    "words",
    ["--help", "--version", "run --help", "methods", "methods --json", "tasks", "tasks --json",
     "describe magnitude", "status", "rnu", "run --keep-modles all"],
)  # fmt: skip
def test_nothing_heavy_is_imported_to_say_what_there_is(words: str) -> None:
    script = (
        "import sys\nfrom bench.cli import main\n"
        f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 0.5


# Wrong words.


def test_an_unknown_name_among_thousands_is_one_readable_line() -> None:
    known = [f"{number:016x}" for number in range(10_000)]
    said = str(unknown_name("cell", "nosuch", known))
    assert len(said) < 1_500
    assert said.endswith(" and 9950 more.")
    assert str(unknown_name("cell", "x", ["b", "a", "b"])).endswith("Known: a, b.")


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ratios = [4", ["f.toml is no TOML"]),
        ("ratois = [4]", ["f.toml", "'ratois'", "Did you mean 'ratios'?"]),
        ("ratios = [4, 1]", ["'1'", "greater than 1"]),
        ("seeds = 0", ["--seeds", "'0'"]),
        ("methods = ['magnitud']", ["Did you mean 'magnitude'?"]),
        (r'data_dir = "a\u0000"', ["f.toml", "'data_dir'", "NUL"]),
    ],
)
def test_a_mistake_in_a_file_of_options_too(text: str, said: list[str]) -> None:
    Path("f.toml").write_text(text)
    assert_refused(bench("run", "--config", "f.toml"), *said)


@pytest.mark.parametrize("name", ["settings", "identity", "readme", "published", "demo-kept"])
def test_a_suite_never_takes_the_name_of_another_file(name: str, tmp_path: Path) -> None:
    assert_refused(quick(tmp_path / "runs", "--name", name), f"'{name}'", "--name")


@pytest.mark.parametrize("content", ["[]", "{}", '{"precision": "fp'])
def test_damaged_settings_are_not_taken_for_a_new_folder(content: str, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(content)
    assert_refused(quick(tmp_path), "settings.json", "remove it")


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


def test_the_precision_of_a_run_folder_is_kept(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_json(runs / "settings.json", {"precision": "fp32", "threads": 1})
    assert_refused(quick(runs, "--precision", "bf16"), "fp32", "bf16", "--runs")


# Wrong inputs.


def glue(folder: Path, **files: str) -> Path:
    """A GLUE folder with an SST-2 of these files, whole ones where nothing is said."""
    whole = "sentence\tlabel\n" + "".join(f"word {i} it is\t{i % 2}\n" for i in range(40))
    for split in ("train", "dev"):
        path = folder / "SST-2" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(split, whole))
    return folder


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train": ""}, ["train.tsv"]),
        ({"dev": "sentence\tlabel\n"}, ["dev"]),
        ({"train": "sentence\tlabel\nfine\t1\nword\t"}, ["train.tsv"]),
        ({"train": "sentence\tlabel\nfine\t2\n"}, ["train.tsv", "2"]),
        ({"train": "sentence\tlabel\nfine\t-1\n"}, ["train.tsv", "-1"]),
        ({"train": "text\tclass\nfine\t1\n"}, ["train.tsv", "sentence"]),
    ],
)
def test_data_that_cannot_be_read_stops_before_anything_runs(files, said) -> None:
    data = glue(Path("data"), **files)
    result = bench("run", "--tasks", "sst2", "--model", "demo", "--workers", "1",
                   "--data-dir", data)  # fmt: skip
    assert_refused(result, *said)


def test_a_missing_data_folder_is_named_with_both_remedies() -> None:
    result = bench("run", "--tasks", "sst2", "--model", "demo", "--workers", "1",
                   "--data-dir", "nowhere")  # fmt: skip
    assert_refused(result, "nowhere", "--data-dir", "bench fetch --tasks sst2")


def encoder(path: Path) -> Path:
    shutil.copytree(demo_encoder_path(), path)
    return path


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def without_configuration(model: Path) -> None:
    (model / "config.json").unlink()


def broken_configuration(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "bert", ')


def configuration_without_type(model: Path) -> None:
    (model / "config.json").write_text("{}")


def of_another_family(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "gpt2"}')


def of_no_known_family(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "thing"}')


def truncated_weights(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def without_tokenizer(model: Path) -> None:
    for path in [*model.glob("tokenizer*"), *model.glob("vocab*")]:
        path.unlink()


def renamed_weights(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    wrapped = {f"wrapped.{name}": tensor for name, tensor in tensors.items()}
    save_file(wrapped, model / "model.safetensors", {"format": "pt"})


def weights_with_nan(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    next(value for name, value in tensors.items() if name.endswith("key.weight"))[0, 0] = np.nan
    save_file(tensors, model / "model.safetensors", {"format": "pt"})


def configured(**changes: object) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        config = json.loads((model / "config.json").read_text()) | changes
        (model / "config.json").write_text(json.dumps(config))

    return spoil


def truncated_tokenizer(model: Path) -> None:
    path = next(model.glob("tokenizer.json"))
    path.write_text(path.read_text()[:500])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_weights, ["model.safetensors"]),
        (without_configuration, ["config.json"]),
        (broken_configuration, ["config.json", "JSON"]),
        (configuration_without_type, ["config.json", "model_type"]),
        (of_another_family, ["gpt2", "roberta"]),
        (of_no_known_family, ["thing"]),
        (truncated_weights, ["model.safetensors", "copy it again"]),
        (without_tokenizer, ["tokenizer"]),
        (truncated_tokenizer, ["its tokenizer cannot be read"]),
        (weights_with_nan, ["key.weight holds NaN"]),
        (renamed_weights, ["tensors are missing", "bert.embeddings"]),
        (configured(num_hidden_layers=40), ["tensors are missing", "encoder.layer"]),
        (configured(num_hidden_layers=0), ["without layers"]),
        (configured(num_hidden_layers=1), ["belong to no layer", "encoder.layer.1."]),
        (configured(architectures=5), ["architectures"]),
        (configured(architectures=["BertModel", 3]), ["architectures"]),
        (configured(hidden_size=96), ["have another shape"]),
        (configured(num_attention_heads=7), ["cannot be read as a model", "7"]),
        (configured(hidden_act="nope"), ["cannot be read as a model", "nope"]),
        (configured(hidden_size="x"), ["configuration", "hidden_size"]),
        (configured(vocab_size=10), ["have another shape"]),
    ],
)
def test_a_model_that_cannot_be_used_stops_before_anything_runs(
    spoil: Callable[[Path], None], said: list[str]
) -> None:
    spoil(encoder(Path("model")))
    result = bench("run", "--tasks", "demo-sentiment", "--workers", "1", "--model", "./model")
    assert_refused(result, "model", *said)


@pytest.mark.parametrize(
    ("words", "remedies"),
    [
        ("--model google-bert/bert-base-uncased",
         ["--model DIR", "bench fetch --model google-bert/bert-base-uncased"]),
        ("--tasks cola --model demo", ["--data-dir DIR", "bench fetch --tasks cola"]),
    ],
)  # fmt: skip
def test_without_a_network_both_remedies_are_named_at_once(no_network, words, remedies) -> None:
    begin = time.monotonic()
    assert_refused(bench("run", "--workers", "1", *words.split()), "cannot be reached", *remedies)
    assert time.monotonic() - begin < 10
    offline = bench("run", "--workers", "1", *words.split())
    assert_refused(offline, *remedies)


@pytest.mark.parametrize("place", ["/proc/runs", "file", "file/below"])
def test_a_run_folder_that_cannot_be_written_is_named(place: str) -> None:
    Path("file").touch()
    assert_refused(quick(Path(place)), f"{place} cannot be written")


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


def test_a_folder_named_like_markup_is_printed_as_it_is(tmp_path: Path) -> None:
    runs = tmp_path / "[red]" / "[" / "x]"
    result = quick(runs, methods="majority")
    assert result.status == 0
    assert f"The page: {runs}/" in result.out


def test_a_page_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    assert quick(tmp_path / "runs", methods="majority").status == 0
    Path("file").touch()
    assert_refused(
        bench("leaderboard", "--runs", tmp_path / "runs", "--out", "file"), "file cannot be"
    )


# Plugins.


def test_a_broken_plugin_is_named_and_hurts_nothing(plugin, tmp_path: Path) -> None:
    (tmp_path / "site/quits.py").write_text("raise SystemExit(3)")
    (tmp_path / "site/fails.py").write_text("import a_module_that_nobody_has")
    plugin("good-one", counted="unruly:Counted", needy="unruly:Needy")
    plugin(
        "bad-one",
        gone="no_such_module:Method",
        fails="fails:Method",
        quits="quits:Method",
        empty="unruly:Absent",
        no_method="unruly:NoMethod",
        no_info="unruly:NoInfo",
        odd_kind="unruly:OddKind",
        misnamed="unruly:Raises",
        magnitude="unruly:Impostor",
    )
    wanted = {
        "gone": "no_such_module",
        "fails": "a_module_that_nobody_has",
        "quits": "SystemExit",
        "empty": "Absent",
        "no-method": "not a subclass of bench.Method",
        "no-info": "info is missing",
        "odd-kind": "info.kind is not what it should be",
        "misnamed": "not the registered name 'misnamed'",
        "magnitude": "already taken by prunebench",
    }
    listed = json.loads(bench("methods", "--json").out)
    broken = {entry["name"]: entry for entry in listed["broken"]}
    assert broken.keys() == wanted.keys()
    for name, reason in wanted.items():
        assert reason in broken[name]["reason"]
        assert broken[name]["distribution"] == "bad-one 1.0"
    usable = {method["name"]: method for method in listed["methods"]}
    assert usable["counted"]["distribution"] == "good-one 1.0"
    assert usable["needy"]["missing"] == {"nobody_has.this": "pip install it"}
    assert "0.5 …" in bench("describe", "needy").out
    assert usable["magnitude"]["version"] == 1  # the built-in one
    for command in ("methods", "doctor"):
        flat = " ".join(bench(command).out.split())
        for name in wanted:
            assert f"{name} (from bad-one 1.0)" in flat
    assert bench("methods").status == 0
    assert bench("doctor").status == 1
    assert_refused(bench("run", "--methods", "quits"), "quits (from bad-one 1.0)", "SystemExit")


def test_a_method_that_cannot_say_what_to_tune_hurts_nothing_else(plugin, tmp_path: Path) -> None:
    plugin("bad-one", speechless="unruly:Speechless")
    said = "speechless cannot say what to tune: RuntimeError: no idea"
    assert_refused(quick(tmp_path, methods="speechless"), said)
    others = bench("run", *QUICK, "--dry-run", "--methods", "all", "--runs", tmp_path)
    assert (others.status, others.err) == (0, "")
    assert f"left out: {said}" in " ".join(others.out.split())
    doctor = bench("doctor")
    assert doctor.status == 1
    assert f"speechless (from bad-one 1.0): {said}" in " ".join(doctor.out.split())


def test_a_method_that_cannot_be_tuned_hurts_nothing_else(plugin, tmp_path: Path) -> None:
    plugin("bad-one", late="unruly:Late", wide="unruly:Wide", untunable="unruly:Untunable")
    said = {
        "late": "late cannot say what to tune: RuntimeError: too high",
        "wide": "wide cannot be tuned: warmup=0.5 lies outside 0 … 0.2",
        "untunable": "Untunable.Params.layers has the choice (1, 2)",
    }
    for name, line in said.items():
        assert_refused(quick(tmp_path, "--ratios", "20", methods=name), line)
    others = bench("run", *QUICK, "--ratios", "20", "--trials", "2", "--dry-run",
                   "--methods", "all", "--runs", tmp_path)  # fmt: skip
    assert (others.status, others.err) == (0, "")
    flat = " ".join(others.out.split())
    assert all(line in flat for line in said.values())
    low = bench("run", *QUICK, "--ratios", "4", "--dry-run", "--methods", "late")
    assert low.status == 0


def test_a_task_that_cannot_be_made_or_scored_is_a_broken_plugin(plugin) -> None:
    wanted = {
        "needs-a-word": "NeedsAWord() fails: TypeError",
        "odd-metric": "unknown metric 'perplexity'",
        "no-classes": "metric accuracy does not fit a regression",
        "one-class": "labels are not two or more different names",
    }
    classes = {"needs_a_word": "NeedsAWord", "odd_metric": "OddMetric", "no_classes": "NoClasses",
               "one_class": "OneClass", "plain": "Plain"}  # fmt: skip
    points = {name: f"unruly:{cls}" for name, cls in classes.items()}
    plugin("bad-tasks", "bench.tasks", **points)
    listed = json.loads(bench("tasks", "--json").out)["broken"]
    broken = {entry["name"]: entry["reason"] for entry in listed}
    assert broken.keys() == wanted.keys()
    for name, reason in wanted.items():
        assert reason in broken[name]
        assert_refused(bench("run", "--tasks", name, "--model", "demo"), reason)
    assert bench("doctor").status == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Fails", "'fails' cannot read its rows: KeyError: 'no such column'"),
        ("Forgets", "'forgets' cannot read its rows: AttributeError"),
        ("NoLabel", "'no-label' has no column label in its dev rows"),
        ("FarLabel", "'far-label' has the label 2 in its dev rows, beside classes 0 to 1"),
        ("NoNumber", "'no-number' has the label 'a' in its dev rows, which is no number"),
        ("Twice", "'twice' has an id twice in its dev rows"),
        ("NoText", "'no-text' has a text that is no text in its dev rows"),
    ],
)
def test_rows_that_break_a_tasks_promise_are_one_line(name, said, plugin, tmp_path) -> None:
    task = said.split("'")[1]
    plugin("bad-tasks", "bench.tasks", **{task.replace("-", "_"): f"unruly:{name}"})
    words = ("--model", "demo", "--methods", "dense", "--runs", tmp_path / "runs")
    assert_refused(bench("run", "--tasks", task, *words), said)


def test_tuning_needs_rows_to_tune_on(plugin, tmp_path: Path) -> None:
    plugin("good-task", "bench.tasks", plain="unruly:Plain")
    words = ("run", "--tasks", "plain", "--max-train-samples", "2", "--model", "demo", "--dry-run",
             "--methods", "magnitude", "--runs", tmp_path / "runs")  # fmt: skip
    assert_refused(bench(*words, "--trials", "2"), "plain has too few different training rows")
    assert bench(*words, "--trials", "0").status == 0


# JSON.


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("status", {"runs", "suites"}),
        ("methods", {"methods", "broken"}),
        ("tasks", {"tasks", "broken"}),
        ("describe magnitude", {"method", "kind", "parameters", "distribution"}),
        ("describe cola", {"task", "metric", "labels"}),
        ("doctor", {"facts", "missing", "broken"}),
    ],
)  # fmt: skip
def test_json_is_one_object_and_nothing_else(words: str, keys: set[str], no_network) -> None:
    result = bench(*words.split(), "--json")
    assert keys <= json.loads(result.out).keys()
    assert result.err == ""


def test_describe_names_no_learning_rate_that_no_run_uses() -> None:
    (rate, *_) = json.loads(bench("describe", "movement", "--json").out)["parameters"]
    assert (rate["name"], rate["default"]) == ("learning_rate", None)
    assert "by width" in bench("describe", "movement").out


def test_status_counts_what_is_done_and_left(tmp_path: Path, unruly: Path) -> None:
    runs = tmp_path / "runs"
    quick(runs, methods="raises")
    quick(runs, "--shard", "2/4", methods="raises,majority,magnitude")  # majority alone
    result = bench("status", "--runs", runs, "--json")
    (suite,) = json.loads(result.out)["suites"]
    counts = {state: suite[state] for state in ("ok", "failed", "running", "left", "missed")}
    assert counts == {"ok": 2, "failed": 1, "running": 0, "left": 1, "missed": 0}
    assert suite["seconds_left"] > 0
    assert "raises on demo-sentiment 4× seed 0" in suite["failures"][0]
    shown = " ".join(bench("status", "--runs", runs).out.split())
    assert "raises on demo-sentiment" in shown
    assert "unreachable" not in shown  # where none is, a terminal's columns are for others


def test_status_of_pages_says_what_they_are() -> None:
    result = bench("status", "--runs", PAGES)
    assert (result.status, "pages, whose cells are done" in result.out) == (0, True)


def test_the_demo_is_not_fetched(no_network) -> None:
    result = bench("fetch", "--tasks", "demo-sentiment", "--model", "demo")
    assert (result.status, result.out.count("not from the hub")) == (0, 2)


def test_nothing_interrupts_the_end_of_an_interrupted_command() -> None:
    code = (
        "import signal, sys; import bench.cli.methods as methods; from bench.cli import main\n"
        "def run(arguments): raise KeyboardInterrupt\n"
        "methods.run = run; sys.argv = ['bench', 'methods']; status = main()\n"
        "handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]\n"
        "assert (status, *handlers) == (130, signal.SIG_IGN, signal.SIG_IGN)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Options.


def test_a_storage_that_nothing_is_kept_in_is_said(tmp_path: Path) -> None:
    result = quick(tmp_path, "--storage", "sqlite:///studies.db", "--dry-run")
    assert (result.status, "--storage is not used" in result.out) == (0, True)


def test_a_file_of_options_says_what_the_command_line_would(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('tasks = ["cola", "rte"]\nkeep_models = "none"\noffline = true\nseeds = 2')
    options = ("--tasks", "--keep-models", "--offline", "--seeds")
    assert config_words(path, options) == (
        ["--tasks", "cola,rte", "--keep-models", "none", "--offline", "--seeds", "2"]
    )


def test_the_command_line_wins_over_a_file_of_options(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    file = tmp_path / "suite.toml"
    file.write_text(
        'methods = ["majority", "magnitude"]\ntasks = "demo-sentiment"\nepochs = 1\n'
        f'ratios = [4, 8]\nworkers = 1\nmax-train-samples = 600\nname = "filed"\nruns = "{runs}"'
    )
    assert bench("run", "--config", file, "--ratios", "3").status == 0
    assert set(records(runs)) == {("dense", 1, 0), ("majority", 1, 0), ("magnitude", 3, 0)}
    page = (runs / "filed.md").read_text()
    assert "bench run --methods majority,magnitude --tasks demo-sentiment --epochs 1" in page
    assert "--ratios 3" in page
    assert str(tmp_path) not in page


def test_a_dry_run_runs_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    result = quick(runs, "--dry-run")
    assert result.status == 0
    assert "2 cells, 0 done, 2 to run" in result.out
    assert "2 trainings" in result.out
    assert not runs.exists()
    quick(runs)
    before = {path: path.stat().st_mtime_ns for path in runs.rglob("*")}
    assert "2 done, 0 to run" in quick(runs, "--dry-run").out
    assert {path: path.stat().st_mtime_ns for path in runs.rglob("*")} == before


def test_a_command_to_repeat_names_no_place_of_this_machine(tmp_path: Path) -> None:
    model = tmp_path / "my model"
    model.mkdir()
    words: list[Any] = [
        "--tasks", f"cola,{tmp_path}/own.toml", "--data-dir", tmp_path, f"--model={model}",
        "--ratios", "4", "--ratios", "8", "--runs", tmp_path, "--shard", "1/2", "--max-hours", "3",
        "--rerun", "failed", "--config", tmp_path / "c.toml",
    ]  # fmt: skip
    command = portable_command([str(word) for word in words])
    assert command == (
        "bench run --tasks cola,$TASK_DIR/own.toml --data-dir $GLUE_DIR "
        "--model $MODEL_DIR/'my model' --ratios 8"
    )


def test_a_command_to_repeat_takes_no_list_for_a_path() -> None:
    """A long list of methods is longer than any file's name may be."""
    methods = ",".join(f"knowledge-aware:hidden_weight={n}" for n in range(1, 300))
    assert portable_command(["--methods", methods]) == f"bench run --methods {methods}"


def test_a_command_to_repeat_says_a_precision_that_was_not_said(tmp_path: Path) -> None:
    """Another machine's hardware would choose another."""
    assert quick(tmp_path / "demo", methods="majority").status == 0
    said_it = ("--precision", "bf16", "--name", "said")
    assert quick(tmp_path / "bf16", *said_it, methods="majority").status == 0
    assert quick(tmp_path / "bf16", "--name", "other", methods="majority").status == 0  # it rules
    said = {
        path.stem: json.loads(path.read_text())["commands"][0].partition("--precision ")[2]
        for path in tmp_path.glob("*/suites/*.json")
    }
    assert said == {"demo": "", "said": "bf16 --name said", "other": "bf16"}  # the demo has its own


def test_an_unknown_key_of_a_file_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "f.toml").write_text("runz = 'x'")
    with pytest.raises(BenchError, match=r"f\.toml.*'runz'.*'runs'"):
        config_words(tmp_path / "f.toml", ("--runs", "--tasks"))
