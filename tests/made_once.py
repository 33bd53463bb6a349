"""What a run folder makes once for several cells."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Made(Protocol):
    """A model that was made."""

    @property
    def folder(self) -> Path: ...


def check_made_once(ask: Callable[[], Made], made: list[int]) -> None:
    """It is made once by two who ask at the same time, and again, the same, where it is damaged.

    Args:
        ask: Asks for it.
        made: Grows by one whenever it is made.
    """
    found: list[Made] = []
    others = [threading.Thread(target=lambda: found.append(ask())) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert len(made) == 1 and found[0] == found[1]
    weights = (found[0].folder / "model.safetensors").read_bytes()
    (found[0].folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    again = ask()
    assert len(made) == 2
    assert (again.folder / "model.safetensors").read_bytes() == weights
