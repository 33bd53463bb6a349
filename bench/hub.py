"""The one place that knows the network: what is fetched, from where, and what to do without it."""

from __future__ import annotations

import difflib
import functools
import json
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from bench.errors import BenchError

_MODEL_FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
_TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))

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


def model_folder(name_or_path: str, revision: str | None = None, offline: bool = False) -> Path:
    """The folder of a model and its tokenizer: a local one, or the snapshot of one on the hub.

    Args:
        name_or_path: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub, or `None` for the newest.
        offline: Take the hub's cache as it is.

    Raises:
        BenchError: There is no such model, or its configuration, weights or tokenizer are missing
            or unreadable.
    """
    folder = local_path(name_or_path)
    if not folder.exists():
        if is_path(name_or_path):
            raise _no_folder(name_or_path, folder)
        folder = snapshot(
            name_or_path,
            "model",
            files=_MODEL_FILES,
            revision=revision,
            offline=offline,
            remedy="Either name a local folder with --model DIR, "
            f"or fetch it once with a network: bench fetch --model {name_or_path}.",
        )
    check_model(folder)
    return folder


def local_path(name: str) -> Path:
    """A name as a path; `~` is this user's home, an unknown user's stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path's own raises RuntimeError there


def model_name(name: str, folder: Path) -> str:
    """What pages call a model: the last part of its folder's path, or of its name on the hub."""
    return folder.resolve().name if local_path(name).exists() else name.rpartition("/")[2]


def is_path(name: str) -> bool:
    """Whether a name without a folder was meant as a folder: no hub name looks so."""
    return (
        name.startswith((".", "~", os.sep))
        or name.count("/") > 1
        or name.endswith("/")
        or (name.count("/") == 1 and Path(name).parent.is_dir())
    )


def _no_folder(name: str, folder: Path) -> BenchError:
    """The error for a mistyped folder, with the nearest part of the path that exists."""
    wrong = folder
    while not wrong.parent.is_dir():
        wrong = wrong.parent
    beside = [entry.name for entry in wrong.parent.iterdir() if entry.is_dir()]
    near = difflib.get_close_matches(wrong.name, beside, n=1, cutoff=0.5)
    hint = f" Did you mean '{wrong.parent / near[0]}'?" if near else ""
    return BenchError(f"no model folder '{name}'.{hint}")


def check_model(folder: Path) -> None:
    """Finds what is missing or broken now rather than minutes into a run.

    Raises:
        BenchError: A file is missing or unreadable.
    """
    check_weights(folder)
    check_tokenizer(folder)


def check_weights(folder: Path) -> None:
    """Finds what is missing or broken of a model without a tokenizer.

    Raises:
        BenchError: A file is missing or unreadable.
    """
    if not folder.is_dir():
        raise BenchError(f"{folder} is a file; a model is a folder with a config.json.")
    if "model_type" not in _read_object(folder / "config.json"):
        raise BenchError(f"{folder / 'config.json'} names no model_type.")
    for path in _weight_files(folder):
        _check_header(path)


def check_tokenizer(folder: Path) -> None:
    """Looks for the files of a tokenizer.

    Raises:
        BenchError: They are not there.
    """
    if not any(all((folder / f).is_file() for f in files) for files in _TOKENIZERS):
        wanted = ", or ".join(" and ".join(files) for files in _TOKENIZERS)
        raise BenchError(f"{folder} has no tokenizer: it needs {wanted}.")


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise BenchError(f"{path} is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds no JSON object.")
    return content


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model: one, or those that an index names."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        return [single]
    if index.exists():
        shards = _read_object(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise BenchError(f"{index} has no weight_map.")
        return [folder / name for name in sorted(set(shards.values()))]
    forms = [*folder.glob("*.compact.safetensors"), *folder.glob("*.onnx")]
    if forms:
        raise BenchError(
            f"{folder} has no model.safetensors, but {forms[0].name}: bench export --format hf "
            "writes what can be loaded as a model."
        )
    raise BenchError(
        f"{folder} has no model.safetensors. A pytorch_model.bin is a pickle, which may run code "
        "when it is opened, and is not read: where you trust it, load it with transformers and "
        "save_pretrained() it to a new folder, which writes safetensors."
    )


def _check_header(path: Path) -> None:
    """Reads the header, which also says how long the file must be."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or 'no such file'}.") from None
    except SafetensorError as error:
        raise BenchError(f"{path} is no whole safetensors file ({error}): copy it again.") from None
