"""The one place that knows the network: what is fetched, from where, and what to do without it."""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from bench.errors import BenchError

# Both libraries read their variable once, when they are imported, and this attribute ever after.
_SWITCHES = {
    "huggingface_hub.constants": ("HF_HUB_OFFLINE",),
    "datasets.config": ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"),
}


@functools.cache
def reachable(seconds: float = 3.0) -> bool:
    """Whether the hub (or what `HF_ENDPOINT` names) answers; asked once a process.

    huggingface's own retries take some 25 s to find out.

    Args:
        seconds: How long to wait at most.
    """
    answered = threading.Event()

    def ask() -> None:
        from huggingface_hub import constants, get_session

        # Offline mode, proxies, name servers, sockets: whatever fails means no.
        with suppress(Exception):
            response = get_session().head(constants.ENDPOINT, timeout=seconds)
            if response.status_code < 500:
                answered.set()

    # A thread, because no timeout bounds how long a name server is waited for.
    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(seconds)
    return answered.is_set()


def go_offline() -> None:
    """Keeps every library of this process and of its children off the network from now on."""
    for module, names in _SWITCHES.items():
        for name in names:
            os.environ[name] = "1"
            if module in sys.modules:
                setattr(sys.modules[module], name, True)


def snapshot(
    name: str,
    kind: Literal["model", "dataset"],
    *,
    files: Sequence[str],
    revision: str | None = None,
    offline: bool = False,
    remedy: str,
) -> Path:
    """The folder that holds files of a hub repository, fetched unless they are in the cache.

    Args:
        name: The repository.
        kind: Its type on the hub.
        files: Patterns of the files wanted.
        revision: Branch, tag or commit, or `None` for the newest.
        offline: Take the cache as it is.
        remedy: What helps where there is no network, as a sentence.

    Returns:
        The folder; its name is the commit.

    Raises:
        BenchError: It cannot be fetched and is not in the cache, or the hub has no such thing.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    asked = name if revision is None else f"{name} at revision {revision}"
    try:
        folder = snapshot_download(
            name,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(files),
            local_files_only=offline or not reachable(),
        )
    except LocalEntryNotFoundError:
        why = "this run is offline" if offline else f"{constants.ENDPOINT} cannot be reached"
        raise BenchError(f"the {kind} {asked} is not in the cache, and {why}. {remedy}") from None
    except RepositoryNotFoundError:
        hint = "It may be private: then HF_TOKEN must hold a token that opens it."
        raise BenchError(f"the hub has no {kind} '{name}'. {hint}") from None
    except RevisionNotFoundError:
        raise BenchError(f"the {kind} {name} has no revision '{revision}' on the hub.") from None
    except Exception as error:  # errors of the hub, of HTTP and of the disk share no other base
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BenchError(f"cannot fetch the {kind} {asked}: {reason}") from error
    return Path(folder)


def local_path(name: str) -> Path:
    """A name as a path; `~` is this user's home, an unknown user's stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path's own raises RuntimeError there


def repository_of(folder: Path) -> str:
    """The hub's name of a model in its cache, `models--ORG--NAME/snapshots/COMMIT`, or nothing."""
    snapshots = folder.resolve().parent
    kind, _, name = snapshots.parent.name.partition("--")
    return name.replace("--", "/", 1) if (snapshots.name, kind) == ("snapshots", "models") else ""


def is_path(name: str) -> bool:
    """Whether a name without a folder was meant as a folder: no hub name looks so."""
    return (
        name.startswith((".", "~", os.sep))
        or name.count("/") > 1
        or name.endswith("/")
        or (name.count("/") == 1 and Path(name).parent.is_dir())
    )
