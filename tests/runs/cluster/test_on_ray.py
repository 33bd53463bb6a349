"""A run on real Ray nodes, which see none of its folders, as one of them and the driver die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import QUICK, outcomes, quick, start

from bench.results.store import Store

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from ray_nodes import RayCluster, wait_until

pytest.importorskip("ray", reason="the extra ray is not installed")

pytestmark = pytest.mark.slow

SUITE = ("--trials", "0", "--seeds", "2", "--methods", "magnitude,movement")
PATIENCE_S = 600


def _hides() -> bool:
    """Whether a node's view of the disk can be another one: as root, on Linux."""
    command = ["unshare", "--mount", "true"]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RayCluster]:
    with RayCluster(hidden=[tmp_path] if _hides() else []) as cluster:
        cluster.add()
        cluster.add()
        yield cluster


def command(runs: Path, cluster: RayCluster) -> subprocess.Popen[str]:
    token = {name: v for name, v in cluster.environment.items() if name.startswith("RAY_AUTH")}
    words = ("run", *QUICK[: QUICK.index("--workers")], "--no-latency", *SUITE, "--runs", runs)
    return start(*words, "--on", cluster.address, **token)


def done(runs: Path) -> dict[str, str]:
    return {r.id: r.created for r in Store(runs).records()} if runs.exists() else {}


def page(runs: Path) -> list[str]:
    """Its page, but for the command that it says."""
    lines = (runs / "demo.md").read_text().splitlines()
    return [line for line in lines if not line.startswith("bench run ")]


def computing(cluster: RayCluster, process: Any) -> bool:
    assert process.poll() is None, process.communicate()
    return any(node.workers() for node in cluster.nodes)


def test_a_node_and_the_driver_are_killed_and_nothing_is_lost_nor_other(
    tmp_path: Path, cluster: RayCluster
) -> None:
    local, runs = tmp_path / "local", tmp_path / "runs"
    assert quick(local, *SUITE[:-2], methods=SUITE[-1], probed=True).status == 0
    with command(runs, cluster) as process:
        wait_until(lambda: done(runs) and computing(cluster, process), PATIENCE_S, "a first cell")
        cluster.nodes[-1].end()
        before = len(done(runs))
        wait_until(
            lambda: len(done(runs)) > before and computing(cluster, process), PATIENCE_S, "one more"
        )
        finished = done(runs)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    wait_until(lambda: not any(node.workers() for node in cluster.nodes), 60, "the workers' end")
    with command(runs, cluster) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, "Traceback" in err) == (0, False), out + err
    assert outcomes(runs) == outcomes(local)
    assert finished.items() <= done(runs).items()
    assert page(runs) == page(local)
    assert not list(runs.glob(".arriving-*"))
