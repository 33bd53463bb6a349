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
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.results.record import slim
from bench.results.store import Store

SUITE = (
    "--methods", "magnitude,knowledge-aware,tinybert", "--tasks", "demo-sentiment",
    "--ratios", "4", "--epochs", "1", "--max-train-samples", "400", "--trials", "2",
    "--seeds", "1", "--workers", "2", "--keep-models", "all", "--no-latency",
)  # fmt: skip
"""Everything that a run folder can hold: studies, references, answers, shared tensors, models."""

MAIN = "import sys; from bench.cli.main import main; sys.exit(main())"
"""The command of this interpreter, whatever is installed as `bench`."""

PATIENCE_S = 600
"""A command that takes longer hangs."""

FOREIGN = ("locks", "log.txt")
"""What nobody reads back."""


@dataclass
class Tally:
    """What one kind of disturbance came to."""

    name: str
    made: int = 0
    said: int = 0
    wrong: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Its row of the table."""
        return f"| {self.name} | {self.made} | {self.said} | {len(self.wrong)} |"


def bench(*words: object) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own."""
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    return subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def ended(process: subprocess.Popen[str], tally: Tally) -> tuple[int, str]:
    """Status and error output of a command; a traceback, or no end, is noted."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        kill(process)
        tally.wrong.append(f"no end after {PATIENCE_S} s: {process.args}")
        return -1, ""
    if "Traceback" in said:
        tally.wrong.append(f"traceback of {process.args}:\n{said}")
    return process.returncode, said


def kill(process: subprocess.Popen[str]) -> None:
    """Kills a command with all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def outcomes(runs: Path) -> dict[str, dict[str, Any]]:
    """All that records say but when and how fast, which no two runs share."""
    found = {}
    for record in Store(runs).records():
        plain = slim(record)
        for measured in ("wall_s", "peak_memory_mb"):
            plain["cost"].pop(measured, None)
        found[record.id] = plain
    return found


def finished(runs: Path) -> dict[str, str]:
    """When each cell was finished, of those that did not fail."""
    return {r.id: r.created for r in Store(runs).records() if r.status != "failed"}


def compare(runs: Path, wanted: Mapping[str, Any], kept: Mapping[str, str], tally: Tally) -> None:
    """Notes what a folder lost, repeated or has otherwise than the undisturbed run."""
    found, now = outcomes(runs), finished(runs)
    for cell, created in kept.items():
        if now.get(cell) != created:
            tally.wrong.append(f"finished cell {cell} was {'run again' if cell in now else 'lost'}")
    for cell in sorted(wanted.keys() | found.keys()):
        if found.get(cell) != wanted.get(cell):
            tally.wrong.append(f"cell {cell} differs from that of the undisturbed run")
    tally.wrong += [f"{path} is left" for path in runs.rglob(".*") if path.is_file()]


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


def kind_of(file: Path) -> str:
    """What a file of a run folder or of pages is: its path without ids, numbers and names."""
    return re.sub(r"[0-9a-f]{16}|\d+", "N", str(file))


def damage(path: Path, draw: random.Random) -> str:
    """Damages a file; says how."""
    data = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    is_text = path.suffix not in (".parquet", ".safetensors")
    how = draw.choice(["bit", "cut", "empty", *(["digit"] * 2 if is_text and digits else [])])
    if how == "bit":
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
        how = f"bit flipped at {place}"
    elif how == "digit":
        place = draw.choice(digits)
        data[place] = ord(draw.choice([d for d in "0123456789" if d != chr(data[place])]))
        how = f"digit changed at {place}"
    else:
        data = data[: draw.randrange(len(data)) if how == "cut" else 0]
    path.write_bytes(data)
    return how


def files_by_kind(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder that somebody reads, by kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and path.stat().st_size and not set(FOREIGN) & set(inner.parts):
            kinds.setdefault(kind_of(inner), []).append(inner)
    return kinds


def damages(count: int, draw: random.Random, place: Path, wanted: Mapping[str, Any],
            whole: Path) -> Tally:  # fmt: skip
    """Damages a file of a finished run folder, and runs its command again."""
    tally = Tally("damaged file of a run folder")
    kinds = files_by_kind(whole)
    order = sorted(kinds)
    draw.shuffle(order)
    for number in range(count):
        file = draw.choice(kinds[order[number % len(order)]])
        runs = place / "damaged"
        shutil.copytree(whole, runs)
        in_cell = (runs / file.parts[0] / "record.json").exists()
        if not in_cell and file.parts[0] not in ("suites", "identity.json", "settings.json"):
            for cell in wanted:
                shutil.rmtree(Store(runs).folder(cell))
        kept = {cell: when for cell, when in finished(runs).items() if cell != file.parts[0]}
        how = f"{file}: {damage(runs / file, draw)}"
        before = len(tally.wrong)
        for words in (("status", "--runs", runs),
                      ("leaderboard", "--runs", runs, "--out", place / "pages")):  # fmt: skip
            status, said = ended(bench(*words), tally)
            if status not in (0, 1, 2) or (status == 2 and said.count("\n") != 1):
                tally.wrong.append(f"status {status} of {words[0]}: {said}")
        status, said = ended(bench("run", *SUITE, "--runs", runs), tally)
        if status == 0:
            compare(runs, wanted, kept, tally)
        elif said.count("\n") != 1 or str(runs) not in said:
            tally.wrong.append(f"status {status} of run: {said}")
        tally.made += 1
        tally.said += bool(said)
        tally.wrong[before:] = [f"{how}: {line}" for line in tally.wrong[before:]]
        shutil.rmtree(runs)
        shutil.rmtree(place / "pages", ignore_errors=True)
    return tally


def page_damages(count: int, draw: random.Random, place: Path, whole: Path) -> Tally:
    """Damages a file of published pages, and checks them."""
    tally = Tally("damaged file of published pages")
    pages = place / "published"
    status, said = ended(bench("leaderboard", "--runs", whole, "--out", pages), tally)
    if status != 0:
        tally.wrong.append(f"status {status} of leaderboard: {said}")
    kinds = files_by_kind(pages)
    for number in range(count):
        file = draw.choice(kinds[sorted(kinds)[number % len(kinds)]])
        held = (pages / file).read_bytes()
        how = damage(pages / file, draw)
        status, said = ended(bench("leaderboard", "--check", "--out", pages), tally)
        if (pages / file).read_bytes() != held and (status not in (1, 2) or not said):
            tally.wrong.append(f"{file}: {how}: the check ends with status {status}: {said}")
        (pages / file).write_bytes(held)
        tally.made += 1
        tally.said += bool(said)
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
            else:  # by force: files are open for writing
                subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False)
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
