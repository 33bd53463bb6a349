"""Plugins that travel: a node runs the driver's own, whether it has them installed or not."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import TYPE_CHECKING

from bench import registry
from bench.errors import BenchError
from bench.files import short_hash
from bench.runs.cells.cell import Variant
from bench.runs.cluster.freight import Item, items_of

if TYPE_CHECKING:
    from bench.runs.cells.context import Context

PLACE = "plugins"
DESCRIPTION = ("METADATA", "PKG-INFO", "entry_points.txt")
"""What tells of a package which methods and tasks it brings."""


def packages_of(method: str, context: Context, folder: Path) -> dict[str, list[Item]]:
    """The files of the other packages that a method's cells need, by where they are to be found.

    Args:
        method: The variant's name.
        context: Gives the tasks, which may be of other packages as well.
        folder: Where files may be written that have to be made first.

    Raises:
        BenchError: A package cannot be found on this machine.
    """
    points = [registry.methods.point(Variant.parse(method).method)]
    tasks = (prepared.task for prepared in context.tasks.values())
    points += [registry.tasks.point(name) for name in tasks if not name.endswith(".toml")]
    found: dict[str, list[Item]] = {}
    for point in points:
        if point.dist is not None and point.dist.name != registry.OWN_DISTRIBUTION:
            place = f"{PLACE}/{short_hash([point.dist.name, point.dist.version])}"
            if place not in found:
                found[place] = list(_files(point.dist, place, folder))
    return found


def _files(package: Distribution, place: str, folder: Path) -> Iterator[Item]:
    named = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    described = folder / place / named
    described.mkdir(parents=True, exist_ok=True)
    for name in DESCRIPTION:
        if (text := package.read_text(name)) is not None:
            known = "METADATA" if name == "PKG-INFO" else name
            (described / known).write_text(text, encoding="utf-8")
    yield from items_of(described, f"{place}/{named}")
    for module in _modules(package):
        yield from _module_files(module, place, package.name)


def _modules(package: Distribution) -> Iterable[str]:
    """The names that a package's modules begin with."""
    listed = (package.read_text("top_level.txt") or "").split()
    entered = (point.module.partition(".")[0] for point in package.entry_points)
    return dict.fromkeys([*entered, *listed])


def _module_files(module: str, place: str, package: str) -> Iterator[Item]:
    spec = importlib.util.find_spec(module)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise BenchError(f"the module {module} of {package} cannot be sent to other machines.")
    if spec.submodule_search_locations:
        for path in spec.submodule_search_locations:
            for item in items_of(Path(path), f"{place}/{module}"):
                if "/__pycache__/" not in item.path:
                    yield item
    elif spec.origin is not None:
        file = Path(spec.origin)
        yield from items_of(file.parent, place, (file.name,))
