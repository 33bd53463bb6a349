"""Ray nodes on this machine, each as if it were another: for `faults.py` and `freight.py`.

Each is a `ray start --block` of its own, whose processes alone are ended or stopped. A node sees
nothing of the folders that are named as the driver's: an empty file system is mounted over them
(as root, on Linux).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

STARTED_S = 600
"""How long a node may take to come."""


def wait_until(met: Callable[[], object], seconds: float, what: str) -> float:
    """Waits; returns how long it took."""
    begin = time.monotonic()
    while not met():
        if time.monotonic() - begin > seconds:
            raise TimeoutError(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.1)
    return time.monotonic() - begin


def tree(process: int) -> list[psutil.Process]:
    """A process and all that it has started."""
    try:
        first = psutil.Process(process)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_computing(process: psutil.Process) -> bool:
    """Whether it is a worker of Ray's that computes a cell or trial."""
    try:
        return process.cmdline()[:1] == ["ray::compute"]
    except psutil.Error:  # it has ended meanwhile
        return False


@dataclass
class RayNode:
    """A node: the process that started it."""

    process: subprocess.Popen[bytes]
    folder: Path

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all of its processes."""
        for one in tree(self.process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)

    def workers(self) -> list[psutil.Process]:
        """Its processes that compute a cell or trial at the moment."""
        return [one for one in tree(self.process.pid) if _is_computing(one)]

    def end(self) -> None:
        """Kills it, wherever it stands."""
        left = tree(self.process.pid)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, timeout=10)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)


@dataclass
class RayCluster:
    """A head without room for cells, on whose machine the driver is, and nodes that come and go.

    Args:
        hidden: Folders that no node sees.
    """

    hidden: Sequence[Path] = ()
    nodes: list[RayNode] = field(default_factory=list)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rn-")))
    port: int = 0

    def __enter__(self) -> RayCluster:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_USAGE_STATS_REPORT_URL": "",
            "RAY_worker_niceness": "0",
            "RAY_health_check_period_ms": "2000",
            "RAY_health_check_timeout_ms": "3000",
            "RAY_health_check_failure_threshold": "3",
            "RAY_raylet_start_wait_time_s": str(STARTED_S),
        }
        head = ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false",
                f"--temp-dir={self.folder / 'ray'}"]  # fmt: skip
        self._wait_for(self._start(head, {}, hides=False))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in reversed(self.nodes):
            node.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """What `--on` is given."""
        return f"127.0.0.1:{self.port}"

    def _wait_for(self, node: RayNode) -> None:
        """Waits until a node has come; one that joins before the head is there would fail."""

        def is_up() -> bool:
            said = node.folder.with_suffix(".log").read_text(errors="replace")
            if node.process.poll() is not None:
                raise RuntimeError(f"a node did not start: {said[-500:]}")
            return "runtime started" in said

        wait_until(is_up, STARTED_S, "a node")

    def add(self, cpus: int = 1, disk: str = "", **variables: str) -> RayNode:
        """Starts a node.

        Args:
            cpus: Its cores.
            disk: Size of its temporary file system, such as `2m`; as large as the disk otherwise.
            variables: Of its environment.
        """
        words = [f"--address={self.address}", f"--num-cpus={cpus}"]
        node = self._start(words, variables, hides=True, disk=disk)
        self._wait_for(node)
        return node

    def _start(
        self, words: Sequence[str], variables: dict[str, str], *, hides: bool, disk: str = ""
    ) -> RayNode:
        own = Path(tempfile.mkdtemp(prefix="n", dir=self.folder))
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
               "--disable-usage-stats", "--object-store-memory=100000000", *words]  # fmt: skip
        mounts = [f"mount -t tmpfs none {shlex.quote(str(path))}" for path in self.hidden]
        if disk:
            mounts.append(f"mount -t tmpfs -o size={disk} none {shlex.quote(str(own))}")
        if hides and mounts:
            script = " && ".join([*mounts, f"exec {shlex.join(ray)}"])
            ray = ["unshare", "--mount", "sh", "-c", script]
        with own.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                ray,
                env={**self.environment, "TMPDIR": str(own), **variables},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        node = RayNode(process, own)
        self.nodes.append(node)
        return node
