"""Rules of the house that no linter holds: what imports nothing heavy, how long a file may be."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from harness import ROOT

import bench.results
from bench.runs.processes import PRELOADED

FOLDERS = ("bench", "methods", "baselines", "tests", "benchmarks")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LINES = 400
LONGER = {"bench/deploy/kernels.py"}  # compiled code is kept by the file
PACKAGES = [path for path in FILES if path.name == "__init__.py"]
SPEAK = {"bench/__init__.py"}  # the public face

LIGHT = [
    *(f"bench.runs.{name}" for name in (
        "launch", "command", "request", "names", "plan", "suite", "schedule", "executor",
        "processes",
    )),
    *(f"bench.runs.cells.{name}" for name in (
        "cell", "context", "parameters", "design", "study", "tuning", "carried", "claim",
    )),
    *(f"bench.results.{found.name}" for found in pkgutil.iter_modules(bench.results.__path__)),
    "bench.api", "bench.arguments", "bench.found", "bench.progress", "bench.registry",
    "bench.metrics",
    *(f"bench.compression.{name}" for name in ("method", "params", "target")),
    *(f"bench.data.{name}" for name in ("task", "splits")),
    *(f"bench.data.tasks.{name}" for name in ("rows", "table", "glue", "demo")),
    *(f"bench.models.{name}" for name in ("families", "folder", "checkpoint", "auto_classes")),
]  # fmt: skip
"""What a command imports before it says what it will do, and a worker before it is asked to."""


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_what_plans_a_run_imports_nothing_heavy() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {LIGHT}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} imports {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_importing_bench_imports_nothing_of_others() -> None:
    """And of its own only what it hands on: whoever writes a method pays for what it uses."""
    code = (
        "import sys; before = set(sys.modules); import bench\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert tops - sys.stdlib_module_names == {'bench'}, tops - sys.stdlib_module_names\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('bench.')}\n"
        "known = {'checksums', 'compression', 'data', 'errors', 'files', 'inputs', 'models',\n"
        "         'parquet', 'protocol', 'shown'}\n"
        "assert rooms <= known, rooms - known\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("name", PRELOADED)
def test_what_workers_are_forked_with_is_there(name: str) -> None:
    """The server that forks them passes over what it cannot import, and says nothing."""
    assert find_spec(name) is not None


BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=[path.stem for path in BENCHMARKS])
def test_what_benchmarks_import_of_bench_is_there(path: Path) -> None:
    """They run by hand, and seldom: a name that has moved would be met too late."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bench":
            module = importlib.import_module(node.module or "")
            for name in (alias.name for alias in node.names):
                is_module = hasattr(module, "__path__") and find_spec(f"{node.module}.{name}")
                assert is_module or hasattr(module, name), f"{node.module}.{name}"


def test_no_file_is_longer_than_one_can_keep_in_mind() -> None:
    long = [path for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > LINES]
    assert set(names(long)) <= LONGER


@pytest.mark.parametrize("name", sorted({*names(PACKAGES)} - SPEAK))
def test_a_packages_init_is_a_docstring_alone(name: str) -> None:
    """Names are handed on by `bench` alone."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    assert len(tree.body) == 1
    assert ast.get_docstring(tree)


LIBRARY = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tests"]
REMOVALS = {"rmtree", "unlink", "rmdir", "removedirs", "os.remove"}
REMOVE = {"bench/files.py", "bench/checksums.py"}
"""The one with the function, and one below it, for its own temporary file."""


def removals(text: str) -> list[str]:
    """What in a program takes files away by itself."""
    calls = [ast.unparse(n.func) for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
    return [name for name in calls if {name, name.rpartition(".")[2]} & REMOVALS]


@pytest.mark.parametrize("name", [n for n in names(LIBRARY) if n.startswith("bench/")])
def test_files_are_removed_by_the_one_function_that_looks_where_they_lie(name: str) -> None:
    assert bool(removals((ROOT / name).read_text(encoding="utf-8"))) == (name in REMOVE)


PICKLES = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNS = {"eval", "exec", "compile", "__import__"}
SCRIPTS = {"load_dataset", "load_metric", "read_pickle"}
UNTRUSTED = "trust_remote_code=False"
HAVE_TO_SAY = {"from_pretrained": UNTRUSTED, "from_config": UNTRUSTED,
               "torch.load": "weights_only=True"}  # fmt: skip


def code_from_data(text: str) -> list[str]:
    """What in a program could run code that lies in data."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None) or "", *(name.name for name in node.names)]
            found += [name for name in modules if name.partition(".")[0] in PICKLES]
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            words = [ast.unparse(keyword) for keyword in node.keywords]
            rule = HAVE_TO_SAY.get(called, HAVE_TO_SAY.get(last))
            if rule is not None and rule not in words:
                found.append(f"{called} without {rule}")
            if called in {*RUNS, "evaluate.load"} or last in SCRIPTS:
                found.append(called)
            found += [word for word in words if word == "allow_pickle=True"]
    return found


@pytest.mark.parametrize("name", names(LIBRARY))
def test_nothing_that_is_read_is_run(name: str) -> None:
    """No code of a model folder, no pickle, no text as a program."""
    assert not code_from_data((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "exec(text, {})",
        "AutoModel.from_pretrained(folder)",
        "AutoModel.from_pretrained(folder, trust_remote_code=True)",
        "AutoModel.from_config(config, dtype=None)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "datasets.load_dataset(name)",
        "evaluate.load(name)",
        "np.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
    ],
)
def test_what_would_run_it_is_found(line: str) -> None:
    assert code_from_data(line)
    allowed = "model.eval(); re.compile(x); torch.load(path, weights_only=True); json.load(file)"
    assert not code_from_data(allowed)
