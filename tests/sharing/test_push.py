"""What is pushed to a hub on loopback, and pulled from there again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from card_code import LABELS, blocks, printed_elsewhere
from harness import PAGES, bench, records
from huggingface_hub import DatasetCard, SpaceCard
from loopback_hub import LoopbackHub, files_of, loopback_hub

TO = ("--to", "my-lab/small")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with loopback_hub(monkeypatch, tmp_path / "cache") as found:
        yield found


@pytest.mark.parametrize("large", [None, 10_000])
def test_a_model_is_pushed_and_pulled_and_scores_the_same(
    served: LoopbackHub, finished: Path, tmp_path: Path, large: int | None
) -> None:
    served.large = large  # weights go by LFS, or with the rest
    record = records(finished)["magnitude", 4.0, 0]
    done = bench("push", record.id[:9], "--runs", finished, *TO, "--private")
    assert done.status == 0, done.err
    assert f"{served.url}/my-lab/small" in done.out
    pushed = served.get("models", "my-lab/small")
    assert pushed.private
    assert len(pushed.commits) == 2  # the repository's own, and one of all files
    assert {"README.md", "config.json", "model.safetensors"} <= pushed.files().keys()
    assert bool(served.objects) == (large is not None)
    if large is not None:
        return
    code = "\n".join(blocks(pushed.files()["README.md"].decode()))
    label, score = printed_elsewhere(code, tmp_path, served.url)
    assert (label in LABELS, float(score)) == (True, record.score)
    done = bench("evaluate", "my-lab/small", "--task", "demo-sentiment", "--runs", tmp_path / "x")
    assert done.status == 0, done.err
    (scored,) = records(tmp_path / "x").values()
    assert scored.scores == record.scores


def test_pages_become_a_data_set_and_a_space(served: LoopbackHub, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PAGES, tmp_path / "pages"))
    (folder / "index.html").write_text("<!doctype html><title>x</title>")
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "style.css").write_text("body {}")
    done = bench("push", "--leaderboards", folder, *TO)
    assert done.status == 0, done.err
    data = served.get("datasets", "my-lab/small").files()
    card = DatasetCard(data["README.md"].decode()).data
    names = sorted(path.stem for path in (PAGES / "records").glob("*.jsonl"))
    assert [config["config_name"] for config in card.configs] == [
        name for name in names if not name.endswith(".studies")
    ]
    for config in card.configs:
        lines = data[config["data_files"]].decode().splitlines()
        assert all(json.loads(line)["id"] for line in lines)
    space = served.get("spaces", "my-lab/small")
    assert (space.sdk, space.private) == ("static", False)
    assert SpaceCard(space.files()["README.md"].decode()).data.app_file == "index.html"
    assert {"index.html", "assets/style.css"} <= space.files().keys()
    assert not any(name.startswith("records/") for name in space.files())
    there = {name: held for name, held in data.items() if name.startswith("records/")}
    assert there == files_of(folder / "records", "records/")


def test_a_dry_run_asks_for_nothing(served: LoopbackHub, finished: Path) -> None:
    record = records(finished)["magnitude", 4.0, 0]
    done = bench("push", record.id, "--runs", finished, *TO, "--dry-run")
    assert done.status == 0, done.err
    for name in ("README.md", "model.safetensors", "tokenizer.json", "config.json"):
        assert f"\n  {name}\n" in done.out
    assert "nothing was pushed" in done.out
    assert not served.asked
    done = bench("push", "--leaderboards", PAGES, *TO, "--dry-run")
    assert ("dataset my-lab/small" in done.out, served.asked) == (True, [])


def test_what_stands_in_the_way_is_one_line(
    served: LoopbackHub, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = records(finished)["magnitude", 4.0, 0]

    def refused(*words: str | Path) -> str:
        done = bench("push", *words, "--runs", finished)
        assert (done.status, done.err.count("\n")) == (2, 1)
        return done.err

    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not let this token write to the model my-lab/small (401)" in refused(
        record.id, *TO
    )
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(finished / "no-token"))
    assert "no token of the hub: set HF_TOKEN" in refused(record.id, *TO)
    assert "not of the form ORG/NAME" in refused(record.id, "--to", "small")
    assert "either a cell or --leaderboards" in refused(*TO)
    assert "is no folder of pages" in refused("--leaderboards", finished, *TO, "--dry-run")
    missing = refused("--leaderboards", finished / "none", *TO, "--dry-run")
    assert ("there is no folder" in missing, "--runs" in missing) == (True, False)
    from bench import hub

    hub.reachable.cache_clear()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached: nothing was pushed." in refused(record.id, *TO)


@pytest.mark.parametrize(
    "name",
    [
        *("small", "a/b/c", "lab/", "/x", "-lab/x", "my-lab/x-", "my lab/x", "my-lab/x\n"),
        *("my-lab/x.git", "my-lab/a--b", "my-lab/a..b", f"my-lab/{'x' * 97}"),
    ],
)
def test_a_name_that_no_hub_takes_is_refused_before_all_else(name: str, tmp_path: Path) -> None:
    done = bench("push", "0123", "--runs", tmp_path, "--to", name, "--dry-run")
    assert (done.status, "argument --to" in done.err) == (2, True), done.err


@pytest.mark.parametrize("name", ["a/b", "my_lab/x.y-z", "Lab-1/git"])
def test_a_name_that_a_hub_takes_is_none_of_the_matter(name: str, tmp_path: Path) -> None:
    done = bench("push", "0123", "--runs", tmp_path, "--to", name, "--dry-run")
    assert "argument --to" not in done.err
