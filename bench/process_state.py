"""What code that is not ours may have changed in this process, put back after it.

Here is what can be read and set. What cannot, such as a function that was put in another one's
place, ends with its process (`bench.runs.processes`).
"""

from __future__ import annotations

import contextlib
import gc
import locale
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Puts back what the block changes, however it ends.

    That is: working directory, umask, environment, signal handlers, alarm, warnings, locale,
    recursion limit, garbage collection, standard streams, numpy's error handling and, of torch,
    gradients, default dtype and device, autocast, and how exact and repeatable its kernels are.
    What is added to the module path stays there, behind what there was.
    """
    before: list[tuple[_State, Any]] = []
    torch_was_there = "torch" in sys.modules
    for state in _states():
        with contextlib.suppress(OSError):  # such as a working directory that is gone
            before.append((state, state.get()))
    try:
        yield
    finally:
        if not torch_was_there and "torch" in sys.modules:
            before += [(state, state.fresh) for state in _of_torch()]
        for state, value in before:
            with contextlib.suppress(OSError, ValueError, locale.Error):
                if state.get() != value:
                    state.put(value)


class _State(NamedTuple):
    """Something that a process has one of.

    Attributes:
        get: Reads it.
        put: Sets it.
        fresh: What it is in a new process; said of torch alone, which a block may be first to load.
    """

    get: Callable[[], Any]
    put: Callable[[Any], object]
    fresh: Any = None


def _states() -> list[_State]:
    states = [
        _State(sys.getrecursionlimit, sys.setrecursionlimit),  # first: what follows needs room
        _State(os.getcwd, os.chdir),
        _State(_umask, os.umask),
        _State(lambda: dict(os.environ), _put_environment),
        _State(lambda: (warnings.filters[:], warnings.showwarning), _put_warnings),
        _State(lambda: locale.setlocale(locale.LC_ALL), _put_locale),
        _State(gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
        _State(lambda: (sys.stdin, sys.stdout, sys.stderr), _put_streams),
        _State(lambda: sys.path[:], _put_module_path),
    ]
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        states.append(_State(_handlers, _put_handlers))
        if hasattr(signal, "setitimer"):
            states.append(_State(_has_alarm, lambda _: signal.setitimer(signal.ITIMER_REAL, 0)))
    if numpy := sys.modules.get("numpy"):
        states.append(_State(numpy.geterr, lambda errors: numpy.seterr(**errors)))
    return states + (_of_torch() if "torch" in sys.modules else [])


def _of_torch() -> list[_State]:
    import torch

    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def switch(holder: Any, name: str, fresh: bool) -> _State:
        return _State(lambda: getattr(holder, name), lambda on: setattr(holder, name, on), fresh)

    def autocast(kind: str) -> _State:
        return _State(
            lambda: torch.is_autocast_enabled(kind),
            lambda on: torch.set_autocast_enabled(kind, on),
            fresh=False,
        )

    def put_determinism(how: tuple[bool, bool]) -> None:
        torch.use_deterministic_algorithms(how[0], warn_only=how[1])

    return [
        _State(torch.is_grad_enabled, torch.set_grad_enabled, fresh=True),
        _State(torch.get_default_dtype, torch.set_default_dtype, torch.float32),
        _State(torch.get_default_device, _put_default_device, torch.device("cpu")),
        autocast("cpu"),
        autocast("cuda"),
        _State(
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            put_determinism,
            (False, False),
        ),
        _State(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, fresh=False),
        _State(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
        switch(cudnn, "benchmark", False),
        switch(cudnn, "deterministic", False),
        switch(cudnn, "allow_tf32", True),
        switch(matmul, "allow_tf32", False),
    ]


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _put_environment(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _put_warnings(how: tuple[list[Any], Any]) -> None:
    warnings.resetwarnings()  # also forgets what filters answered before
    filters: Any = warnings.filters
    filters[:], warnings.showwarning = how


def _put_locale(name: str) -> None:
    locale.setlocale(locale.LC_ALL, name)


def _put_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _put_module_path(before: list[str]) -> None:
    sys.path[:] = [*before, *(place for place in sys.path if place not in before)]


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _put_handlers(handlers: Mapping[int, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _has_alarm() -> bool:
    return signal.getitimer(signal.ITIMER_REAL)[0] > 0


def _put_default_device(device: Any) -> None:
    import torch

    torch.set_default_device(None if device.type == "cpu" else device)  # None costs no call
