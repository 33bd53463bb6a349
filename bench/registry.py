"""Methods and tasks by name, from the entry-point groups `bench.methods` and `bench.tasks`.

Built-ins come through the same door as plugins. Names are known without importing anything; a class
is imported when it is asked for. What cannot be imported or does not keep the contract becomes a
`Broken` entry that names its distribution, and hurts nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from bench import metrics, process_state
from bench.compression.floor import Floor
from bench.compression.method import Method, MethodInfo
from bench.compression.params import MOST_TUNED, Params
from bench.data.task import Task, TaskInfo
from bench.errors import BenchError, kind_and_line, unknown_name
from bench.files import MOST_BITS
from bench.patterns import NAME
from bench.protocol import OPTIONS

OWN_DISTRIBUTION = "prunebench"

T = TypeVar("T", Method, Task)


@dataclass(frozen=True)
class Broken:
    """An entry point that cannot be used.

    Attributes:
        name: The name it wanted to register.
        distribution: The package that it came with, with its version.
        reason: What is wrong, in one line.
    """

    name: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} (from {self.distribution}): {self.reason}"


class Registry(Generic[T]):
    """The named classes of one entry-point group.

    Args:
        group: Entry-point group.
        base: Class that every entry must subclass.
        info_type: Type of the class attribute `info`.
    """

    def __init__(self, group: str, base: type[T], info_type: type) -> None:
        self.group = group
        self.what = group.split(".")[-1].rstrip("s")
        self._base: type = base
        self._info_type = info_type
        self._loaded: dict[str, type[T] | Broken] = {}

    @functools.cached_property
    def _points(self) -> tuple[dict[str, EntryPoint], list[Broken]]:
        """Entry points by name, built-ins first so that they win a clash, and the losers of one."""
        points: dict[str, EntryPoint] = {}
        losers: list[Broken] = []
        found = entry_points(group=self.group)
        for point in sorted(found, key=lambda p: (not _is_own(p), _distribution(p), p.name)):
            held = points.get(point.name)
            if held is None:
                points[point.name] = point
            elif held.value != point.value or _distribution(held) != _distribution(point):
                reason = f"the name is already taken by {_distribution(held)}"
                losers.append(Broken(point.name, _distribution(point), reason))
        return points, losers

    def names(self) -> list[str]:
        """Every registered name, built-ins first, without importing any of them."""
        return list(self._points[0])

    def get(self, name: str) -> type[T]:
        """Returns the class registered under `name`.

        Raises:
            BenchError: Nobody registered the name, or what did is broken.
        """
        if name not in self._points[0]:
            raise unknown_name(self.what, name, self.names())
        found = self._load(name)
        if isinstance(found, Broken):
            raise BenchError(f"{self.what} {found}")
        return found

    def usable(self) -> dict[str, type[T]]:
        """Every class that could be imported, by name."""
        loaded = {name: self._load(name) for name in self.names()}
        return {name: cls for name, cls in loaded.items() if not isinstance(cls, Broken)}

    def broken(self) -> list[Broken]:
        """Everything that could not be used, and why."""
        loaded = [self._load(name) for name in self.names()]
        return [entry for entry in loaded if isinstance(entry, Broken)] + self._points[1]

    def point(self, name: str) -> EntryPoint:
        """What registered `name`; nothing is imported."""
        return self._points[0][name]

    def distribution(self, name: str) -> str:
        """The package, with version, that registered `name`."""
        return _distribution(self._points[0][name])

    def is_own(self, name: str) -> bool:
        """Whether the name is of a class that comes with this package."""
        return _is_own(self._points[0][name])

    def _load(self, name: str) -> type[T] | Broken:
        if name not in self._loaded:
            point = self._points[0][name]
            try:
                # A module may set and print what it likes when it is imported: our own output
                # may be JSON.
                with process_state.kept(), contextlib.redirect_stdout(sys.stderr):
                    loaded = point.load()
                reason = self._objection(name, loaded)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a plugin may fail in any way it likes
                reason = f"{point.value} cannot be imported: {kind_and_line(error)}"
            self._loaded[name] = (
                Broken(name, _distribution(point), " ".join(reason.split())) if reason else loaded
            )
        return self._loaded[name]

    def _objection(self, name: str, loaded: object) -> str:
        """What keeps an imported object from being used; empty where nothing does."""
        base = self._base.__name__
        if not (isinstance(loaded, type) and issubclass(loaded, self._base)):
            return f"{loaded!r} is not a subclass of bench.{base}"
        info = getattr(loaded, "info", None)
        if not isinstance(info, self._info_type):
            return f"{loaded.__name__}.info is missing or not a {self._info_type.__name__}"
        if not isinstance(info, MethodInfo | TaskInfo) or info.name != name:
            return f"{loaded.__name__}.info.name is not the registered name '{name}'"
        if not re.search(NAME, name):
            return "a name has lower case letters, digits, '-' and '_' only"
        for field, hint in get_type_hints(self._info_type).items():
            if not _is_of(getattr(info, field), hint):
                return f"{loaded.__name__}.info.{field} is not what it should be ({hint})"
        if isinstance(info, MethodInfo) and info.works_from < 0:
            return f"{loaded.__name__}.info.works_from is a number of steps: 0 or more"
        if missing := getattr(loaded, "__abstractmethods__", None):
            return f"{loaded.__name__} does not implement {', '.join(sorted(missing))}"
        if issubclass(loaded, Floor) and (loaded.Params, loaded.info.kind) != (Params, "reference"):
            return f"{loaded.__name__} is a floor: its kind is reference, and it has no parameters"
        if issubclass(loaded, Method):
            return _params_objection(loaded)
        return _task_objection(loaded) if issubclass(loaded, Task) else ""


def _is_of(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type, as far as the fields of `info` need it."""
    if isinstance(hint, UnionType):
        return any(_is_of(value, option) for option in get_args(hint))
    if isinstance(value, bool) and hint is not bool:  # to Python a flag is a whole number
        return False
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in inner
    if not isinstance(value, origin or hint):
        return False
    if isinstance(value, int):
        return value.bit_length() <= MOST_BITS
    if isinstance(value, Mapping):
        pairs = (zip(pair, inner, strict=True) for pair in value.items())
        return all(_is_of(one, of) for pair in pairs for one, of in pair)
    return not isinstance(value, tuple) or all(_is_of(one, inner[0]) for one in value)


def _params_objection(method: type[Method]) -> str:
    if not (isinstance(method.Params, type) and issubclass(method.Params, Params)):
        return f"{method.__name__}.Params is not a subclass of bench.Params"
    undeclared = [
        n for n, f in method.Params.__dataclass_fields__.items() if "knob" not in f.metadata
    ]
    if undeclared:
        return f"{method.__name__}.Params.{undeclared[0]} is not declared with knob()"
    if taken := [name for name in method.Params.knobs() if name in OPTIONS]:
        return f"{method.__name__}.Params.{taken[0]} has the name of an option of the run"
    method.Params()  # the defaults must pass their own checks
    tuned, defaults = method.Params.search_space(), method.Params.defaults()
    if len(tuned) > MOST_TUNED:
        return f"{method.__name__}.Params lets more than {MOST_TUNED} be tuned: {', '.join(tuned)}"
    objections = (knob.objection(name, defaults[name]) for name, knob in tuned.items())
    return next((f"{method.__name__}.Params.{line}" for line in objections if line), "")


def _task_objection(task: type[Task]) -> str:
    labels = task.info.labels
    if labels is not None and not (
        all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels) > 1
    ):
        return f"{task.__name__}.info.labels are not two or more different names"
    if wrong := metrics.objection(task.info.metric, labels):
        return wrong
    try:
        task()
    except Exception as error:
        return f"{task.__name__}() fails: {kind_and_line(error)}"
    return ""


def _is_own(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == OWN_DISTRIBUTION


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def missing_requirements(info: MethodInfo) -> dict[str, str]:
    """The modules that a method needs and that are not installed, each with its install line."""
    return {module: line for module, line in info.requires.items() if not _is_there(module)}


def _is_there(module: str) -> bool:
    try:
        with process_state.kept(), contextlib.redirect_stdout(sys.stderr):
            return importlib.util.find_spec(module) is not None
    except KeyboardInterrupt:
        raise
    except BaseException:  # the package that it should lie in is imported, and may fail anyhow
        return False


methods: Registry[Method] = Registry("bench.methods", Method, MethodInfo)  # type: ignore[type-abstract]
tasks: Registry[Task] = Registry("bench.tasks", Task, TaskInfo)  # type: ignore[type-abstract]


def add_place(folder: Path) -> None:
    """Looks for plugins in one more folder first, such as one that they were sent into."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        for registry in (methods, tasks):
            vars(registry).pop("_points", None)


def task(name: str) -> Task:
    """Returns a task by its registered name, or by a TOML file that declares one.

    Raises:
        BenchError: The name is unknown, or the file does not declare a task.
    """
    if name.endswith(".toml"):
        from bench.data.tasks.table import table_task

        return table_task(Path(name))
    return tasks.get(name)()
