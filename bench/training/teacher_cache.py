"""What a teacher answers to the training rows, computed once and kept on disk.

A reference answers the same rows in every epoch, trial and method. Its answers are computed once,
in batches of like length, and read back from memory-mapped safetensors files. Whether a reference's
answers are kept depends on their size alone, never on what else is kept at the time, so that no
result depends on who came first.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import numpy as np
import torch

from bench.compression.distillation import Insides, compute_insides
from bench.compression.losses import NEVER, logits
from bench.files import atomic_path, is_whole, lock, remove
from bench.models.families import shape_of
from bench.models.heads import marks_spans
from bench.training.batches import EVALUATION_BATCH, collate
from bench.training.loop import autocast

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor
    from transformers import PreTrainedModel

    from bench.compression.callbacks import Batch
    from bench.data.encoded import Encoded
    from bench.protocol import Precision

FOLDER = "answers"
"""Where a reference's folder has them."""

FILES = {"logits": ("logits",), "insides": ("logits", "hidden", "scores")}
"""The tensors of each file. Logits stand in both, since another kernel computes the attention where
its scores are wanted, and what a method reads must not depend on which file came first."""


class Meter(Protocol):
    """Charges a teacher's answers to a cell."""

    def charge(self, lengths: NDArray[np.int64]) -> None:
        """Charges a pass over rows of these lengths."""

    def paused(self) -> AbstractContextManager[None]:
        """Charges no pass inside the block."""


class KeptAnswers:
    """The answers of one teacher to one set of training rows.

    Each row's answers are one block of a flat tensor: logits `[labels]`, or `[2, pieces]` where the
    teacher marks spans, hidden states `[layers + 1, pieces, width]`, scores `[layers, heads,
    pieces, pieces]`; blocks lie in the order of the rows' lengths.

    Args:
        model: The teacher, frozen.
        data: The rows.
        reference: The teacher's folder.
        runs: The run folder, whose references share the limit.
        limit: Bytes that all kept answers of the run folder may take.
        meter: Is told of every answer, as if the teacher had given it anew.
        precision: The protocol's, in which answers are computed whoever asks first.
        log: Takes a line where answers that should be kept cannot be.
        owner: Whose they are alone, where others are not to read them: a folder's name.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        data: Encoded,
        *,
        reference: Path,
        runs: Path,
        limit: float,
        meter: Meter,
        precision: Precision,
        log: Callable[[str], None],
        owner: str = "",
    ) -> None:
        self._teacher = weakref.ref(model)  # which has us, and would else outlive its cell
        self._precision, self._log = precision, log
        self._data, self._lengths, self._meter = data, data.lengths, meter
        self._folder, self._runs, self._limit = reference / FOLDER / owner, runs, limit
        self._open: dict[str, dict[str, NDArray[np.float32]]] = {}
        self._order = np.argsort(data.lengths, kind="stable")
        self._place = np.argsort(self._order)
        lengths, number = np.unique(data.lengths[self._order], return_inverse=True)
        self._ends = {}
        for name in FILES["insides"]:
            sizes = np.array(
                [math.prod(self._shape(name, int(n))) for n in lengths], dtype=np.int64
            )
            self._ends[name] = np.concatenate([[0], np.cumsum(sizes[number])])

    @property
    def _model(self) -> PreTrainedModel:
        return cast("PreTrainedModel", self._teacher())  # which is there: it is who asks

    def logits(self, batch: Batch) -> Tensor | None:
        """Logits of a batch; `None` if they are not kept, or not of its rows."""
        kept = self._kept("logits", batch)
        return None if kept is None else self._padded("logits", kept, batch)

    def insides(self, batch: Batch) -> Insides | None:
        """All that a pass computes, zeros for padding; `None` as for `logits`."""
        kept = self._kept("insides", batch)
        if kept is None:
            return None
        hidden = self._padded("hidden", kept, batch).transpose(0, 1)
        scores = self._padded("scores", kept, batch).transpose(0, 1)
        return Insides(self._padded("logits", kept, batch), tuple(hidden), tuple(scores))

    def _shape(self, name: str, length: int) -> tuple[int, ...]:
        """Shape of a row's block."""
        shape, labels = shape_of(self._model.config), self._model.config.num_labels or 1
        return {
            "logits": (labels, length) if marks_spans(self._model) else (labels,),
            "hidden": (shape.layers + 1, length, shape.width),
            "scores": (shape.layers, shape.heads, length, length),
        }[name]

    def _padded(self, name: str, kept: dict[str, NDArray[np.float32]], batch: Batch) -> Tensor:
        """A batch's blocks of a tensor, `[rows, …]`, filled up to the batch's width.

        Padding has zeros, and no span begins or ends in it.
        """
        rows, width = batch.inputs["input_ids"].shape
        shape, filling = (rows, *self._shape(name, width)), NEVER if name == "logits" else 0.0
        padded = np.full(shape, filling, dtype=np.float32)
        for row, place in zip(padded, self._place[batch.rows], strict=True):
            shape = self._shape(name, self._lengths[self._order[place]])
            begin, end = self._ends[name][place : place + 2]
            row[tuple(map(slice, shape))] = kept[name][begin:end].reshape(shape)
        return torch.from_numpy(padded).to(self._model.device)

    def _kept(self, file: str, batch: Batch) -> dict[str, NDArray[np.float32]] | None:
        """The tensors of a file, made first where need be, if they have answers to a batch."""
        need = 4 * sum(int(self._ends[name][-1]) for name in FILES[file])
        if need > self._limit or not self._is_ours(batch):
            return None
        if file not in self._open:
            path = self._folder / f"{file}.safetensors"
            with lock(self._runs, FOLDER):
                if not is_whole(path):
                    self._make_room(need)
                    computing = autocast(self._model.device, self._precision)
                    try:
                        with (
                            self._meter.paused(),
                            computing,
                            atomic_path(path, sealed=True) as temporary,
                        ):
                            self._write(file, temporary)
                    except OSError as error:
                        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                            raise
                        self._limit = 0  # the cell can do without, the disk may have room for it
                        self._log(f"the teacher answers anew each time, not from disk: {error}")
                        return None
                now, found = time.time_ns(), path.stat()
                os.utime(path, ns=(now, found.st_mtime_ns))  # when it was last used
                self._open[file] = self._mapped(path)
        self._meter.charge(self._lengths[batch.rows])
        return self._open[file]

    def _is_ours(self, batch: Batch) -> bool:
        """Whether a batch has our rows, and those unchanged."""
        if self._model.training or batch.rows.max(initial=0) >= len(self._data):
            return False
        ours = collate(self._data, batch.rows, self._model, self._model.device)
        return all(torch.equal(ours.inputs[name], batch.inputs[name]) for name in ours.inputs)

    def _make_room(self, need: int) -> None:
        """Removes the answers that were not used for longest until there is room for more."""
        for left_by_a_kill in self._runs.glob(f"references/*/{FOLDER}/**/.*"):
            remove(left_by_a_kill, self._runs)
        files = list(self._runs.glob(f"references/*/{FOLDER}/**/*.safetensors"))
        files.sort(key=lambda path: path.stat().st_atime, reverse=True)
        taken = sum(path.stat().st_size for path in files)
        while files and taken + need > self._limit:
            taken -= files[-1].stat().st_size
            remove(files.pop(), self._runs)

    @torch.no_grad()
    def _write(self, file: str, path: Path) -> None:
        """Computes the answers to all rows; written, not mapped: a full disk is an error then."""
        sizes = {name: 4 * int(self._ends[name][-1]) for name in FILES[file]}
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
        entries = {
            name: {
                "dtype": "F32",
                "shape": [size // 4],
                "data_offsets": [starts[name], starts[name] + size],
            }
            for name, size in sizes.items()
        }
        header = json.dumps(entries).encode()
        header += b" " * (-len(header) % 8)
        with path.open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            for begin in range(0, len(self._order), EVALUATION_BATCH):
                places = range(begin, min(begin + EVALUATION_BATCH, len(self._order)))
                self._write_rows(out, places, {n: 8 + len(header) + s for n, s in starts.items()})

    def _write_rows(self, out: IO[bytes], places: range, starts: dict[str, int]) -> None:
        rows = self._order[places.start : places.stop]
        batch = collate(self._data, rows, self._model, self._model.device)
        if "hidden" in starts:
            inside = compute_insides(self._model, batch)
            found = {
                "logits": inside.logits,
                "hidden": torch.stack(inside.hidden, dim=1),
                "scores": torch.stack(inside.scores, dim=1),
            }
        else:
            found = {"logits": logits(self._model, batch)}
        for name, start in starts.items():
            out.seek(start + 4 * int(self._ends[name][places.start]))
            for values, length in zip(found[name].cpu().numpy(), self._lengths[rows], strict=True):
                shape = self._shape(name, length)
                out.write(np.ascontiguousarray(values[tuple(map(slice, shape))]).tobytes())

    def _mapped(self, path: Path) -> dict[str, NDArray[np.float32]]:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        return {
            name: np.memmap(path, np.float32, "r", 8 + size + entry["data_offsets"][0],
                            tuple(entry["shape"]))
            for name, entry in header.items()
        }  # fmt: skip
