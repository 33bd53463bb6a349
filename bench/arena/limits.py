"""How often somebody may do something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

from bench.errors import BenchError


class TooOftenError(BenchError):
    """Somebody does something too often."""


class Limit:
    """Lets each visitor do so much a minute, and as much at once.

    Args:
        a_minute: How often.
        clock: Seconds that never go back.
    """

    def __init__(self, a_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute, self._clock = a_minute, clock
        self._held: dict[Hashable, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def spend(self, who: Hashable) -> None:
        """Counts one.

        Raises:
            TooOftenError: There was none left.
        """
        with self._lock:
            now = self._clock()
            left, then = self._held.get(who, (self._a_minute, now))
            left = min(self._a_minute, left + (now - then) * self._a_minute / 60)
            self._held[who] = (max(left - 1, 0) if left >= 1 else left, now)
        if left < 1:
            raise TooOftenError("That was too often. Wait a minute.")
