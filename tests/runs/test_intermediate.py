"""`--intermediate`, from the command line to the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import harness
import pytest
from probes import save_encoder, write_demo_text

from bench.data.tasks.demo import demo_encoder_path
from bench.files import read_json
from bench.runs.names import select_intermediates, select_methods

if TYPE_CHECKING:
    from pathlib import Path

OTHER, FAKES = "intermediate=demo-paraphrase", "intermediate=synthetic"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty sentences of 24 words that the demo's encoder knows."""
    return write_demo_text(tmp_path_factory.mktemp("text") / "text.txt", rows=50, words=24)


def table(folder: Path) -> Path:
    """A task of one's own, to be learnt first."""
    for split, who in (("train", "pilot"), ("dev", "doctor")):
        rows = [f"the {who} was kind number {n},{n % 2}" for n in range(40)]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows]))
    path = folder / "own.toml"
    path.write_text('name = "own"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\n'
                    'label = "label"\nlabels = ["0", "1"]\n')  # fmt: skip
    return path


def test_pins_are_names_and_a_file_is_found_by_its_own(tmp_path: Path) -> None:
    file = table(tmp_path)
    said = [f"magnitude:intermediate={file}", f"magnitude:{FAKES}-binary", f"movement:{OTHER}"]
    variants, _ = select_methods(said, {"intermediate": "demo-paraphrase"})
    assert list(map(str, variants)) == [
        "dense", "dense:intermediate=own", "magnitude:intermediate=own", f"dense:{FAKES}-binary",
        f"magnitude:{FAKES}-binary", "movement",
    ]  # fmt: skip
    assert select_intermediates(said, "none") == {
        "own": str(file), "synthetic-binary": "synthetic-binary",
        "demo-paraphrase": "demo-paraphrase",
    }  # fmt: skip


@pytest.mark.parametrize(("words", "wrong"), [
    (["--intermediate", "mrcp"], "unknown intermediate task 'mrcp'. Did you mean"),
    (["--intermediate", "demo"], "unknown intermediate task 'demo'"),
    (["--intermediate", "synthetic"], "--intermediate synthetic is made from a text"),
    (["--methods", "magnitude:intermediate=synthetic-binary"], "name one by --corpus FILE"),
    (["--methods", "majority:intermediate=mrpc"], "majority trains nothing"),
    (["--generator", "x"], "--generator writes the endings of --intermediate synthetic"),
    (["--intermediate", "synthetic", "--corpus", "TEXT", "--generator", "ENCODER"],
     "is no causal language model"),
    (["--intermediate", "synthetic", "--corpus", "TEXT", "--model", "BARE"],
     "has no masked-language-model head"),
    (["--intermediate", "synthetic", "--corpus", "SHORT"], "synthetic takes two at least"),
])  # fmt: skip
def test_what_is_not_possible_is_one_line(
    words: list[str], wrong: str, tmp_path: Path, text: Path
) -> None:
    bare, short = tmp_path / "bare", tmp_path / "short.txt"
    if "BARE" in words:
        save_encoder(bare, "bert", head=False)
    short.write_text("so they left happy\n")
    places = {"TEXT": text, "ENCODER": demo_encoder_path(), "BARE": bare, "SHORT": short}
    result = harness.quick(tmp_path / "runs", *(places.get(word, word) for word in words))
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert wrong in result.err
    assert not (tmp_path / "runs" / "suites").exists()


def test_rows_begin_with_the_encoder_after_their_task(tmp_path: Path, text: Path) -> None:
    words = ("--corpus", text, "--max-train-samples", "200")
    methods = f"magnitude,magnitude:{OTHER},magnitude:{FAKES}:teacher=finetuned"
    plain = harness.quick(tmp_path / "plain", *words)
    assert plain.status == 0, plain.err
    runs = tmp_path / "runs"
    plan = harness.quick(runs, *words, "--dry-run", methods=methods)
    # a convergence training and a seed of six rows, and two intermediate tasks
    assert "14 trainings, 2 on an intermediate task" in plan.out
    assert "writing the fake endings comes on top" in plan.out
    result = harness.quick(runs, *words, methods=methods)
    assert result.status == 0, result.err
    found, known = harness.outcomes(runs), harness.outcomes(tmp_path / "plain")
    assert {key: found[key] for key in known} == known
    made = {
        stage["facts"]["name"]: stage
        for path in runs.glob("intermediates/*/intermediate.json")
        if (stage := read_json(path))
    }
    assert made.keys() == {"demo-paraphrase", "synthetic"}
    assert made["demo-paraphrase"]["facts"]["rows"] == 160  # the fit rows of 200
    assert made["synthetic"]["facts"]["rows"] == 4 * 45  # a tenth of 50 prompts is held out
    (written,) = (read_json(path) for path in runs.glob("data/endings-*/endings.json"))
    assert 0 < written["flops"] < made["synthetic"]["train_flops"]
    for (method, _, _), record in found.items():
        name = method.partition("intermediate=")[2].partition(":")[0]
        if not name:
            assert "intermediate" not in record["data"]
            continue
        cost = record["cost"]
        assert cost["parts"]["intermediate task"] == made[name]["train_flops"]
        assert sum(cost["parts"].values()) == cost["train_flops"]
        assert record["data"]["intermediate"] == made[name]["facts"]
        assert record["score"] is not None
    pinned = [f"{name}:{OTHER}" for name in ("dense", "magnitude")]
    dense, other = (found[name, ratio, 0] for name, ratio in zip(pinned, (1.0, 4.0), strict=True))
    assert dense["reference"] is not None and other["reference"] is None
    taught = found[f"magnitude:{FAKES}:teacher=finetuned", 4.0, 0]
    assert taught["reference"] == found[f"dense:{FAKES}", 1.0, 0]["reference"]
    assert len({record["id"] for record in found.values()}) == len(found) == 6
    suite = json.loads((runs / "suites" / "demo.json").read_text())
    assert suite["intermediates"].keys() == made.keys()
    checked = harness.bench("validate", runs)
    assert checked.status == 0, checked.out + checked.err
    page = (runs / "demo.md").read_text(encoding="utf-8")
    assert "### Score against training, by intermediate task" in page
    assert "Intermediate task demo-paraphrase: 160 rows, trained on as dense" in page
    assert "0 to run" in harness.quick(runs, *words, "--dry-run", methods=methods).out


@pytest.mark.slow
def test_the_suites_own_holds_for_all_and_two_runs_make_the_same(
    tmp_path: Path, text: Path
) -> None:
    """A task's own rows may be learnt before, and a file's; two workers make it once."""
    file = table(tmp_path)
    words = ("--intermediate", file, "--corpus", text)
    for name, workers in (("one", "1"), ("other", "2")):
        result = harness.quick(
            tmp_path / name, *words, "--workers", workers, methods="magnitude,prune-ofa,minilm",
            in_workers=True,
        )  # fmt: skip
        assert result.status == 0, result.err
    one, other = (harness.outcomes(tmp_path / name) for name in ("one", "other"))
    assert one == other
    assert len(list((tmp_path / "other" / "intermediates").iterdir())) == 1
    for record in one.values():
        assert record["cost"]["parts"]["intermediate task"] > 0
    page = (tmp_path / "one" / "demo.md").read_text(encoding="utf-8")
    assert "All starts from the encoder after it was fine-tuned on own" in page
    assert "--intermediate $TASK_DIR/own.toml" in " ".join(page.replace("\\\n", " ").split())
    methods = f"magnitude:intermediate={file},magnitude:intermediate=demo-sentiment"
    result = harness.quick(tmp_path / "pinned", methods=methods)
    assert result.status == 0, result.err
    page = (tmp_path / "pinned" / "demo.md").read_text(encoding="utf-8")
    assert "intermediate=$TASK_DIR/own.toml" in page and str(tmp_path) not in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo-paraphrase", "synthetic", "synthetic-binary"])
def test_every_method_starts_from_it(name: str, tmp_path: Path, text: Path) -> None:
    result = harness.quick(
        tmp_path, "--intermediate", name, "--corpus", text, "--max-train-samples", "300",
        methods="all",
    )  # fmt: skip
    assert result.status == 0, result.err
    assert set(harness.statuses(tmp_path).values()) == {"ok"}
    for (method, *_), record in harness.records(tmp_path).items():
        assert ("intermediate" in record.data) == (method not in ("text-floor", "encoder-floor"))


@pytest.mark.slow
def test_a_killed_run_goes_on_without_loss(tmp_path: Path, text: Path) -> None:
    """Killed while the encoder learns to tell endings: what was written before is not lost."""
    words = ["run", *harness.QUICK, "--methods", f"magnitude:{FAKES}", "--corpus", str(text),
             "--epochs", "20"]  # fmt: skip
    whole = harness.bench(*words, "--runs", tmp_path / "whole")
    assert whole.status == 0, whole.err
    runs = tmp_path / "runs"
    with harness.start(*words, "--runs", runs) as killed:
        while not list(runs.glob("data/endings-*/endings.json")):
            assert killed.poll() is None
        killed.kill()
    (rows,) = runs.glob("data/endings-*/endings.json")
    written = rows.stat().st_mtime_ns
    again = harness.bench(*words, "--runs", runs)
    assert again.status == 0, again.err
    assert rows.stat().st_mtime_ns == written
    assert harness.outcomes(runs) == harness.outcomes(tmp_path / "whole")
