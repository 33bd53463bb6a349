"""An encoder's folder: found or fetched, checked, and told from any other."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files import inside, read_json
from bench.hub import is_path, local_path, repository_of, snapshot
from bench.inputs import check_entries, check_regular, read_bytes
from bench.models.configuration import (
    Configuration,
    check_configuration,
    check_parameters,
    least_parameters,
    refuse_code,
)
from bench.schema import parse_json

CONFIG = "config.json"
WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
WHOLE_TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
VOCABULARIES = (("vocab.txt",), ("vocab.json", "merges.txt"))
ADDED = ("special_tokens_map.json", "added_tokens.json")
"""What a tokenizer may add to its vocabulary; `tokenizer.json` has it, too."""

TOKENIZER_FILES = (
    WHOLE_TOKENIZER,
    TOKENIZER_CONFIG,
    *(name for names in VOCABULARIES for name in names),
    *ADDED,
)
"""Every file that a tokenizer may be made of."""

MODEL_FILES = (CONFIG, "model*.safetensors", SHARDS, *TOKENIZER_FILES, "README.md")
"""What is fetched of a model; its card names the licence."""

READING = {
    "do_lower_case": True,
    "strip_accents": None,
    "tokenize_chinese_chars": True,
    "add_prefix_space": False,
}
"""What `tokenizer_config.json` says of how text is read, as uncased BERT has it. The rest of the
file changes with the library that wrote it, and no piece with it."""


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
    remedy = (
        "Either name a local folder with --model DIR, "
        f"or fetch it once with a network: bench fetch --model {name_or_path}."
    )
    folder = find_folder(name_or_path, remedy, revision=revision, offline=offline)
    check_model(folder)
    return folder


def find_folder(
    name_or_path: str, remedy: str, *, revision: str | None = None, offline: bool = False
) -> Path:
    """The folder of a model of any kind; nothing in it is looked at.

    Args:
        name_or_path: A folder, or a name on the hub.
        remedy: What helps where there is no network, as a sentence.
        revision: Branch, tag or commit on the hub, or `None` for the newest.
        offline: Take the hub's cache as it is.

    Raises:
        BenchError: There is no such folder, or the hub's cannot be fetched.
    """
    folder = local_path(name_or_path)
    if folder.exists():
        return folder
    if is_path(name_or_path):
        raise _no_folder(name_or_path, folder)
    return snapshot(
        name_or_path,
        "model",
        files=MODEL_FILES,
        revision=revision,
        offline=offline,
        remedy=remedy,
    )


def model_name(name: str, folder: Path) -> str:
    """What pages call a model: the last part of its folder's path, or of its name on the hub."""
    if local_path(name).exists():
        return repository_of(folder).rpartition("/")[2] or folder.resolve().name
    return name.rpartition("/")[2]


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
        raise BenchError(f"{folder} is a file; a model is a folder with a {CONFIG}.")
    found = check_config(folder)
    check_parameters(folder / CONFIG, least_parameters(found), numbers_held(folder))


def check_config(folder: Path) -> Configuration:
    """Checks the configuration of a model, and that nothing in its folder is without an end.

    Raises:
        BenchError: It is missing or unreadable, or says what cannot be.
    """
    check_files(folder)
    return check_configuration(folder / CONFIG, read_object(folder / CONFIG))


def check_files(folder: Path) -> None:
    """Checks that nothing in a model's folder is without an end.

    Raises:
        BenchError: Something is, or the folder cannot be read.
    """
    try:
        check_entries(folder)
    except OSError as error:
        raise BenchError(f"cannot read {error.filename}: {error.strerror}.") from None


def check_tokenizer(folder: Path) -> None:
    """Looks for the files of a tokenizer.

    Raises:
        BenchError: They are not there, or name code of their own.
    """
    if (path := folder / TOKENIZER_CONFIG).exists():
        refuse_code(path, read_object(path))
    forms = ((WHOLE_TOKENIZER,), *VOCABULARIES)
    if not any(all((folder / f).is_file() for f in files) for files in forms):
        wanted = ", or ".join(" and ".join(files) for files in forms)
        raise BenchError(f"{folder} has no tokenizer: it needs {wanted}.")


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        BenchError: It cannot be read, or holds none.
    """
    try:
        content = parse_json(read_bytes(path))
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror}.") from None
    except ValueError as error:
        raise BenchError(f"{path} is no JSON: {error}.") from None
    if not isinstance(content, dict):
        raise BenchError(f"{path} holds no JSON object.")
    return content


def numbers_held(folder: Path) -> int:
    """How many numbers the files of a model's weights hold, by their headers.

    Raises:
        BenchError: There is none, or one is no whole safetensors file.
    """
    return sum(_numbers_in(path) for path in _weight_files(folder))


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model: one, or those that an index names."""
    single, index = folder / WEIGHTS, folder / SHARDS
    if single.exists():
        return [single]
    if index.exists():
        shards = read_object(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise BenchError(f"{index} has no weight_map.")
        if not all(isinstance(name, str) for name in shards.values()):
            raise BenchError(f"{index}: its weight_map names something that is no file.")
        return [inside(folder, name) for name in sorted(set(shards.values()))]
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


def _numbers_in(path: Path) -> int:
    """How many numbers a file of weights holds, by its header, which says how long it must be."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(path, framework="numpy") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except OSError as error:
        raise BenchError(f"cannot read {path}: {error.strerror or 'no such file'}.") from None
    except SafetensorError as error:
        raise BenchError(f"{path} is no whole safetensors file ({error}): copy it again.") from None


def tokenizer_files(folder: Path) -> list[Path]:
    """The files there are that decide how a text becomes pieces."""
    complete = (folder / WHOLE_TOKENIZER).is_file()
    names = [name for name in TOKENIZER_FILES if not (complete and name in ADDED)]
    return [folder / name for name in names if (folder / name).is_file()]


def weight_hash(encoder: Path) -> str:
    """Identity of an encoder: a hash over weights, configuration and tokenizer."""
    state = hashlib.sha256()
    config = read_object(encoder / CONFIG)
    for volatile in ("transformers_version", "_name_or_path"):
        config.pop(volatile, None)
    state.update(json.dumps(config, sort_keys=True).encode())
    said = read_json(encoder / TOKENIZER_CONFIG)
    if isinstance(said, dict):
        unusual = {
            key: said[key] for key, usual in READING.items() if said.get(key, usual) != usual
        }
        state.update(json.dumps(unusual).encode() if unusual else b"")
    decisive = [path for path in tokenizer_files(encoder) if path.name != TOKENIZER_CONFIG]
    for path in sorted([*encoder.glob("*.safetensors"), *decisive]):
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                state.update(block)
    return state.hexdigest()[:16]


def tokenizer_hash(encoder: Path) -> str:
    """Hash of the files that decide how a text becomes pieces."""
    state = hashlib.sha256()
    for path in tokenizer_files(encoder):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:16]
