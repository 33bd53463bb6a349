"""Runs on a cluster that `faults.py` disturbs, and what came of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import disturbed
from disturbed import MAIN, kill
from ray_nodes import RayCluster, RayNode, wait_until

from bench.results.store import Store

SUITE = (
    "--tasks", "demo-sentiment", "--methods", "magnitude,slow", "--ratios", "4", "--epochs", "1",
    "--max-train-samples", "300", "--trials", "0", "--seeds", "1", "--no-latency",
)  # fmt: skip

PATIENCE_S = 1800

PLUGIN = """
import os, signal, time
import bench


def info(name):
    return bench.MethodInfo(name=name, summary="waits", kind="unstructured", removes="weights",
                            starts_from="pretrained")


class Slow(bench.Method):
    info = info("slow")

    def compress(self, run, params):
        self.wait()
        model = run.pretrained()
        pruner = bench.GradualPruner(model, density=run.target.density(model))
        run.train(model, loss=bench.task_loss, params=params, callbacks=[pruner])
        return pruner.finish()

    def wait(self):
        time.sleep(8)


class Deadly(Slow):
    info = info("deadly")

    def wait(self):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Seen:
    """What came of a fault."""

    fault: str
    seen: str = ""
    wrong: str = ""

    def row(self) -> str:
        """Its row of the table."""
        return f"| {self.fault} | {self.seen} | {self.wrong or 'yes'} |"


class Bench:
    """Where commands run, and what the suite comes to undisturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = folder / "site"
        described = site / "bench_faults-1.0.dist-info"
        described.mkdir(parents=True)
        (site / "bench_faults.py").write_text(PLUGIN)
        (described / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: bench-faults\nVersion: 1.0\n"
        )
        (described / "entry_points.txt").write_text(
            "[bench.methods]\nslow = bench_faults:Slow\ndeadly = bench_faults:Deadly\n"
        )
        self.site = site
        self.number = 0
        self.started: list[subprocess.Popen[str]] = []

    def start(self, runs: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
        """Starts the suite in a folder."""
        command = [sys.executable, "-c", MAIN, "run", *SUITE, "--runs", str(runs), *words]
        path = os.pathsep.join([str(self.site), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path, **variables}
        process = subprocess.Popen(command, text=True, env=environment, cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip
        self.started.append(process)
        return process

    def end(self) -> None:
        """Ends the commands that still run, as where one of them hangs."""
        for process in self.started:
            if process.poll() is None:
                kill(process)

    def fresh(self) -> Path:
        """A run folder that is not there yet."""
        self.number += 1
        return self.folder / "runs" / str(self.number)


class Trial:
    """One run on the cluster, which is disturbed."""

    def __init__(self, bench: Bench, cluster: RayCluster, *words: str) -> None:
        self.bench, self.cluster, self.words = bench, cluster, words
        self.runs = bench.fresh()
        self.process = self.start()
        self.out = self.err = ""

    def start(self) -> subprocess.Popen[str]:
        """Starts the command, or starts it again."""
        token = {k: v for k, v in self.cluster.environment.items() if k.startswith("RAY_AUTH")}
        words = ("--on", self.cluster.address, *self.words)
        return self.bench.start(self.runs, *words, **token)

    def records(self) -> int:
        """How many cells are done."""
        return sum(1 for _ in Store(self.runs).records()) if self.runs.exists() else 0

    def busy(self) -> list[tuple[RayNode, Any]]:
        """Worker processes that compute, and their nodes."""
        return [(n, w) for n in self.cluster.nodes[1:] for w in n.workers()]

    def reach(self, records: int) -> tuple[RayNode, Any]:
        """Waits until so many cells are done and another is computed; where that is."""

        def met() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"ended early: {self.process.communicate()}")
            return self.records() >= records and bool(self.busy())

        wait_until(met, PATIENCE_S, "a cell that is computed")
        time.sleep(2)  # into its wait
        found = self.busy()
        return found[0] if found else self.reach(records)

    def end(self) -> int:
        """Waits for the command; its exit status."""
        self.out, self.err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def notes(self) -> str:
        """What it said of nodes, without their addresses."""
        found = re.findall(r"note: (node .*)", self.out + self.err)
        return "; ".join(re.sub(r" 192[.\d]+| 127[.\d]+", "", note) for note in found)


def outcomes(runs: Path) -> dict[str, dict[str, Any]]:
    """What records say, but for the checkout: nodes lack the encoder in it, so it has changed."""
    found = disturbed.outcomes(runs)
    for said in found.values():
        said["environment"] = {k: v for k, v in said["environment"].items() if k != "git"}
    return found


def judged(seen: Seen, trial: Trial, wanted: dict[str, Any], status: int = 0) -> Seen:
    """Compares records with those of the undisturbed run."""
    found = outcomes(trial.runs)
    if trial.process.returncode != status:
        seen.wrong = f"exit status {trial.process.returncode}: {trial.err[-300:]!r}"
    elif found != wanted:
        seen.wrong = (
            f"{len(found)} records, {sum(found.get(k) != v for k, v in wanted.items())} differ"
        )
    left = list(trial.runs.glob(".arriving-*"))
    if left and not seen.wrong:
        seen.wrong = f"left: {left}"
    return seen
