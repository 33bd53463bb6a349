"""Methods and tasks of plugins: what is broken is named and hurts nothing else."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from harness import QUICK, ROOT, bench, quick
from refusals import assert_refused

from bench import registry
from bench.files import read_toml

pytestmark = pytest.mark.usefixtures("empty_place")


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
        works_from_no="unruly:WorksFromNo",
        works_backwards="unruly:WorksBackwards",
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
        "works-from-no": "info.works_from is not what it should be",
        "works-backwards": "info.works_from is a number of steps: 0 or more",
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


def test_what_a_module_sets_when_it_is_imported_is_put_back(plugin, tmp_path: Path) -> None:
    """Whoever plans and lists is that process, too; what it raises may be of any kind."""
    (tmp_path / "site/sets.py").write_text(
        "import os, torch\n"
        "os.chdir('/')\nos.umask(0o777)\nos.environ['OMP_NUM_THREADS'] = '64'\n"
        "torch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)\n"
        "raise GeneratorExit\n"
    )
    plugin("bad-one", sets="sets:Method")
    before, place = dict(os.environ), Path.cwd()
    result = bench("methods", "--json")
    (broken,) = json.loads(result.out)["broken"]
    assert (result.status, broken["reason"]) == (0, "sets:Method cannot be imported: GeneratorExit")
    assert (Path.cwd(), dict(os.environ)) == (place, before)
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o400
    assert torch.ones(1, requires_grad=True).mul(2).requires_grad
    assert torch.get_default_dtype() == torch.float32


def test_what_a_module_prints_when_it_is_imported_is_no_part_of_ours(plugin, tmp_path) -> None:
    (tmp_path / "site/prints.py").write_text("print('{')\nfrom unruly import Counted\n")
    plugin("chatty", counted="prints:Counted")
    result = bench("methods", "--json")
    assert "counted" in {method["name"] for method in json.loads(result.out)["methods"]}
    assert result.err == "{\n"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("requires={1: 2}", "requires"), ("requires={'x': None}", "requires"),
        ("families=(1,)", "families"), ("revised_after=(None,)", "revised_after"),
        ("version=10**5000", "version"), ("version=True", "version"),
    ],
)  # fmt: skip
def test_what_a_method_says_of_itself_is_looked_at_inside(
    said, field, plugin, tmp_path, monkeypatch
) -> None:
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    (tmp_path / "site/odd.py").write_text(
        "from dataclasses import replace\nfrom unruly import Counted\n"
        f"class Odd(Counted):\n    info = replace(Counted.info, name='odd', {said})\n"
    )
    plugin("odd-one", odd="odd:Odd")
    result = bench("methods", "--json")
    (broken,) = json.loads(result.out)["broken"]
    assert broken["reason"].startswith(f"Odd.info.{field} is not what it should be")


@pytest.mark.parametrize("said", ["raise RuntimeError", "raise SystemExit(9)", "print('{')"])
def test_what_a_method_requires_may_fail_in_any_way(said, plugin, tmp_path, monkeypatch) -> None:
    """The package that a module should lie in is imported to look for it."""
    for name in ("needed", "needs"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / "site/needed.py").write_text(f"{said}\n")
    (tmp_path / "site/needs.py").write_text(
        "from dataclasses import replace\nfrom unruly import Counted\n"
        "class Needs(Counted):\n"
        "    info = replace(Counted.info, name='needs', requires={'needed.part': 'pip it'})\n"
    )
    plugin("needy", needs="needs:Needs")
    result = bench("methods", "--json")
    listed = {method["name"]: method for method in json.loads(result.out)["methods"]}
    assert (result.status, listed["needs"]["missing"]) == (0, {"needed.part": "pip it"})


def test_doctor_names_every_extra_and_the_line_that_brings_it(monkeypatch) -> None:
    known = importlib.metadata.version

    def without_mlflow(name: str) -> str:
        if name == "mlflow-skinny":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"trackio": "0.1", "wandb": "99.0"}.get(name) or known(name)

    monkeypatch.setattr(importlib.metadata, "version", without_mlflow)
    lines = bench("doctor").out.splitlines()
    said = {words[0]: " ".join(words[1:]) for line in lines if (words := line.split())}
    declared = read_toml(ROOT / "pyproject.toml")["project"]
    extras = declared["optional-dependencies"].keys() - {"all", "dev"}
    for extra in extras:
        assert said[extra] in ("installed", f"pip install 'prunebench[{extra}]'")
    assert said["mlflow"] == "pip install 'prunebench[mlflow]'"
    assert said["trackio"] == "pip install 'prunebench[trackio]'"  # which is too old
    assert said["wandb"] == "installed"


@pytest.mark.skipif(find_spec("pip") is None, reason="there is no pip")
def test_doctor_installs_what_a_method_lacks_by_its_own_line(
    plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, wheel = tmp_path / "source", "nobody_has-1.0-py3-none-any.whl"
    source.mkdir()
    with zipfile.ZipFile(source / wheel, "w") as archive:
        archive.writestr("nobody_has/__init__.py", "")
        archive.writestr("nobody_has/this.py", "")
        about = "nobody_has-1.0.dist-info/"
        archive.writestr(
            f"{about}METADATA", "Metadata-Version: 2.1\nName: nobody-has\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{about}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}RECORD", "")
    plugin("good-one", needy="unruly:Needy")
    assert "missing: nobody_has.this. Install it with: pip install it" in bench("doctor").out
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    refused = bench("doctor", "--fix")
    assert_refused(refused, "pip has failed; its messages are above. The line was: pip install it")
    line = f"pip install --no-deps --no-index --target {tmp_path / 'site'} {source / wheel}"
    info = registry.methods.get("needy").info
    monkeypatch.setitem(info.requires, "nobody_has.this", line)
    fixed = bench("doctor", "--fix")
    assert (fixed.status, "nothing is missing" in fixed.out) == (0, True), fixed.err
    monkeypatch.setitem(info.requires, "nobody_has.that", "sh -c true")
    assert_refused(bench("doctor", "--fix"), "run this yourself, since it is not a line of pip")


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


def test_a_method_that_leaves_when_it_is_asked_what_to_tune_is_refused(plugin, tmp_path) -> None:
    plugin("bad-one", abrupt="unruly:Abrupt")
    place = Path.cwd()
    said = "abrupt cannot say what to tune: SystemExit: 3"
    assert_refused(quick(tmp_path, methods="abrupt"), said)
    assert Path.cwd() == place


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
