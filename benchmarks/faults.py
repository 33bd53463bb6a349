"""What comes of a run on a Ray cluster when its workers, nodes and driver fail.

    python benchmarks/faults.py [FAULT …]

A small suite of the demo is run in worker processes of this machine, and then on a cluster of
several Ray nodes, which are started here one by one and see neither the run folder nor the encoder.
Its method `slow` is of a plugin that only the driver has. Each fault is made in a run of its own,
while a cell of that method is computed. As root, on Linux; `libfaketime` sets a node's clock, with
a C compiler.

Printed: a row a fault, for docs/scale.md. Wanted: every record is there once, and says the same as
that of the undisturbed run but for times and memory. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faulty_runs import PATIENCE_S, Bench, Seen, Trial, judged, outcomes
from ray_nodes import RayCluster, wait_until

from bench.data.tasks.demo import demo_encoder_path
from bench.results.store import Store

CLOCK = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

SLEEP = """
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until,
                    struct timespec *left) {
  return syscall(SYS_clock_nanosleep, clock, flags, until, left) ? errno : 0;
}
"""
"""libfaketime 0.9.10 moves the end of a sleep into the past, by whatever clock: it fails."""

Fault = Callable[[Bench, RayCluster, dict[str, Any]], Seen]


def undisturbed(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """Nothing happens."""
    trial = Trial(bench, cluster)
    begin = time.monotonic()
    trial.end()
    seen = Seen("none; nothing shared, and a plugin that only the driver has")
    seen.seen = f"done in {time.monotonic() - begin:.0f} s"
    return judged(seen, trial, wanted)


def worker_killed(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """SIGKILL to the process that computes a cell."""
    trial = Trial(bench, cluster)
    _, worker = trial.reach(1)
    worker.kill()
    trial.end()
    return judged(Seen("a worker killed in a cell", "begun anew at once, done"), trial, wanted)


def node_killed(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """SIGKILL to all processes of a node."""
    trial = Trial(bench, cluster)
    node, _ = trial.reach(1)
    node.end()
    cluster.nodes.remove(node)
    trial.end()
    cluster.add()
    return judged(Seen("a node killed", trial.notes() or "begun anew, done"), trial, wanted)


def node_frozen(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """SIGSTOP to all processes of a node: to others, a machine that has vanished."""
    trial = Trial(bench, cluster)
    node, _ = trial.reach(1)
    node.signal(signal.SIGSTOP)
    begin = time.monotonic()
    said = ""
    lost = lambda: any(n["state"] == "lost" for n in _nodes(trial))  # noqa: E731
    took = wait_until(lambda: lost() or trial.process.poll() is not None, 300, "the loss")
    trial.end()
    said = (
        f"told after {took:.0f} s, begun anew; done {time.monotonic() - begin:.0f} s after the stop"
    )
    node.end()
    cluster.nodes.remove(node)
    cluster.add()
    return judged(Seen("a node frozen (SIGSTOP)", said), trial, wanted)


def _nodes(trial: Trial) -> list[dict[str, Any]]:
    try:
        return list(json.loads((trial.runs / "nodes.json").read_text())["nodes"])
    except (OSError, ValueError):
        return []


def node_added(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A second node comes while the first computes."""
    gone = cluster.nodes[-1]
    gone.end()
    cluster.nodes.remove(gone)
    time.sleep(20)  # until Ray knows
    trial = Trial(bench, cluster)
    trial.reach(1)
    begin = time.monotonic()
    added = cluster.add()
    used = wait_until(
        lambda: added.workers() or trial.process.poll() is not None, PATIENCE_S, "the new node"
    )
    trial.end()
    seen = Seen("a node added in mid-run", f"computes {used:.0f} s after 'ray start'")
    if trial.process.returncode == 0 and time.monotonic() - begin < used:
        seen.wrong = "it was not used"
    return judged(seen, trial, wanted)


def driver_killed(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """SIGKILL to the command, which is then given again."""
    trial = Trial(bench, cluster)
    trial.reach(1)
    kept = {record.id: record.created for record in Store(trial.runs).records()}
    os.killpg(trial.process.pid, signal.SIGKILL)
    trial.process.communicate()
    took = wait_until(lambda: not trial.busy(), 60, "the end of the workers")
    trial.process = trial.start()
    trial.end()
    now = {record.id: record.created for record in Store(trial.runs).records()}
    seen = Seen(
        "the driver killed, and started again",
        f"workers gone after {took:.0f} s; the same command went on, {len(kept)} finished cells "
        "stayed as they were",
    )
    if any(now.get(cell) != created for cell, created in kept.items()):
        seen.wrong = "a finished cell was run again"
    return judged(seen, trial, wanted)


def memory_out(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A node whose every worker is ended by Ray's monitor of memory."""
    node = cluster.add(RAY_memory_usage_threshold="0.01", RAY_memory_monitor_refresh_ms="500")
    time.sleep(3)
    trial = Trial(bench, cluster)
    trial.end()
    node.end()
    cluster.nodes.remove(node)
    said = trial.notes() or "what it was at is begun elsewhere"
    return judged(
        Seen("a node without memory (Ray's monitor ends its workers)", said), trial, wanted
    )


def deadly_cell(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A method that kills its process wherever it runs."""
    trial = Trial(bench, cluster, "--methods", "deadly")
    trial.end()
    failed = [r for r in Store(trial.runs).records() if r.status == "failed"]
    said = [re.sub(r"node [\d.]+ \(\w+\)", "node …", r.error["message"]) for r in failed if r.error]
    seen = Seen("a cell that kills its worker", f'failed, recorded once: "{"; ".join(said)}"')
    if trial.process.returncode != 1 or len(failed) != 1:
        seen.wrong = f"exit status {trial.process.returncode}, {len(failed)} failed: {trial.err}"
    return seen


def refused(fault: str, trial: Trial, begin: float, names: str) -> Seen:
    """What came of a command that should be refused before anything runs."""
    trial.end()
    said = trial.err.strip().rpartition("\n")[2]
    said = re.sub(r"[\d.]+ \((\w+)\)", "…", re.sub(r"\b(192|127)[\d.]+ has", "… has", said))
    seen = Seen(fault, f'refused after {time.monotonic() - begin:.0f} s: "{said}"')
    if trial.process.returncode != 2 or not re.search(names, said) or trial.records():
        seen.wrong = f"exit status {trial.process.returncode}"
    return seen


def no_such_node(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """More cores than any node has."""
    begin = time.monotonic()
    trial = Trial(bench, cluster, "--threads", "64")
    return refused("a request that no node can meet", trial, begin, "no node has them")


def other_bench(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A node whose bench has one more line."""
    import bench as installed

    other = cluster.folder / "other"
    shutil.copytree(Path(installed.__file__).parent, other / "bench")
    with (other / "bench" / "shown.py").open("a") as file:
        file.write("# another version\n")
    node = cluster.add(PYTHONPATH=str(other))
    time.sleep(3)
    begin = time.monotonic()
    trial = Trial(bench, cluster)
    seen = refused("a node with another bench", trial, begin, "has bench .* this machine bench")
    node.end()
    cluster.nodes.remove(node)
    time.sleep(20)
    return seen


def other_clock(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A node that lives a month ahead."""
    if not Path(CLOCK).exists() or shutil.which("cc") is None:
        return Seen("clocks that differ", "not tried: no libfaketime, or no C compiler")
    sleep = cluster.folder / "sleep.so"  # nodes do not see bench.folder
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(sleep), "-x", "c", "-"], input=SLEEP,
                   text=True, check=True)  # fmt: skip
    node = cluster.add(LD_PRELOAD=f"{sleep}:{CLOCK}", FAKETIME="+30d",
                       FAKETIME_DONT_FAKE_MONOTONIC="1")  # fmt: skip
    time.sleep(20)
    trial = Trial(bench, cluster)
    used: list[Any] = []
    wait_until(lambda: used.extend(node.workers()) or trial.process.poll() is not None,
               PATIENCE_S, "the end")  # fmt: skip
    trial.end()
    node.end()
    cluster.nodes.remove(node)
    dates = {record.created[:7] for record in Store(trial.runs).records()}
    seen = Seen("a node whose clock is 30 days ahead", "used, done; records have the driver's date")
    if not used or dates != {time.strftime("%Y-%m")}:
        seen.wrong = f"used: {bool(used)}; dates: {dates}; {trial.notes()}"
    return judged(seen, trial, wanted)


def disk_full(bench: Bench, cluster: RayCluster, wanted: dict[str, Any]) -> Seen:
    """A node whose temporary folder has no room."""
    node = cluster.add(disk="100k")
    time.sleep(3)
    trial = Trial(bench, cluster)
    trial.end()
    node.end()
    cluster.nodes.remove(node)
    seen = Seen("a node's disk full", trial.notes())
    if "used no more" not in seen.seen:
        seen.wrong = "nothing was said"
    return judged(seen, trial, wanted)


FAULTS: dict[str, Fault] = {
    one.__name__: one
    for one in (undisturbed, worker_killed, node_killed, node_frozen, driver_killed, deadly_cell,
                no_such_node, other_bench, memory_out, other_clock, disk_full, node_added)
}  # fmt: skip


def main() -> int:
    """Makes the faults that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", help=f"of {', '.join(FAULTS)}; default all")
    chosen = parser.parse_args().faults or list(FAULTS)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        bench = Bench(Path(folder))
        local = bench.folder / "local"
        process = bench.start(local, "--workers", "1")
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
        wanted = outcomes(local)
        (bench.folder / "runs").mkdir()
        with RayCluster(hidden=[bench.folder, demo_encoder_path()]) as cluster:
            cluster.add()
            cluster.add()
            rows = []
            print("| fault | seen | records as undisturbed |\n| --- | --- | --- |", flush=True)
            for name in chosen:
                try:
                    seen = FAULTS[name](bench, cluster, wanted)
                except (TimeoutError, RuntimeError, subprocess.TimeoutExpired) as error:
                    seen = Seen(name, wrong=f"{type(error).__name__}: {error}")
                finally:
                    bench.end()
                rows.append(seen)
                print(seen.row(), flush=True)
    return int(any(seen.wrong for seen in rows))


if __name__ == "__main__":
    sys.exit(main())
