"""The fine-tuned dense model of a task: control row, starting point and teacher.

A task has one *final* reference a report seed, trained on fit and tune, and a *tuning* reference,
trained on fit alone, which is the only one that trials may start or learn from. Each is trained
once a run folder and shared by all cells.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from bench.checksums import damaged_files
from bench.compression.losses import task_loss
from bench.files import is_whole, json_hash, lock, read_json, write_json
from bench.models.checkpoint import load_model, save_model
from bench.models.footprint import count_dense
from bench.training.loop import train
from bench.training.perturber import perturber_of
from bench.training.seeds import isolated_rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.compression.callbacks import Callback, Training
    from bench.compression.params import TrainParams
    from bench.data.encoded import Encoded
    from bench.data.task import Task
    from bench.protocol import Protocol
    from bench.training.curve import Curve


class _Described(Struct, kw_only=True):
    """What `reference.json` has to say."""

    train_flops: int
    steps: int
    curve: dict[str, Any] | None
    wall_s: float


@dataclass(frozen=True)
class Reference:
    """A reference on disk.

    Attributes:
        key: Hash of all that it depends on.
        folder: Its Hugging Face folder.
        train_flops: What its training cost, counted.
        steps: Optimizer steps of its training.
        curve: What that looked like, see `bench.training.curve.Curve.described`.
        wall_s: Seconds that it took.
    """

    key: str
    folder: Path
    train_flops: int
    steps: int
    curve: dict[str, Any] | None
    wall_s: float


def dense_cost(training: Training, lengths: NDArray[np.int64]) -> int:
    """FLOPs of the training of a dense model on rows of so many pieces."""
    visited = np.repeat(lengths, training.visits)
    return training.cost(count_dense(training.model).forward_flops(visited))


def reference_key(
    identity: dict[str, Any], params: TrainParams, protocol: Protocol, seed: int
) -> str:
    """The name of a reference's folder; see `obtain`."""
    return json_hash({**identity, **_settings(params, protocol, seed)})[:16]


def _settings(params: TrainParams, protocol: Protocol, seed: int) -> dict[str, Any]:
    return {"params": dataclasses.asdict(params), "protocol": protocol.hash, "seed": seed}


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
    curve: Curve,
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
        curve: Records the training, if there is one.
        callbacks: Of the training.

    Raises:
        DivergedError: Its training met a NaN or an infinite value.
    """
    key = reference_key(identity, params, protocol, seed)
    folder = runs / "references" / key
    with lock(runs, f"reference-{key}"):
        done = read_json(folder / "reference.json", _Described)
        if done is None or not is_whole(folder / "model.safetensors") or damaged_files(folder):
            perturber = perturber_of(protocol, encoder)
            begin = time.perf_counter()
            with isolated_rng(seed):
                model = load_model(
                    encoder,
                    task.info.labels,
                    protocol.dropout,
                    spans=task.finds_spans,
                    fresh_head=True,
                )
                training = train(
                    model,
                    data,
                    loss=task_loss,
                    params=params,
                    protocol=protocol,
                    device=device,
                    seed=(seed, 0),
                    callbacks=[*callbacks, curve],
                    progress=progress,
                    perturber=perturber,
                )
            save_model(model.cpu(), folder, encoder)
            done = {
                "train_flops": dense_cost(training, data.lengths),
                "steps": training.step,
                "curve": curve.described(),
                "wall_s": time.perf_counter() - begin,
                **_settings(params, protocol, seed),
                **identity,
            }
            write_json(folder / "reference.json", done)
    known = (done[name] for name in ("train_flops", "steps", "curve", "wall_s"))
    return Reference(key, folder, *known)
