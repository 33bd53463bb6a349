"""`bench knowledge`, and what a run records for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import Result, bench, quick, records
from transformers import AutoModel

from bench.data.tasks.demo import demo_encoder_path, probe_text
from bench.files import read_json, write_json


def refused(result: Result, *said: str) -> bool:
    one_line = result.status == 2 and result.err.count("\n") == 1
    return one_line and all(text in result.err for text in said)


def test_a_record_says_what_is_left(finished: Path) -> None:
    found = records(finished)
    for (method, _, seed), record in found.items():
        known = record.knowledge
        assert known is not None
        assert set(known) == {
            "text", "hash", "rows", "masked", "floor", "loss", "pretrained", "finetuned",
            "refitted", "pretrained_refitted", "finetuned_refitted",
        }  # fmt: skip
        assert (known["text"], known["rows"]) == ("demo", 250)
        dense = found["dense", 1, seed].knowledge
        assert dense is not None
        for own, stage in (("loss", ""), ("refitted", "_refitted")):
            before, after = known[f"pretrained{stage}"], known[f"finetuned{stage}"]
            assert after == dense[own]
            assert known["floor"] > before
            if method == "majority":
                assert known[own] == before
            elif method == "random-mask":
                assert known[own] > after > before
        assert known["refitted"] < known["floor"]
    assert (
        len({str(record.knowledge and record.knowledge["hash"]) for record in found.values()}) == 1
    )


def test_the_command_prints_rows_a_task(finished: Path) -> None:
    result = bench("knowledge", "--runs", finished)
    assert result.status == 0
    assert "masked tokens of 250 passages (demo), mean over seeds" in result.out
    rows = [line.replace("word f", "word-f").split() for line in result.out.splitlines()]
    rows = [row for row in rows if len(row) == 6 and row[0] != "method"]
    methods = [row[0] for row in rows]
    assert methods == [
        "pre-trained", "fine-tuned", "majority", "magnitude", "random-mask", "word-frequencies",
    ]  # fmt: skip
    assert (rows[0][4], rows[-1][4]) == ("100.0", "0.0")
    page = (finished / "demo.md").read_text()
    shown = [
        line.replace("|", " ").replace("word f", "word-f").split()
        for line in page.partition("left of pre-t")[2].split("\n")
    ]
    assert rows == [row for row in shown if row[:1] and row[0] in methods][:6]


def test_the_object_has_means_over_seeds_and_shares(finished: Path) -> None:
    found = json.loads(bench("knowledge", "--runs", finished, "--json").out)
    assert found["text"]["name"] == "demo"
    rows = {row["method"]: row for row in found["rows"]}
    mine = [record for (method, _, _), record in records(finished).items() if method == "magnitude"]
    losses = [record.knowledge["loss"] for record in mine if record.knowledge]
    assert rows["magnitude"]["loss"] == pytest.approx(np.mean(losses))
    assert rows["magnitude"]["score"] == pytest.approx(np.mean([record.score for record in mine]))
    floor, best = rows["word frequencies"]["refitted"], rows["pre-trained"]["refitted"]
    own = np.mean([record.knowledge["refitted"] for record in mine if record.knowledge])
    share = 100 * (floor - own) / (floor - best)
    assert rows["magnitude"]["above_floor"] == pytest.approx(share)
    assert rows["pre-trained"]["score"] is None


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"\n \n", "holds no text"), (b"caf\xe9\n", "not UTF-8")],
)
def test_a_text_that_cannot_be_read_stops_the_run_before_it_begins(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    assert refused(quick(tmp_path / "runs", "--probe-text", text), "text.txt", said)
    assert not list(tmp_path.rglob("record.json"))


def test_texts_are_not_mixed_and_no_path_is_kept(tmp_path: Path) -> None:
    runs, text = tmp_path / "runs", tmp_path / "mine.txt"
    text.write_text("\n".join(probe_text(40)), encoding="utf-8")
    quick(runs, methods="majority", probed=True)
    quick(runs, "--probe-text", text, methods="random-mask")
    assert refused(bench("knowledge", "--runs", runs), "different texts", "mine.txt", "--rerun all")
    suite = (runs / "suites/demo.json").read_text(encoding="utf-8")
    assert "--probe-text $TEXT_DIR/mine.txt" in suite
    assert str(tmp_path) not in suite


def test_an_encoder_without_a_head_is_told_of_once(tmp_path: Path) -> None:
    encoder = tmp_path / "headless"
    AutoModel.from_pretrained(demo_encoder_path()).save_pretrained(encoder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (encoder / name).write_bytes((demo_encoder_path() / name).read_bytes())
    runs, text = tmp_path / "runs", tmp_path / "mine.txt"
    text.write_text("\n".join(probe_text(40)), encoding="utf-8")
    words = ("--model", encoder, "--name", "headless")
    result = quick(runs, *words, "--probe-text", text, methods="majority")
    assert result.status == 0
    assert result.out.count("no masked-language-model head") == 1
    assert all(record.knowledge is None for record in records(runs).values())
    assert refused(bench("knowledge", "--runs", runs), "'headless'", "--probe-text FILE", "head")


def test_records_that_were_not_probed_show_a_dash(tmp_path: Path) -> None:
    import shutil

    runs, text = tmp_path / "runs", tmp_path / "mine.txt"
    text.write_text("\n".join(probe_text(40)), encoding="utf-8")
    encoder = shutil.copytree(demo_encoder_path(), tmp_path / "demo-encoder")
    words = ("--model", encoder, "--name", "own")
    assert "knowledge" not in quick(runs, *words, methods="majority").out
    quick(runs, *words, "--probe-text", text, methods="random-mask")
    lines = bench("knowledge", "--runs", runs).out.splitlines()
    majority = next(line.split() for line in lines if "majority" in line)
    assert majority[:4] == ["majority", "1", "–", "–"]
    masked = next(line.split() for line in lines if "random-mask" in line)
    assert "–" not in masked


def test_a_folder_of_several_suites_or_none_asks_which(finished: Path, tmp_path: Path) -> None:
    assert refused(bench("knowledge", "--runs", tmp_path), "no suite", "--runs")
    assert refused(bench("knowledge", "--runs", finished, "--name", "dmo"), "'dmo'", "'demo'")
    suites = tmp_path / "suites"
    suites.mkdir()
    for name in ("one", "two"):
        described = {**read_json(finished / "suites" / "demo.json"), "name": name}
        write_json(suites / f"{name}.json", described)
    assert refused(bench("knowledge", "--runs", tmp_path), "--name one or two")


def test_telling_it_imports_nothing_heavy(finished: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys\nfrom bench.cli.main import main\n"
        f"assert main(['knowledge', '--runs', {str(finished)!r}]) == 0\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
