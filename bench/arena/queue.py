"""The line before the models: one example at a time, and no more waiting than there are places."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.arena.answers import Answer
    from bench.arena.players import Field

PLACES = 32


class BusyError(BenchError):
    """As many wait as there are places."""


class Queue:
    """Models that answer one after the other: a tokenizer is no thread's but one's.

    Args:
        field: The models.
        places: How many may wait or be answered at once.
    """

    def __init__(self, field: Field, places: int = PLACES) -> None:
        self.field = field
        self._places = threading.BoundedSemaphore(places)
        self._worker = ThreadPoolExecutor(
            max_workers=1, thread_name_prefix="models", initializer=field.begin
        )

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """A place in the line while the block lasts.

        Raises:
            BusyError: There is none.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError("Too many examples wait for an answer. Send yours again in a moment.")
        try:
            yield
        finally:
            self._places.release()

    def pieces(self, texts: Sequence[str]) -> int:
        """How many tokens some texts are."""
        return self._worker.submit(self.field.pieces, texts).result()

    def answers(self, texts: Sequence[str]) -> list[Answer]:
        """What every model says of an example."""
        return self._worker.submit(self.field.answers, texts).result()
