"""Makes model classes of our own known to transformers' Auto classes.

Without importing transformers for it: see `bench.models.own_classes`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from typing import Any

OWN = "bench.models.own_classes"
MODELS = "transformers.models.auto.modeling_auto"
CONFIGS = "transformers.models.auto.configuration_auto"


def make_known() -> None:
    """Registers them now if the Auto classes are there, or as soon as they are imported."""
    if CONFIGS in sys.modules:
        importlib.import_module(OWN)
        return
    _Registrar(MODELS)
    _Registrar(CONFIGS, MODELS, "transformers.modeling_utils")


class _Registrar(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes our classes known to transformers' Auto classes as soon as somebody imports these.

    A saved model of ours then loads by `from_pretrained` after a mere `import bench`, which need
    not import transformers itself.

    Args:
        awaited: The module of transformers that is waited for.
        first: Modules whose import may be what brings it, and then must end before.
    """

    def __init__(self, awaited: str, *first: str) -> None:
        self._awaited = awaited
        self._first = first
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """Finds the module by everybody else's means, and puts this loader before its own."""
        if fullname != self._awaited:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: Any) -> Any:
        """Leaves it to the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Runs the module, then registers, unless that has to wait for what imports it."""
        self._loader.exec_module(module)
        if not any(name in sys.modules for name in self._first):
            importlib.import_module(OWN)
