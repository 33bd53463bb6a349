"""What a plugin may have changed in a process, read and put back."""

from __future__ import annotations

import gc
import locale
import os
import random
import signal
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from untidy import change_all

from bench.process_state import kept


def state() -> dict[str, Any]:
    """All that `change_all` changes, read by other ways than the library's where there are any."""
    umask = os.umask(0o022)
    os.umask(umask)
    return {
        "folder": os.path.realpath("."),
        "umask": umask,
        "environment": dict(os.environ),
        "handler": signal.getsignal(signal.SIGTERM),
        "alarm": signal.alarm(0),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "recursion": sys.getrecursionlimit(),
        "collects": gc.isenabled(),
        "path": list(sys.path),
        "out": sys.stdout,
        "numpy": np.geterr(),
        "gradients": (torch.ones(1, requires_grad=True) * 2).requires_grad,
        "dtype": torch.ones(1).dtype,
        "device": torch.ones(1).device.type,
        "product": (torch.ones(2, 2) @ torch.ones(2, 2)).dtype,
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.mark.parametrize("how", ["ends", "fails"])
def test_what_a_block_changes_is_put_back(how: str) -> None:
    random.seed(0)
    threads, before = torch.get_num_threads(), state()
    torch.use_deterministic_algorithms(True, warn_only=True)
    before["deterministic"] = True
    try:
        with kept():
            change_all()
            if how == "fails":
                raise RuntimeError("half way")
    except RuntimeError:
        assert how == "fails"
    finally:
        torch.set_num_threads(threads)
    after = state()
    torch.use_deterministic_algorithms(False)
    assert after.pop("path") == [*before.pop("path"), "/untidy"]
    sys.path.remove("/untidy")
    assert after == before
    assert "UNTIDY" not in os.environ


def test_a_folder_that_is_gone_is_no_error(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "place").mkdir()
    os.chdir("place")
    with kept():
        os.chdir("/")
        (tmp_path / "place").rmdir()
    assert os.path.realpath(".") == "/"
    os.chdir(tmp_path)
