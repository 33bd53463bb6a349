"""What is installed: names of our own alone, and the same registry however it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from harness import ROOT

KINDS = ("wheel", "sdist", "editable")
SOURCES = ("bench", "methods", "baselines", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is packed: a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy(source, copy)
    return copy


def build(kind: str, source: Path, out: Path) -> Path:
    """Builds a wheel, an sdist or an editable wheel as pip would have it built."""
    code = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out / done.stdout.strip().splitlines()[-1]


def test_a_wheel_brings_no_name_that_is_not_ours(checkout: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", checkout, tmp_path)) as wheel:
        names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "bench", "bench_methods", "bench_baselines",
    }  # fmt: skip
    packed = {name for name in names if name.startswith("bench/")}
    there = {
        str(path.relative_to(checkout))
        for path in (checkout / "bench").rglob("*")
        if path.is_file()
    }
    assert packed == there  # no room was forgotten in pyproject.toml


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_registry_is_the_same_however_it_is_installed(
    kind: str, checkout: Path, tmp_path: Path
) -> None:
    """In an environment with msgspec and nothing else, which a listing has to do with."""
    source = checkout
    if kind == "sdist":
        with tarfile.open(build("sdist", checkout, tmp_path)) as archive:
            archive.extractall(tmp_path / "unpacked", filter="data")
        (source,) = (tmp_path / "unpacked").iterdir()
    wheel = build("editable" if kind == "editable" else "wheel", source, tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "-q", "--python", python, "install", "--no-deps",
                    wheel], check=True)  # fmt: skip
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    shutil.copytree(Path(msgspec.__file__).parent, site / "msgspec")
    listed = {}
    for what in ("methods", "tasks"):
        done = subprocess.run([python.with_name("bench"), what, "--json"], cwd=tmp_path,
                              capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        listed[what] = json.loads(done.stdout)
    assert [entry["name"] for entry in listed["methods"]["methods"]] == [
        "block-movement", "cap", "cofi", "dense", "dman", "encoder-floor", "gmp", "int8",
        "knowledge-aware", "magnitude", "majority", "minilm", "movement", "obert",
        "one-shot-magnitude", "one-shot-wanda",
        "platon", "prune-ofa", "random-mask", "small-dense", "soft-movement", "text-floor",
        "textpruner", "tinybert",
    ]  # fmt: skip
    assert len(listed["tasks"]["tasks"]) == 14
    assert not listed["methods"]["broken"] + listed["tasks"]["broken"]
    for name in ("methods", "baselines"):
        done = subprocess.run([python, "-I", "-c", f"import {name}"], capture_output=True,
                              cwd=tmp_path, check=False)  # fmt: skip
        assert done.returncode != 0, f"{name} is a top-level name"
