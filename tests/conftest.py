"""What all tests share: one thread, and plugins that exist only while a test runs."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # the same digits and no waiting for cores on any machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the most slow tests come first, then those with the most tests.

    A long one at the end would have a core to itself, and the other core nothing to do.
    """
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (-slow[item.path], -tests[item.path]))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A run sets torch's threads for all that comes after it, in whatever test."""
    yield
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs packages with methods or, as a second argument says, another group of entry points.

    `plugin("distribution", name="module:Class", …)`, `plugin("distribution", "bench.tasks", …)`.
    """
    import harness

    from bench import registry
    from bench.compression.method import Method, MethodInfo
    from bench.data.task import Task, TaskInfo

    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    before = os.environ.get("PYTHONPATH", "")
    path = [str(site), str(Path(__file__).parent), *filter(None, [before])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))

    def installer(distribution: str, group: str = "bench.methods", **points: str) -> None:
        harness.install(site, distribution, group, **points)
        methods = registry.Registry("bench.methods", Method, MethodInfo)  # type: ignore[type-abstract]
        tasks = registry.Registry("bench.tasks", Task, TaskInfo)  # type: ignore[type-abstract]
        monkeypatch.setattr(registry, "methods", methods)
        monkeypatch.setattr(registry, "tasks", tasks)

    return installer


@pytest.fixture
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def short_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets engines run a few times instead of for seconds."""
    from bench.deploy import latency

    monkeypatch.setattr(latency, "THOROUGH", latency.Pace(rounds=3, seconds=0.002))


@pytest.fixture
def unruly(
    tmp_path: Path, plugin: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Installs the methods of `unruly.py` and `untidy.py`; yields the folder that they talk by."""
    import unruly
    import untidy

    folder = tmp_path / "unruly"
    folder.mkdir()
    monkeypatch.setenv("UNRULY", str(folder))
    plugin(
        "unruly-methods",
        **{
            method.info.name.replace("-", "_"): f"{module.__name__}:{method.__name__}"
            for module in (unruly, untidy)
            for method in module.ALL
        },
    )
    yield folder
    (folder / "open").touch()  # whatever still waits goes on


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of three methods with two seeds, for who only reads it."""
    import harness

    folder = tmp_path_factory.mktemp("finished") / "runs"
    methods = "magnitude,random-mask,majority"
    result = harness.quick(folder, "--seeds", "2", methods=methods, probed=True)
    assert result.status == 0, result.err
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """The same, for who writes into it."""
    return Path(shutil.copytree(finished, tmp_path / "runs"))
