"""What Optuna keeps of studies: a journal each in the run folder, or a storage of the user's."""

from __future__ import annotations

import contextlib
import functools
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus, urlsplit

from bench.errors import BenchError, first_line, kind_and_line
from bench.inputs import read_bytes

if TYPE_CHECKING:
    import optuna

    from bench.compression.params import Knob


GRPC = "grpc://"
"""How the URL of Optuna's proxy begins."""

EXTRAS = {"postgresql": "postgres", GRPC: "grpc"}
"""What to install where a library is missing, by how a URL begins."""

ANSWERS_S = 5.0
"""How long a proxy may take to answer at first."""

MEETS_S = (0.5, 1.0, 2.0)
"""How long runs that begin at once wait for one of them to make a database's tables."""

UNSAFE = "@{}"
"""What Optuna and its database library read otherwise than as a part of a password."""


def check_storage(storage: str) -> None:
    """Tries Optuna's storage of studies before anything runs.

    Raises:
        BenchError: It cannot be used.
    """
    with storage_errors(storage):
        open_storage(storage)


@functools.cache  # else a driver of a cluster had a connection for each trial on its way
def open_storage(url: str) -> optuna.storages.BaseStorage:
    """The user's storage, whose connections all studies of this process share.

    Args:
        url: `grpc://HOST:PORT` of Optuna's proxy, or whatever SQLAlchemy knows.
    """
    import optuna

    if url.startswith(GRPC):
        return _proxy(url)
    return optuna.storages.get_storage(_database(url))


def _database(url: str) -> optuna.storages.RDBStorage:
    """A database, whose tables its first user makes."""
    import optuna
    import sqlalchemy.exc

    # A trial may last for hours: a connection that is closed meanwhile is made anew.
    make = functools.partial(optuna.storages.RDBStorage, url, {"pool_pre_ping": True})
    for pause in MEETS_S:
        with contextlib.suppress(sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
            return make()
        time.sleep(pause)  # another run makes the same tables at this moment
    return make()


def _proxy(url: str) -> optuna.storages.BaseStorage:
    import optuna

    parts = urlsplit(url)
    if not parts.hostname or parts.port is None or parts.netloc != url.removeprefix(GRPC):
        raise ValueError(f"a proxy is named {GRPC}HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        proxy = optuna.storages.GrpcStorageProxy(host=host, port=parts.port)
    proxy.wait_server_ready(timeout=ANSWERS_S)
    return proxy


def _unusable(storage: str, error: Exception) -> BenchError:
    shown, reason = storage, _reason(storage, error)
    for secret in secrets_of(storage):
        shown = shown.replace(secret, "***")
        reason = reason.replace(secret, "***")  # a driver may repeat it
    return BenchError(f"--storage {shown} cannot be used: {reason}")


def _reason(storage: str, error: Exception) -> str:
    extra = next((extra for start, extra in EXTRAS.items() if storage.startswith(start)), None)
    if isinstance(error, ImportError) and extra is not None:
        return f"pip install 'prunebench[{extra}]'"
    if any(sign in secret for secret in _said_secrets(storage) for sign in UNSAFE):
        # What it says may hold a part of the password, taken for the name of a host.
        return "a password is written with %40 for @, %7B for { and %7D for }"
    details = getattr(error, "details", None)  # of gRPC, whose errors are many lines
    return str(details()) if callable(details) else first_line(error)


def secrets_of(url: str) -> list[str]:
    """What of a storage's URL no message may show, as it stands there and as it is meant.

    That is what stands between the user's name and the last `@`, and the values of options such as
    `password`.
    """
    said = _said_secrets(url)
    return sorted({*said, *map(unquote_plus, said)} - {""}, key=len, reverse=True)


def _said_secrets(url: str) -> list[str]:
    inside = url.partition("://")[2] or url
    return [
        inside.partition(":")[2].rpartition("@")[0],
        *re.findall(r"(?i)[?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=([^&]+)", url),
    ]


@contextlib.contextmanager
def storage_errors(storage: str | None) -> Iterator[None]:
    """Turns what the user's storage raises into one clear line; a trial is made again.

    Args:
        storage: The user's; `None` for a journal, whose errors are the run folder's.

    Raises:
        BenchError: It cannot be used any more.
    """
    try:
        yield
    except BenchError:
        raise
    except Exception as error:  # of whatever library the storage needs
        lost = not isinstance(error, OSError) or isinstance(error, ConnectionError)
        if storage is None or not lost:  # the run folder's own disk
            raise
        raise _unusable(storage, error) from None  # which a log would show


def journal(path: Path) -> optuna.storages.JournalStorage:
    """A study's journal; a line that a killed process left unfinished is taken off.

    Raises:
        BenchError: A line of it is none that was written.
        OSError: It cannot be read, or is no regular file.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class HeldLock(JournalFileOpenLock):
        """The study's own lock is held whenever its journal is used, and dies with its process."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (content := read_bytes(path)).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=HeldLock(str(path))))
    except OSError:
        raise
    except Exception as error:  # a damaged line fails in any way it likes
        raise BenchError(
            f"{path} is damaged ({kind_and_line(error)}): remove {path.parent}, and its trials are "
            "made again."
        ) from None


def is_running(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial was begun and is not told to have ended."""
    return trial.state.name == "RUNNING"


def _is_spent(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial was made to its end, well or not."""
    return trial.state.is_finished() and "killed" not in trial.user_attrs


def spent(study: optuna.Study) -> list[dict[str, Any]]:
    """What came of the trials that have ended, in the order of their places."""
    described = [_described(trial) for trial in study.trials if _is_spent(trial)]
    return sorted(described, key=lambda outcome: int(outcome["index"]))


def _described(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    known = {"index": trial.user_attrs["index"], "params": trial.params}
    error = trial.user_attrs.get("error")
    if error is None:
        return {**known, **trial.user_attrs["outcome"]}
    return {**known, "error": error, **trial.user_attrs.get("cost", {})}


def suggest(trial: optuna.Trial, name: str, knob: Knob, default: Any) -> None:
    """Tells Optuna of a parameter whose value is given, and where it might have lain.

    Args:
        trial: The trial, which has the value.
        name: The parameter.
        knob: What it is searched in.
        default: Its default, which says of which type it is.
    """
    if knob.choices is not None:
        trial.suggest_categorical(name, knob.choices)
        return
    low: Any = knob.low
    high: Any = knob.high
    if isinstance(default, int):
        trial.suggest_int(name, low, high, log=knob.log)
    else:
        trial.suggest_float(name, low, high, log=knob.log)
