"""What cells share, made once a run folder: what a run lends to its making, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from bench.errors import BenchError
from bench.files import is_whole, json_hash, lock, read_json, write_bytes, write_json

if TYPE_CHECKING:
    from torch import Tensor


class SharedRun:
    """What of a run depends neither on labels nor on the cell's seed."""

    LENT = (
        "task", "target", "seed", "log", "pretrained", "pretrained_teacher", "language_model",
        "language_teacher", "train_general",
    )  # fmt: skip

    def __init__(self, run: object) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        if name not in self.LENT:
            raise BenchError(f"run.{name}: what cells share sees no labels, and so has no {name}.")
        return getattr(self._run, name)


class SharedCost(Struct, kw_only=True):
    """What `cost.json` has to say of what cells share."""

    train_flops: int
    train_s: float = 0.0


def obtain_shared(
    runs: Path,
    identity: Mapping[str, Any],
    make: Callable[[], tuple[dict[str, Tensor], SharedCost]],
) -> tuple[str, SharedCost, dict[str, Tensor]]:
    """Tensors that a run folder keeps, made where it has none yet.

    Args:
        runs: The run folder.
        identity: All that they depend on: plain data.
        make: Makes them, and says what that has cost.

    Returns:
        The name of their folder, what they cost whoever made them, and the tensors.
    """
    from safetensors.torch import load_file, save

    folder = runs / "shared" / json_hash(identity)[:16]
    with lock(runs, f"shared-{folder.name}"):
        known = read_json(folder / "cost.json", SharedCost)
        if known is None or not is_whole(folder / "tensors.safetensors"):
            made, cost = make()
            tensors = {name: value.cpu().contiguous() for name, value in made.items()}
            write_bytes(folder / "tensors.safetensors", save(tensors))
            known = {**to_builtins(cost), **identity}
            write_json(folder / "cost.json", known)
    # Folders of before seconds were measured have none.
    cost = SharedCost(train_flops=known["train_flops"], train_s=known.get("train_s", 0.0))
    return folder.name, cost, load_file(folder / "tensors.safetensors")
