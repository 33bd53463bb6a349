"""`bench run` on data and models that cannot be used, which nothing is run on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import bench, cells_here
from refusals import assert_refused
from safetensors.numpy import load_file, save_file

from bench import api
from bench.data.tasks.demo import demo_encoder_path
from bench.errors import BenchError

pytestmark = pytest.mark.usefixtures("empty_place")


def glue(folder: Path, **files: str) -> Path:
    """A GLUE folder with an SST-2 of these files, whole ones where nothing is said."""
    whole = "sentence\tlabel\n" + "".join(f"word {i} it is\t{i % 2}\n" for i in range(40))
    for split in ("train", "dev"):
        path = folder / "SST-2" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(split, whole))
    return folder


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train": ""}, ["train.tsv"]),
        ({"dev": "sentence\tlabel\n"}, ["dev"]),
        ({"train": "sentence\tlabel\nfine\t1\nword\t"}, ["train.tsv"]),
        ({"train": "sentence\tlabel\nfine\t2\n"}, ["train.tsv", "2"]),
        ({"train": "sentence\tlabel\nfine\t-1\n"}, ["train.tsv", "-1"]),
        ({"train": "text\tclass\nfine\t1\n"}, ["train.tsv", "sentence"]),
    ],
)
def test_data_that_cannot_be_read_stops_before_anything_runs(files, said) -> None:
    data = glue(Path("data"), **files)
    result = bench("run", "--tasks", "sst2", "--model", "demo", "--workers", "1",
                   "--data-dir", data)  # fmt: skip
    assert_refused(result, *said)


def test_a_missing_data_folder_is_named_with_both_remedies() -> None:
    result = bench("run", "--tasks", "sst2", "--model", "demo", "--workers", "1",
                   "--data-dir", "nowhere")  # fmt: skip
    assert_refused(result, "nowhere", "--data-dir", "bench fetch --tasks sst2")


def test_how_much_is_read_is_said_on_the_command_line_in_a_file_and_from_python() -> None:
    glue(Path("data"))
    words = ("run", "--tasks", "sst2", "--model", "demo", "--workers", "1", "--data-dir", "data")
    said = "train.tsv: it has more than 100 bytes of data: --max-data-gb"
    assert_refused(bench(*words, "--max-data-gb", "1e-7"), said)
    Path("c.toml").write_text("max-data-gb = 1e-7\n")
    assert_refused(bench(*words, "--config", "c.toml"), said)
    with cells_here(), pytest.raises(BenchError, match=said):
        api.run(tasks="sst2", model="demo", workers=1, data_dir="data", max_data_gb=1e-7)
    assert_refused(bench(*words, "--max-data-gb", "0"), "max-data-gb is a number above 0, not 0")


@pytest.mark.parametrize(
    "option", ["--data-dir", "--tasks", "--corpus", "--probe-text", "--config"]
)
def test_a_fifo_is_not_waited_for(option: str) -> None:
    table = 'name = "t"\ntrain = "odd.csv"\ndev = "d.csv"\ntext = "a"\nlabel = "b"\n'
    Path("t.toml").write_text(f"{table}regression = true\n")
    for name in ("odd.csv", "odd.txt", "odd.toml"):
        os.mkfifo(name)
    train = glue(Path("data")) / "SST-2/train.tsv"
    train.unlink()
    os.mkfifo(train)
    words = {
        "--data-dir": ("data", "--tasks", "sst2"),
        "--tasks": ("t.toml",),
        "--corpus": ("odd.txt", "--methods", "tinybert"),
        "--probe-text": ("odd.txt",),
        "--config": ("odd.toml",),
    }[option]
    result = bench("run", "--model", "demo", "--workers", "1", option, *words)
    assert_refused(result, "odd" if "data" not in words else "train.tsv", "no regular file")


def encoder(path: Path) -> Path:
    shutil.copytree(demo_encoder_path(), path)
    return path


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def without_configuration(model: Path) -> None:
    (model / "config.json").unlink()


def broken_configuration(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "bert", ')


def configuration_without_type(model: Path) -> None:
    (model / "config.json").write_text("{}")


def of_another_family(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "gpt2"}')


def of_no_known_family(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "thing"}')


def truncated_weights(model: Path) -> None:
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def without_tokenizer(model: Path) -> None:
    for path in [*model.glob("tokenizer*"), *model.glob("vocab*")]:
        path.unlink()


def renamed_weights(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    wrapped = {f"wrapped.{name}": tensor for name, tensor in tensors.items()}
    save_file(wrapped, model / "model.safetensors", {"format": "pt"})


def weights_with_nan(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    next(value for name, value in tensors.items() if name.endswith("key.weight"))[0, 0] = np.nan
    save_file(tensors, model / "model.safetensors", {"format": "pt"})


def configured(**changes: object) -> Callable[[Path], None]:
    def spoil(model: Path) -> None:
        config = json.loads((model / "config.json").read_text()) | changes
        (model / "config.json").write_text(json.dumps(config))

    return spoil


def nested_configuration(model: Path) -> None:
    (model / "config.json").write_text("[" * 100_000)


def endless_number(model: Path) -> None:
    (model / "config.json").write_text(f'{{"model_type": "bert", "vocab_size": {"9" * 5000}}}')


def a_fifo_beside_it(model: Path) -> None:
    """Which the library would wait for."""
    os.mkfifo(model / "generation_config.json")


def endless_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to("/dev/zero")


def truncated_tokenizer(model: Path) -> None:
    path = next(model.glob("tokenizer.json"))
    path.write_text(path.read_text()[:500])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_weights, ["model.safetensors"]),
        (without_configuration, ["config.json"]),
        (broken_configuration, ["config.json", "JSON"]),
        (configuration_without_type, ["config.json", "model_type"]),
        (of_another_family, ["gpt2", "roberta"]),
        (of_no_known_family, ["thing"]),
        (truncated_weights, ["model.safetensors", "copy it again"]),
        (without_tokenizer, ["tokenizer"]),
        (truncated_tokenizer, ["its tokenizer cannot be read"]),
        (weights_with_nan, ["key.weight holds NaN"]),
        (renamed_weights, ["tensors are missing", "bert.embeddings"]),
        (configured(num_hidden_layers=40), ["tensors are missing", "encoder.layer"]),
        (configured(num_hidden_layers=0), ["without layers"]),
        (configured(num_hidden_layers=1), ["belong to no layer", "encoder.layer.1."]),
        (configured(architectures=5), ["architectures"]),
        (configured(architectures=["BertModel", 3]), ["architectures"]),
        (configured(hidden_size=96), ["have another shape"]),
        (configured(num_attention_heads=7), ["cannot be read as a model", "7"]),
        (configured(hidden_act="nope"), ["cannot be read as a model", "nope"]),
        (configured(hidden_size="x"), ["config.json: hidden_size: expected `int`, got `str`"]),
        (configured(num_labels=10**9), ["config.json: num_labels: expected `int` <= 10000"]),
        (configured(vocab_size=10**9), ["config.json: vocab_size: expected `int` <= 10000000"]),
        (configured(vocab_size=10**7), ["describe 640,", "weights beside it hold 9"]),
        (configured(hidden_size=10**5), ["config.json: hidden_size: expected `int` <= 65536"]),
        (configured(hidden_size=2**16), ["describe ", "parameters at least"]),
        (configured(num_hidden_layers=10**9), ["config.json: num_hidden_layers: "]),
        (configured(max_position_embeddings=-1), ["max_position_embeddings: expected `int` >= 1"]),
        (configured(max_position_embeddings=7), ["7 tokens of a text, and rows need 8"]),
        (configured(intermediate_size=1.5), ["intermediate_size: expected `int`, got `float`"]),
        (configured(hidden_dropout_prob=float("nan")), ["config.json is no JSON"]),
        (endless_number, ["config.json is no JSON", "out of range"]),
        (configured(id2label={f"{n}": "a" for n in range(10**4 + 1)}), ["id2label: ", "10000"]),
        (configured(architectures=["a"], _attn_implementation="some/kernel"), ["_attn_impl"]),
        (configured(model_type="roberta", pad_token_id=None), ["pad_token_id: null"]),
        (nested_configuration, ["config.json is no JSON", "nested too deep"]),
        (a_fifo_beside_it, ["generation_config.json: it is no regular file"]),
        (endless_weights, ["model.safetensors: it is no regular file"]),
        (configured(vocab_size=10), ["have another shape"]),
    ],
)
def test_a_model_that_cannot_be_used_stops_before_anything_runs(
    spoil: Callable[[Path], None], said: list[str]
) -> None:
    spoil(encoder(Path("model")))
    result = bench("run", "--tasks", "demo-sentiment", "--workers", "1", "--model", "./model")
    assert_refused(result, "model", *said)


@pytest.mark.parametrize(
    ("words", "remedies"),
    [
        ("--model google-bert/bert-base-uncased",
         ["--model DIR", "bench fetch --model google-bert/bert-base-uncased"]),
        ("--tasks cola --model demo", ["--data-dir DIR", "bench fetch --tasks cola"]),
    ],
)  # fmt: skip
def test_without_a_network_both_remedies_are_named_at_once(no_network, words, remedies) -> None:
    begin = time.monotonic()
    assert_refused(bench("run", "--workers", "1", *words.split()), "cannot be reached", *remedies)
    assert time.monotonic() - begin < 10
    offline = bench("run", "--workers", "1", *words.split())
    assert_refused(offline, *remedies)
