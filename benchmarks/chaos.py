"""Whether a run survives what happens to it: kills, damaged files, disks, many commands at once.

    python benchmarks/chaos.py [--kills 100] [--worker-kills 20] [--damages 200] [--seed 0]

One small suite of the demo, with tuning and with two workers, is run undisturbed. The same suite is
then disturbed, at moments and in files that the seed draws, and run again until it is done:

- kills of the whole process group, and of single workers, while cells run;
- damages, one each: a flipped bit, a cut, an empty file, a changed digit, over every kind of file
  that a run folder has and over published pages. What other files are made from is damaged with the
  cells' own folders gone, so that it is used again;
- a disk that is read-only, and one that is full, in the middle (as root, on Linux);
- as many commands at once as `--crowds` says.

Printed: a table of what was done, and of what went wrong. Wanted: nothing lost (a finished cell is
there at the end, as it was), no silent difference (all that records say but time and memory equals
the undisturbed run, unless a line says what is wrong), no traceback. Exit status 1 otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from damages import damages, page_damages
from disturbed import SUITE, Tally, bench, compare, ended, finished, kill, outcomes

from bench.results.store import Store


def children(process: int) -> list[int]:
    """The processes that one has started, and those that they have."""
    try:
        own = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid for child in map(int, own) for pid in (child, *children(child))]


def workers(process: int) -> list[int]:
    """The worker processes of a command: what its process for forking has forked."""
    return [
        worker
        for child in children(process)
        if b"forkserver" in _command_line(child)
        for worker in children(child)
    ]


def _command_line(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for_cells(runs: Path, process: subprocess.Popen[str]) -> bool:
    """Waits until a cell or a trial of the command has begun; whether it did before the end."""
    begin = time.time()
    while process.poll() is None:
        logs = [*runs.glob("*/*log.txt"), *runs.glob("*/.log.txt"), *runs.glob("tuning/*/*.log")]
        for log in logs:
            with contextlib.suppress(FileNotFoundError):
                if log.stat().st_mtime >= begin - 0.05:
                    return True
        time.sleep(0.02)
    return False


def kills(count: int, draw: random.Random, place: Path, wanted: Mapping[str, Any],
          longest: float) -> Tally:  # fmt: skip
    """Kills the whole group at random moments while cells run, until there were so many kills."""
    tally = Tally("kill of the process group")
    folder = 0
    while tally.made < count:
        folder += 1
        runs, kept = place / f"killed-{folder}", {}
        while True:
            process = bench("run", *SUITE, "--runs", runs)
            if tally.made < count and wait_for_cells(runs, process):
                # Half of the pauses are short: what a start does first is met more often.
                time.sleep(draw.random() * longest * draw.choice((0.2, 1.0)))
                if process.poll() is None:
                    kill(process)
                    tally.made += 1
                    kept = {**finished(runs), **kept}
                    continue
            status, said = ended(process, tally)
            if status != 0:
                tally.wrong.append(f"status {status} after a kill: {said}")
            break
        compare(runs, wanted, kept, tally)
        shutil.rmtree(runs)
    return tally


def worker_kills(count: int, draw: random.Random, place: Path, wanted: Mapping[str, Any],
                 longest: float) -> Tally:  # fmt: skip
    """Kills single workers while cells run; what they were at is a failure that can be rerun."""
    tally = Tally("kill of one worker")
    folder = 0
    while tally.made < count:
        folder += 1
        runs = place / f"worker-{folder}"
        process = bench("run", *SUITE, "--runs", runs)
        begun = tally.made
        while tally.made < count and wait_for_cells(runs, process):
            time.sleep(draw.random() * longest * 0.3)
            found = workers(process.pid)
            if process.poll() is None and found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(draw.choice(found), signal.SIGKILL)
                    tally.made += 1
        status, said = ended(process, tally)
        kept = finished(runs)
        if status not in (0, 1) and "ended before" not in said:
            tally.wrong.append(f"status {status} after {tally.made - begun} workers died: {said}")
        tally.said += status != 0
        # A killed trial is one that failed, as its study says; the study is made anew.
        shutil.rmtree(runs / "tuning", ignore_errors=True)
        for cell in kept:
            if outcomes(runs).get(cell) != wanted.get(cell):  # by another trial's parameters
                shutil.rmtree(Store(runs).folder(cell))
        kept = finished(runs)
        status, said = ended(bench("run", *SUITE, "--runs", runs, "--rerun", "failed"), tally)
        if status != 0:
            tally.wrong.append(f"status {status} of --rerun failed: {said}")
        compare(runs, wanted, kept, tally)
        shutil.rmtree(runs)
    return tally


@contextlib.contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path | None]:
    """A disk of so many MB; `None` where none can be mounted."""
    place.mkdir()
    size = f"size={megabytes}m"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)],
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def disks(draw: random.Random, place: Path, wanted: Mapping[str, Any], longest: float) -> Tally:
    """Makes a disk read-only, then full, while cells run; then as it was, and runs again."""
    tally = Tally("read-only or full disk")
    with small_disk(place / "disk", 256) as disk:
        if disk is None:
            tally.name += " (none can be mounted here)"
            return tally
        for kind in ("read-only", "full"):
            runs = disk / "runs"
            process = bench("run", *SUITE, "--runs", runs)
            wait_for_cells(runs, process)
            time.sleep(draw.random() * longest * 0.5)
            if kind == "full":
                with (disk / "filler").open("wb", buffering=0) as filler:
                    with contextlib.suppress(OSError):
                        while filler.write(b"x" * (1 << 20)):
                            pass
                    with contextlib.suppress(OSError):
                        while filler.write(b"x"):
                            pass
            else:  # no system does it under a command that writes: the next one meets it
                kill(process)
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
                process = bench("run", *SUITE, "--runs", runs)
            status, said = ended(process, tally)
            kept = finished(runs)
            if status not in (0, 1, 2) or (status and said.count("\n") != 1):
                tally.wrong.append(f"status {status} on a {kind} disk: {said}")
            tally.made += 1
            tally.said += bool(said)
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            (disk / "filler").unlink(missing_ok=True)
            status, said = ended(bench("run", *SUITE, "--runs", runs), tally)
            if status != 0:
                tally.wrong.append(f"status {status} after a {kind} disk: {said}")
            compare(runs, wanted, kept, tally)
            shutil.rmtree(runs)
    return tally


def crowd(size: int, place: Path, wanted: Mapping[str, Any]) -> Tally:
    """Runs the same command so many times at once."""
    tally = Tally(f"{size} commands at once", made=1)
    runs = place / f"crowd-{size}"
    for status, said in [ended(p, tally) for p in
                         [bench("run", *SUITE, "--runs", runs) for _ in range(size)]]:  # fmt: skip
        if status != 0:
            tally.wrong.append(f"status {status}: {said}")
    compare(runs, wanted, {}, tally)
    for study in runs.glob("tuning/*/study.json"):
        trials = json.loads(study.read_bytes())["trials"]
        if len(trials) != 2:
            tally.wrong.append(f"{study}: {len(trials)} trials, not 2")
    shutil.rmtree(runs)
    return tally


def main() -> int:
    """Disturbs, and prints what came of it."""
    parser = argparse.ArgumentParser(description="Kills, damages, disks and crowds.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--worker-kills", type=int, default=20)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--crowds", default="2,4")
    parser.add_argument("--disks", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    tallies = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        whole, begin = place / "undisturbed", time.monotonic()
        quiet = Tally("nothing")
        status, said = ended(bench("run", *SUITE, "--runs", whole), quiet)
        longest = time.monotonic() - begin
        if status != 0:
            print(f"the undisturbed run ends with status {status}: {said}", file=sys.stderr)
            return 1
        wanted = outcomes(whole)
        print(f"{len(wanted)} cells, undisturbed {longest:.0f} s\n")
        print("| what happened | times | said so | wrong |\n| --- | --- | --- | --- |")

        def show(tally: Tally) -> None:
            tallies.append(tally)
            print(tally.row(), flush=True)

        if given.kills:
            show(kills(given.kills, draw, place, wanted, longest))
        if given.worker_kills:
            show(worker_kills(given.worker_kills, draw, place, wanted, longest))
        if given.damages:
            of_pages = given.damages // 4
            show(damages(given.damages - of_pages, draw, place, wanted, whole))
            show(page_damages(of_pages, draw, place, whole))
        if given.disks:
            show(disks(draw, place, wanted, longest))
        for size in filter(None, given.crowds.split(",")):
            show(crowd(int(size), place, wanted))
    wrong = [f"{tally.name}: {line}" for tally in tallies for line in tally.wrong]
    print("\n".join(["", *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
