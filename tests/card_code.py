"""The code of a model card, run as somebody would who has pasted it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from bench import registry

LABELS = registry.task("demo-sentiment").info.labels or ()


def blocks(card: str) -> list[str]:
    """The blocks of Python: one that loads the model, one that reads the record."""
    found = re.findall(r"^```python\n(.*?)^```", card, re.S | re.M)
    assert len(found) == 2
    return found


def printed_here(code: str, script: Path) -> str:
    """What code prints as a script, run in this process and in its working directory."""
    script.write_text(code)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(script))
    return out.getvalue().removesuffix("\n")


def printed_elsewhere(code: str, place: Path, endpoint: str) -> list[str]:
    """The lines that code prints, run in an empty process that has one hub and its own cache."""
    hub = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env=os.environ | hub | {"HF_HOME": str(place / "hf-home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
