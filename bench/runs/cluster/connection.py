"""Ray itself: a local instance that ends with the run, or a cluster that runs already."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import environment
from bench.errors import BenchError, first_line
from bench.files import remove

LOCAL = "ray"
"""What `--on` says for an instance on this machine alone."""

REMEDY = "--on needs Ray: pip install 'prunebench[ray]'"

STARTED_S = 5.0
"""How long a cluster's port may take to answer: Ray itself would wait for it without end."""

STORE_BYTES = 200_000_000
"""Of a local instance's object store, which only results pass through."""

LONGEST_BASE = 40
"""Characters of a folder that Ray can lay its sockets in, whose names are limited to 107."""

ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "",  # without it, Ray reports that its reports are disabled
    "RAY_worker_niceness": "0",  # else workers are niced by 15, and measured times are none
}
"""Whatever the user's environment says."""

DEATHS = {
    "WorkerCrashedError": "its worker process died",
    "OutOfMemoryError": "its worker process was ended, since memory was out",
    "NodeDiedError": "it was lost",
}
"""What Ray raises, by name, where something died under a computation."""

USUAL = {
    # A node that is gone without a word is told after 15 s, not after a minute.
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
"""Where the user's environment is silent; what the head of a cluster was started with counts."""


def how_it_died(error: Exception) -> str:
    """How Ray says that something died."""
    name = type(error).__name__
    return DEATHS.get(name, f"{name}: {first_line(error)}")


class Connection:
    """This process as the driver of a Ray instance.

    Args:
        on: `ray`, or `HOST:PORT` of a cluster.
        cores: Cores of a local instance.
        gpus: GPUs of a local instance.

    Attributes:
        ray: The module.
        base: Where nodes' folders lie; where each node's `TMPDIR` says, if it is `None`.
        scratch: A folder of this machine, which ends with the connection.

    Raises:
        BenchError: Ray is not installed, cannot be started, or there is no such cluster.
    """

    def __init__(self, on: str, cores: int, gpus: int) -> None:
        if on != LOCAL:
            _check_port(on)
        self.scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=_short_base()))
        try:
            self.ray = _module(local=on == LOCAL)
            self.base = str(self.scratch) if on == LOCAL else None
            how = self._local(cores, gpus) if on == LOCAL else {"address": on}
            with _own_signals():
                self.ray.init(**how, log_to_driver=False, logging_level="ERROR")
        except BaseException as error:
            self.close()
            if isinstance(error, Exception) and not isinstance(error, BenchError):
                raise BenchError(f"--on {on}: {_why(error)}") from error
            raise

    def _local(self, cores: int, gpus: int) -> dict[str, Any]:
        return {
            "address": "local",  # else it would join whatever cluster there is on this machine
            "num_cpus": cores,
            "num_gpus": gpus,
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": str(self.scratch),
        }

    def close(self) -> None:
        """Leaves; a local instance ends."""
        if (ray := getattr(self, "ray", None)) is not None:
            with _own_signals(), contextlib.suppress(Exception):
                ray.shutdown()
        remove(self.scratch, self.scratch.parent)


def _module(*, local: bool) -> ModuleType:
    """Ray, imported with what has to be said before that."""
    environment.set_defaults()
    os.environ.update(ALWAYS)
    for name, value in USUAL.items():
        os.environ.setdefault(name, value)
    if local:  # nobody else is to know it, and nothing of it stays
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    elif _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
        from ray._private import worker
    except ImportError:
        raise BenchError(REMEDY) from None
    if ray.is_initialized():
        raise BenchError("this process uses Ray already: ray.shutdown() first.")
    # What it prints of workers that have died would stand among the tables; it is told otherwise.
    worker.print_to_stdstream = lambda *_, **__: None
    module: ModuleType = ray
    return module


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(
        os.environ.get("RAY_AUTH_TOKEN") or named or (Path.home() / ".ray" / "auth_token").exists()
    )


def check_place(on: str) -> None:
    """Checks what `--on` says, before anything else is done.

    Raises:
        BenchError: It names no place, or Ray is not installed.
    """
    import importlib.util

    host, _, port = on.rpartition(":")
    if on != LOCAL and not (host and "/" not in host and port.isdecimal()):
        raise BenchError(f"--on {on}: either ray, for this machine, or HOST:PORT of a cluster.")
    if importlib.util.find_spec("ray") is None:
        raise BenchError(REMEDY)


def _check_port(on: str) -> None:
    host, _, port = on.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=STARTED_S):
            pass
    except (OSError, OverflowError) as error:
        raise BenchError(
            f"--on {on}: no cluster answers there ({first_line(error)}). 'ray start --head' starts "
            "one; docs/scale.md tells how."
        ) from None


def _short_base() -> str | None:
    """Where Ray's sockets may lie: the temporary folder, unless its name is too long for them."""
    return None if len(tempfile.gettempdir()) <= LONGEST_BASE else "/tmp"  # noqa: S108


def _why(error: Exception) -> str:
    """What Ray says, in one line, and what helps."""
    text = " ".join(str(error).split())
    if "Version mismatch" in text:
        return text.removeprefix("RuntimeError: ")
    if "InvalidAuthToken" in text or "uthentication" in text:
        return (
            "the cluster refuses this machine's token. Every machine has to have the head's "
            "~/.ray/auth_token, and RAY_AUTH_MODE=token."
        )
    if "raylet" in text.lower() or "node_ip_address" in text:
        return (
            f"{first_line(error)} - a run starts from one of the cluster's machines: "
            "'ray start --address=HOST:PORT' makes this one a node."
        )
    return first_line(error)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this process's signal handlers, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
