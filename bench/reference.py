"""The fine-tuned dense model of a task: control row, starting point and teacher.

A task has one *final* reference a report seed, trained on fit and tune, and a *tuning* reference,
trained on fit alone, which is the only one that trials may start or learn from. Each is trained
once a run folder and shared by all cells.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from bench.checkpoint import read_classifier
from bench.families import family_of, read_config
from bench.files import digest, is_whole, lock, read_json, remove, write_json
from bench.footprint import count_dense
from bench.machine import isolated_rng
from bench.training import fit, task_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bench.data import Encoded
    from bench.method import TrainParams
    from bench.protocol import Protocol
    from bench.task import Task
    from bench.training import Callback


@dataclass(frozen=True)
class Reference:
    """A reference on disk.

    Attributes:
        key: Hash of all that it depends on.
        folder: Its Hugging Face folder.
        train_flops: What its training cost, counted.
        steps: Optimizer steps of its training.
    """

    key: str
    folder: Path
    train_flops: int
    steps: int


def load_model(
    folder: Path, labels: Sequence[str] | None, dropout: float, *, fresh_head: bool = False
) -> PreTrainedModel:
    """Loads an encoder as a classifier, in fp32.

    Args:
        folder: A Hugging Face folder.
        labels: Names of the classes, which also say how wide the head is; `None` for a regression.
        dropout: The protocol's dropout, whatever the checkpoint's configuration says.
        fresh_head: Draw the classifier anew from torch's generator, whatever the folder holds.

    Raises:
        BenchError: The folder lacks tensors that are not to be drawn anew.
    """
    config = read_config(folder)
    family = family_of(config)
    names = labels or ("score",)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.problem_type = None
    for name in family.dropout:
        setattr(config, name, dropout)
    model, _ = read_classifier(folder, config, fresh_head=fresh_head)
    if fresh_head:
        for name in family.head:
            linear = cast("nn.Linear", model.get_submodule(name))
            nn.init.normal_(linear.weight, std=config.initializer_range)
            nn.init.zeros_(linear.bias)
    return model.eval()  # type: ignore[no-any-return]


def save_model(model: PreTrainedModel, folder: Path, tokenizer: Path) -> None:
    """Writes a model as a Hugging Face folder with its tokenizer, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        model.save_pretrained(temporary)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json",
                     "merges.txt", "special_tokens_map.json"):  # fmt: skip
            if (tokenizer / name).is_file():
                shutil.copy(tokenizer / name, temporary)
        temporary.chmod(0o755)
        for path in temporary.iterdir():
            path.chmod(0o644)  # safetensors writes 0600, which would hide a shared folder's models
        if folder.exists():
            remove(folder, folder.parent)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def obtain(
    runs: Path,
    task: Task,
    data: Encoded,
    *,
    encoder: Path,
    identity: dict[str, Any],
    params: TrainParams,
    protocol: Protocol,
    device: str,
    seed: int,
    progress: Callable[[int, int], None],
    callbacks: Sequence[Callback] = (),
) -> Reference:
    """Returns a reference, training it first where the run folder has none.

    Args:
        runs: The run folder.
        task: The task.
        data: Rows to train on: fit and tune for a final reference, fit for a tuning one.
        encoder: Folder of the pre-trained encoder.
        identity: What names data, encoder and kind of reference.
        params: How to train.
        protocol: What is held equal.
        device: `cpu` or `cuda`.
        seed: Report seed, or the trials' seed.
        progress: Called with steps made and steps in all.
        callbacks: Of the training, if there is one.

    Raises:
        DivergedError: Its training met a NaN or an infinite value.
    """
    settings = {"params": dataclasses.asdict(params), "protocol": protocol.hash, "seed": seed}
    key = digest({**identity, **settings})[:16]
    folder = runs / "references" / key
    with lock(runs, f"reference-{key}"):
        done = read_json(folder / "reference.json")
        if done is None or not is_whole(folder / "model.safetensors"):
            begin = time.perf_counter()
            with isolated_rng(seed):
                model = load_model(encoder, task.info.labels, protocol.dropout, fresh_head=True)
                training = fit(
                    model,
                    data,
                    loss=task_loss,
                    params=params,
                    protocol=protocol,
                    device=device,
                    seed=(seed, 0),
                    callbacks=callbacks,
                    progress=progress,
                )
            save_model(model.cpu(), folder, encoder)
            done = {
                "train_flops": count_dense(model).training_flops(data.lengths, training.visits),
                "steps": training.step,
                "wall_s": time.perf_counter() - begin,
                **settings,
                **identity,
            }
            write_json(folder / "reference.json", done)
    return Reference(key, folder, done["train_flops"], done["steps"])
