"""Files that the driver has sent into the cluster's object store, for nodes that ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.runs.cluster.freight import Item, parts_of

MOST_BYTES = 2_000_000_000
"""Of files that are kept at hand; those sent longest ago are sent again where they are wanted."""


class Stock:
    """Files in an object store, by their checksums.

    Args:
        ray: The module.
    """

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray
        self._parts: dict[str, list[Any]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, items: Iterable[Item]) -> None:
        """Sends files that were not sent yet."""
        for item in items:
            if item.sha256 in self._parts:
                continue
            parts = [self._ray.put(part) for part in parts_of(Path(item.source))]
            self._parts[item.sha256], self._sizes[item.sha256] = parts, item.size
            while sum(self._sizes.values()) > MOST_BYTES and len(self._sizes) > 1:
                oldest = next(iter(self._sizes))
                if oldest == item.sha256:
                    break
                del self._parts[oldest], self._sizes[oldest]

    def of(self, items: Iterable[Item]) -> Mapping[str, list[Any]]:
        """Those of some files that were sent."""
        return {i.sha256: self._parts[i.sha256] for i in items if i.sha256 in self._parts}
