"""Which claims a run takes, and which it refuses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import ROOT, Result, bench, quick, records
from refusals import assert_refused

from bench import registry
from bench.cli.config import config_claims, config_words
from bench.cli.main import parser
from bench.errors import BenchError
from bench.results.store import Store
from bench.runs.cells.cell import Variant
from bench.runs.claims import read_claims

pytestmark = pytest.mark.usefixtures("empty_place")

SAID: dict[str, Any] = {"better": "magnitude", "worse": "majority"}
TASKS = {"demo-sentiment": registry.task("demo-sentiment"),
         "demo-similarity": registry.task("demo-similarity")}  # fmt: skip
METHODS = ("dense", "majority", "magnitude", "magnitude:scope=global")


def read(*said: Any, ratios: tuple[float, ...] = (4.0,), seeds: tuple[int, ...] = (0, 1)) -> Any:
    return read_claims(said, variants=[*map(Variant.parse, METHODS)], tasks=TASKS, ratios=ratios,
                       seeds=seeds)  # fmt: skip


def test_what_a_claim_leaves_unsaid_is_what_the_run_asks_for() -> None:
    (claim,) = read(SAID)
    assert claim.worse == ("majority",)
    assert claim.tasks == tuple(TASKS)
    assert (claim.ratio, claim.by, claim.seeds) == (4.0, 0.0, (0, 1))
    assert claim.versions == {
        name: registry.methods.get(name).info.version for name in ("magnitude", "majority")
    }
    (claim,) = read({"better": "magnitude:scope=global", "worse": ["magnitude", "dense"],
                     "tasks": ["demo-similarity"], "ratio": 10, "by": 2, "seeds": "3-4",
                     "sentence": "s"}, ratios=(4.0, 10.0), seeds=(2, 3, 4))  # fmt: skip
    assert (claim.tasks, claim.ratio, claim.by, claim.seeds) == (
        ("demo-similarity",), 10.0, 2.0, (3, 4),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"better": "magnitud"}, "unknown method of this run 'magnitud'. Did you mean 'magnitude'"),
        ({"worse": "tinybert"}, "unknown method of this run 'tinybert'"),
        ({"worse": []}, "worse is a name, or a list of names"),
        ({"worse": ["majority", 5]}, "worse is a name, or a list of names"),
        ({"better": ["dense", "majority"]}, "better is one method"),
        ({"worse": ["majority", "magnitude"]}, "magnitude cannot be better than itself"),
        ({"tasks": "cola"}, "unknown task of this run 'cola'"),
        ({"ratio": 20}, "ratio 20 is not one of the run's: 4"),
        ({"ratio": "x"}, "no ratio"),
        ({"by": -1}, "by is a number of points, 0 or more, not -1"),
        ({"by": True}, "by is a number"),
        ({"by": float("nan")}, "by is a number"),
        ({"seeds": "0-2"}, "the run has no seed 2; its seeds are 2"),
        ({"seeds": [1]}, "one seed tests nothing"),
        ({"seeds": "x"}, "seeds 'x'"),
        ({"sentence": 1}, "sentence is a text"),
        ({"bettre": "dense"}, "unknown key 'bettre'. Did you mean 'better'"),
        ({"better": None}, "better is a name"),
    ],
)
def test_a_claim_beyond_the_run_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BenchError, match="claim 2: ") as error:
        read(SAID, {**SAID, **changes})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_claims_are_tables_each_made_once_and_say_which_of_several_ratios() -> None:
    with pytest.raises(BenchError, match="claim 2 is made twice"):
        read(SAID, {**SAID, "sentence": "in other words"})
    with pytest.raises(BenchError, match="several ratios; say ratio = 4 or 10"):
        read(SAID, ratios=(4.0, 10.0))
    with pytest.raises(BenchError, match="claim 1: it is a table"):
        read("magnitude")
    with pytest.raises(BenchError, match="claims are a list of tables"):
        read_claims("x", variants=[], tasks=TASKS, ratios=(4.0,), seeds=(0, 1))


def test_the_example_of_the_docs_is_read_as_it_stands(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/claims.md").read_text(), re.S)
    (path := tmp_path / "suite.toml").write_text(block)
    known = ("name", "tasks", "methods", "ratios", "seeds", "effort")
    words = config_words(path, [f"--{name}" for name in known])
    arguments = parser().parse_args(["run", *words])
    claims = read_claims(
        config_claims(path),
        variants=[*map(Variant.parse, arguments.methods)],
        tasks={name: registry.task(name) for name in arguments.tasks},
        ratios=arguments.ratios,
        seeds=arguments.seeds,
    )
    assert [claim.by for claim in claims] == [5.0, 0.0]
    assert all(claim.seeds == (10, 11, 12, 13, 14) for claim in claims)


# Whole runs, with the cheapest methods: majority's cells cost nothing but the dense ones beside.


def claimed(runs: Path, *words: str | Path, seeds: str = "10-11", **claim: Any) -> Result:
    """A run of dense, majority and random-mask that claims something."""
    said = {"better": "random-mask", "worse": "majority", **claim}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    file = Path("suite.toml")
    file.write_text("\n".join([f'seeds = "{seeds}"', "[[claims]]", *lines]))
    return quick(runs, "--config", file, *words, methods="random-mask,majority")


def description(runs: Path) -> dict[str, Any]:
    (path,) = (runs / "suites").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a claim was made and run; tests copy it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("claims"))
        assert claimed(folder / "runs", sentence="*any* weights | beat none").status == 0
    return folder / "runs"


@pytest.fixture
def runs(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "runs"))


def test_a_claim_is_written_down_before_any_cell_and_opens_the_page(runs: Path) -> None:
    (claim,) = description(runs)["claims"]
    assert claim["seeds"] == [10, 11]
    assert set(claim["versions"]) == {"random-mask", "majority"}
    assert claim["written"] < min(record.created for record in Store(runs).records())
    page = next(runs.glob("*.md")).read_text()
    title, opening = page.split("\n\n")[:2]
    assert title.startswith("# ")
    assert opening == "## Claims"
    assert (
        r"“\*any\* weights \| beat none” random-mask is better than majority on demo-senti" in page
    )
    (shown,) = json.loads(next(runs.glob("demo*.json")).read_text())["claims"]
    assert shown["sentence"] == "*any* weights | beat none"
    assert shown["verdict"] in ("supported", "undecided", "contradicted")


def test_going_on_with_a_claim_that_was_made_is_allowed(runs: Path) -> None:
    before = description(runs)["claims"]
    for record in Store(runs).records():
        if record.cell["seed"] == 11:
            shutil.rmtree(runs / record.id)
    result = claimed(runs, "--shard", "1/1", sentence="in other words")
    assert result.status == 0, result.err
    (claim,) = description(runs)["claims"]
    assert claim == {**before[0], "sentence": "in other words"}
    assert {seed for _, _, seed in records(runs)} == {10, 11}


@pytest.mark.parametrize(
    "changes",
    [{"by": 1}, {"worse": ["majority", "dense"]}, {"better": "majority", "worse": "random-mask"},
     {"better": "random-mask", "worse": "dense"}],
)  # fmt: skip
def test_a_changed_or_added_claim_is_refused_once_its_outcome_could_be_seen(
    runs: Path, changes: dict[str, Any]
) -> None:
    before = description(runs)
    assert_refused(claimed(runs, **changes), "claim 1 comes after its outcome", "seed 1",
                   "takes fresh seeds, such as --seeds 12-13")  # fmt: skip
    assert_refused(claimed(runs, "--dry-run", **changes), "claim 1 comes after its outcome")
    assert description(runs) == before


def test_a_claim_about_a_version_that_was_raised_since_is_a_new_one(runs: Path) -> None:
    """Else a method could be changed until its claim holds."""
    (path,) = (runs / "suites").glob("*.json")
    suite = json.loads(path.read_text())
    suite["claims"][0]["versions"]["random-mask"] = 0
    path.write_text(json.dumps(suite))
    assert_refused(claimed(runs, "--dry-run"), "claim 1 comes after its outcome")


def test_another_name_protocol_or_ratio_makes_no_seed_fresh(runs: Path) -> None:
    for words in (("--name", "other"), ("--epochs", "2"), ("--ratios", "8"), ("--match", "flops")):
        assert_refused(claimed(runs, *words), "claim 1 comes after its outcome")


def test_the_page_of_a_fresh_claim_keeps_the_old_one(runs: Path) -> None:
    result = claimed(runs, seeds="20-21", by=1)
    assert result.status == 0, result.err
    assert "1 claims that this run does not make stay" in " ".join(result.out.split())
    old, new = description(runs)["claims"]
    assert (old["seeds"], new["seeds"]) == ([10, 11], [20, 21])
    assert old["written"] <= new["written"]


def test_published_records_count_as_seen_unless_their_suite_made_the_claim(runs: Path) -> None:
    assert bench("leaderboard", "--runs", runs).status == 0  # into leaderboards/, where runs look
    fresh = runs.parent / "fresh"
    result = claimed(fresh, sentence="*any* weights | beat none")
    assert result.status == 0, result.err
    assert description(fresh)["claims"] == description(runs)["claims"]  # with the first date
    assert_refused(claimed(Path("another"), by=3), "claim 1 comes after", "leaderboards")
    assert not Path("another").exists()
    assert claimed(Path("another"), "--dry-run", seeds="12-13", by=3).status == 0


def test_records_of_another_method_task_or_seed_are_no_outcome(runs: Path) -> None:
    for record in Store(runs).records():
        if record.cell["method"] == "random-mask":
            cell = record.cell | {"task": "demo-similarity"}
            path = runs / record.id / "record.json"
            path.write_text(json.dumps(record.to_json() | {"cell": cell}))
        if record.cell["method"] == "majority":
            shutil.rmtree(runs / record.id)
    assert claimed(runs, "--dry-run", by=1).status == 0  # dense alone is left of that task
    assert_refused(claimed(runs, "--dry-run", worse="dense", by=1), "a record of dense")
