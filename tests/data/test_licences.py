"""Texts of report rows that a licence lets a page show."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.licences import OPEN, objection, texts_to_show
from bench.data.prepare import prepare
from bench.data.task import Source
from bench.data.tasks.demo import Paraphrase, Sentiment, demo_encoder_path
from bench.errors import BenchError
from bench.registry import task as find_task


def test_texts_are_those_of_the_rows_that_records_are_of(tmp_path: Path) -> None:
    facts = {
        task.name: prepare(
            task, Source(), name=task.name, encoder=demo_encoder_path(), cap_at=20, cache=tmp_path
        ).facts
        for task in (Sentiment(), Paraphrase())
    }
    assert facts["demo-sentiment"]["licence"] == "Apache-2.0"
    pairs = Paraphrase().load(Source()).dev
    found, lacking = texts_to_show(tmp_path, facts)
    assert found == {
        "demo-sentiment": [(text,) for text in Sentiment().load(Source()).dev["text"]],
        "demo-paraphrase": list(zip(pairs["text"], pairs["text_pair"], strict=True)),
    }
    assert lacking == []
    facts["demo-sentiment"].pop("licence")
    facts["demo-paraphrase"]["fingerprint"] = "0" * 16
    assert texts_to_show(tmp_path, facts) == ({}, [
        "no texts of demo-sentiment: nobody has said under which licence its rows are.",
        f"no texts of demo-paraphrase: {tmp_path} does not have its rows any more.",
    ])  # fmt: skip


def test_a_licence_that_is_not_known_to_allow_it_does_not() -> None:
    assert not any(map(objection, OPEN))
    assert "CC-BY-NC-ND-4.0, which may not allow it" in objection("CC-BY-NC-ND-4.0")


def test_a_task_of_ones_own_may_say_its_licence(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text("text,label\na,up\n")
    file = tmp_path / "own.toml"
    head = 'name = "own"\ntrain = "train.csv"\ndev = "dev.csv"\ntext = "text"\n'
    head += 'label = "label"\nlabels = ["down", "up"]\n'
    file.write_text(head + 'licence = " CC-BY-4.0 "\n')
    assert find_task(str(file)).info.licence == "CC-BY-4.0"
    file.write_text(head + "licence = 4\n")
    with pytest.raises(BenchError, match="licence = 4 is not an SPDX identifier"):
        find_task(str(file))
