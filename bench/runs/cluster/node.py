"""What runs on a node: it tells what it is, computes what it is sent, and cleans up.

What a computation says are tuples: `("lacks", paths)` where files are missing, then nothing else;
`("started",)`; `("progress", step, total)`; `("excess", how)` where it takes more than it may;
`("full", line)` where the node's disk is; `("lost", how)` where what it needs or made could not be
had; `("stop", line)` where no other job would fare better; `("broke", how, traceback)` where it
ended otherwise than by a result; `("made", result, items)` and then `("part", path, bytes)`, file
by file.

Little is imported above, since a node imports it to say what it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import stat
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, kind_and_line
from bench.files import is_storage_error, remove

if TYPE_CHECKING:
    from bench.runs.cells.claim import Assignment
    from bench.runs.cells.context import Context
    from bench.runs.cluster.freight import Item
    from bench.runs.limits import CellLimits

POLL_S = 1.0
"""How often it is looked at what a computation takes."""

TELL_S = 0.5
"""How often progress is told, at most."""

LEAVE_S = 5.0
"""How long computations that were ended may take to leave a node's folder."""

IN_USE = "in-use"


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What a node is sent for a cell or a trial.

    Attributes:
        folder: Name of the node's folder for the run.
        base: Where that folder lies; where the node's `TMPDIR` says, if nothing is named.
        items: The files that it reads.
        plugins: Places in the folder where other packages lie.
        limits: What it may take.
        variables: Of the environment.
        tell_s: How often progress is told.
    """

    folder: str
    base: str | None
    items: Sequence[Item]
    plugins: Sequence[str]
    limits: CellLimits
    variables: Mapping[str, str]
    tell_s: float = TELL_S


def compute(parcel: Parcel, work: Sequence[Any], stock: Mapping[str, Sequence[Any]]) -> Any:
    """Computes a cell or a trial, and sends what came of it.

    Args:
        parcel: What to do it with.
        work: One Ray object: the context and the assignment; plugins are there when it is read.
        stock: Ray objects that hold the parts of files, by their checksums.

    Yields:
        Events; see above.
    """
    import ray

    os.environ.update(parcel.variables)  # before torch is imported
    from bench import registry
    from bench.runs.cluster import cargo, freight

    def parts(item: Item) -> Iterator[Any] | None:
        held = stock.get(item.sha256)
        return None if held is None else (ray.get(part) for part in held)

    try:
        with in_use(parcel.folder, parcel.base) as folder:
            if lacking := freight.lay(folder, parcel.items, parts):
                yield ("lacks", [item.path for item in lacking])
                return
            for place in parcel.plugins:
                registry.add_place(folder / place)
            context, assignment = ray.get(work[0])
            there = cargo.on_node(context, assignment.cell, folder)
            result = yield from _events(there, assignment, parcel)
            known = {(item.path, item.sha256) for item in parcel.items}
            items = cargo.made(assignment, there, result)
            items = [item for item in items if (item.path, item.sha256) not in known]
            yield ("made", result, items)
            for item in items:
                for part in freight.parts_of(Path(item.source)):
                    yield ("part", item.path, part)
            cargo.clear(assignment, there)
    except _EndedError as ended:
        yield ended.event
    except Exception as error:
        yield ("full" if is_storage_error(error) else "lost", kind_and_line(error))


class _EndedError(Exception):
    """A computation ended otherwise than by a result."""

    def __init__(self, error: BaseException, details: str, *, is_plugin: bool) -> None:
        self.event: tuple[Any, ...] = ("broke", kind_and_line(error), details)
        if is_storage_error(error):
            self.event = ("full", kind_and_line(error))
        elif isinstance(error, BenchError) and not is_plugin:
            self.event = ("stop", str(error))


def _events(context: Context, assignment: Assignment, parcel: Parcel) -> Any:
    """Computes in a thread beside this one, which hears and tells of it; returns the result."""
    said: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
    begin, is_excess = time.monotonic(), False
    work = (context, assignment, parcel.tell_s, said)
    threading.Thread(target=_compute, args=work, daemon=True).start()
    yield ("started",)
    while True:
        with contextlib.suppress(queue.Empty):
            kind, *rest = said.get(timeout=POLL_S)
            if kind == "ended":
                return rest[0]
            if kind == "raised":
                raise _EndedError(*rest, is_plugin=context.is_plugin(assignment.cell))
            yield (kind, *rest)
        excess = parcel.limits.excess(os.getpid(), time.monotonic() - begin)
        if excess is not None and not is_excess:
            is_excess = True
            yield ("excess", str(excess))  # and is ended by who hears it


def _compute(
    context: Context,
    assignment: Assignment,
    tell_s: float,
    said: queue.SimpleQueue[tuple[Any, ...]],
) -> None:
    last_said = 0.0

    def progress(step: int, total: int) -> None:
        nonlocal last_said
        if time.monotonic() - last_said > tell_s or step == total:
            last_said = time.monotonic()
            said.put(("progress", step, total))

    try:
        from bench import machine
        from bench.runs.cells.claim import perform

        machine.bound_gpu_memory(context.workers_per_gpu)
        with machine.limited_threads(context.threads):
            said.put(("ended", perform(assignment, context, progress)))
    except BaseException as error:  # of a method, which may raise what it likes
        said.put(("raised", error, traceback.format_exc()))


@contextlib.contextmanager
def in_use(name: str, base: str | None) -> Iterator[Path]:
    """Yields the node's folder for a run, which `sweep` leaves alone meanwhile.

    Raises:
        BenchError: Somebody else has made one of the name.
    """
    folder = _place(name, base)
    while True:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise BenchError(f"{folder} is not this user's: remove it, or set another TMPDIR.")
        with contextlib.suppress(FileNotFoundError), (folder / IN_USE).open("w") as mark:
            fcntl.flock(mark, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(mark.fileno()), (folder / IN_USE).stat()):
                yield folder  # and it was not swept while the lock was waited for
                return


def sweep(name: str, base: str | None) -> bool:
    """Removes the node's folder for a run, unless another command uses it; whether it did."""
    folder = _place(name, base)
    deadline = time.monotonic() + LEAVE_S
    while folder.is_dir():
        with (folder / IN_USE).open("w") as mark, contextlib.suppress(BlockingIOError):
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(folder, folder.parent)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _place(name: str, base: str | None) -> Path:
    """Of several nodes on one machine, each has its own."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return Path(base or tempfile.gettempdir()) / f"{name}-{node[:8]}"


def facts() -> dict[str, Any]:
    """What this machine is and has, as far as results depend on it."""
    import platform

    from bench.machine import package_versions, processor, vector_extensions

    return {
        "bench": package_versions().get("prunebench", "?"),
        "sources": sources_hash(),
        "python": platform.python_version(),
        "packages": package_versions(),
        "processor": f"{processor()} ({' '.join(vector_extensions())})",
    }


def sources_hash() -> str:
    """Twelve hexadecimal digits over the sources of bench and of the methods that come with it."""
    import hashlib
    import importlib.util

    state = hashlib.sha256()
    for name in ("bench", "bench_methods", "bench_baselines"):
        spec = importlib.util.find_spec(name)
        for place in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(place).rglob("*.py")):
                state.update(f"{name}/{path.relative_to(place).as_posix()} ".encode())
                state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:12]
