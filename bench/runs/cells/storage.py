"""Where Optuna keeps studies: a journal each in the run folder, or a storage of the user's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, first_line

if TYPE_CHECKING:
    import optuna


def check_storage(storage: str) -> None:
    """Tries Optuna's storage of studies before anything runs.

    Raises:
        BenchError: It cannot be used.
    """
    import optuna

    try:
        optuna.storages.get_storage(storage)
    except Exception as error:  # of whatever library the storage needs
        raise _unusable(storage, error) from error


def _unusable(storage: str, error: Exception) -> BenchError:
    return BenchError(f"--storage {storage} cannot be used: {first_line(error)}")


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
        raise _unusable(storage, error) from error


def journal(path: Path) -> optuna.storages.JournalStorage:
    """A study's journal; a line that a killed process left unfinished is taken off."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class HeldLock(JournalFileOpenLock):
        """The study's own lock is held whenever its journal is used, and dies with its process."""

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])
    return JournalStorage(JournalFileBackend(str(path), lock_obj=HeldLock(str(path))))
