"""How long a cell may take, and how much memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.errors import BenchError


class LimitError(BenchError):
    """A cell took more than it may."""


@dataclass(frozen=True)
class CellLimits:
    """Bounds of a cell or a trial; `None` sets none.

    Attributes:
        hours: Of wall time.
        memory_gb: Resident memory of its process, in GB of 10⁹ bytes.

    Raises:
        BenchError: One is no positive number.
    """

    hours: float | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name, most in (("hours", self.hours), ("memory-gb", self.memory_gb)):
            if most is not None and not 0 < most < math.inf:
                raise BenchError(f"cell-{name} is a positive number, not {most:g}.")

    def excess(self, process: int, seconds: float) -> LimitError | None:
        """What a process takes more of than it may.

        Args:
            process: Its number.
            seconds: How long it has been at its cell.
        """
        if self.hours is not None and seconds > self.hours * 3600:
            return LimitError(f"it took longer than --cell-hours {self.hours:g}")
        if self.memory_gb is not None and _resident(process) > self.memory_gb * 1e9:
            return LimitError(f"it took more memory than --cell-memory-gb {self.memory_gb:g}")
        return None


def _resident(process: int) -> int:
    """Bytes of memory that a process holds; none where it has ended."""
    import psutil

    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0
