"""Makes the pictures of README: a leaderboard and the arena in a browser, wide and narrow.

    python docs/screenshots.py          # needs chromium, its driver, and the extras html and arena
    python docs/screenshots.py RUNS     # the same with a run of the demo's sentences that is there

The leaderboard is that of the published demo. For the arena, two models are trained first, and one
example is written against the compressed one.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browser import chromium, resize, wait  # noqa: E402 - of the tests

from bench.arena.application import application  # noqa: E402
from bench.arena.serve import Address, opened  # noqa: E402
from bench.arena.verdicts import Rule  # noqa: E402
from bench.results.store import Store  # noqa: E402

SIZES = ((1280, 800), (360, 720))
"""Width and height of the windows, in pixels."""

COLOURS = 96
"""Of a picture: enough for text, and small files."""

TASK, METHOD = "demo-sentiment", "magnitude"
EXAMPLE = "the actors were never dull and the story was warm"


def bench(*words: str | Path) -> None:
    """Runs a command."""
    subprocess.run([Path(sys.executable).with_name("bench"), *map(str, words)], check=True)


def shoot(browser: Any, name: str) -> None:
    """Takes a picture of what the window shows, in each size."""
    from PIL import Image

    for width, height in SIZES:
        resize(browser, width, height)
        time.sleep(1)  # figures are drawn anew
        taken = browser.execute_script("scrollTo(0, 0)") or browser.get_screenshot_as_png()
        picture = Image.open(io.BytesIO(taken)).convert("RGB")
        picture.quantize(COLOURS).save(ROOT / f"docs/{name}-{width}.png", optimize=True)


def leaderboard(browser: Any, folder: Path) -> None:
    """The page of the published demo."""
    page = folder / "demo.html"
    bench("leaderboard", "--out", ROOT / "leaderboards", "--name", "demo", "--html", page)
    browser.get(page.as_uri())
    wait(browser, "page.state")
    shoot(browser, "web")


def arena(browser: Any, runs: Path) -> None:
    """What a writer sees of an example."""
    cell = next(record.id for record in Store(runs).records()
                if record.cell["method"] == METHOD)  # fmt: skip
    with served(runs, cell) as (origin, invitation):
        browser.get(f"{origin}/join/{invitation}")
        fill(browser, "name", "Ada")
        submit(browser)
        browser.get(f"{origin}/write")
        fill(browser, "text", EXAMPLE)
        browser.find_element("css selector", "input[name=label][value='1']").click()
        submit(browser)
        shoot(browser, "arena")


@contextmanager
def served(runs: Path, cell: str) -> Iterator[tuple[str, str]]:
    """An arena that listens; its address, and an invitation to write."""
    address = Address(port=8399)
    with opened(Store(runs), [cell], address, Rule()) as held:
        server = uvicorn.Server(
            uvicorn.Config(application(held), port=address.port, log_level="error")
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                time.sleep(0.05)
            yield address.origins[0], held.accounts.invite("annotator")
        finally:
            server.should_exit = True
            thread.join()


def fill(browser: Any, name: str, text: str) -> None:
    """Writes into a field."""
    browser.find_element("name", name).send_keys(text)


def submit(browser: Any) -> None:
    """Sends the form of the page, and waits for the next one."""
    browser.execute_script("window.old = true")
    browser.find_element("css selector", "main form button").click()
    wait(browser, "!window.old && document.readyState === 'complete'")


def main() -> None:
    """Makes all pictures."""
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        leaderboard(browser, Path(scratch))
        runs = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(scratch) / "runs"
        if not runs.exists():
            bench("run", "--tasks", TASK, "--methods", METHOD, "--ratios", "20", "--name", "demo",
                  "--keep-models", "all", "--no-latency", "--runs", runs)  # fmt: skip
        arena(browser, runs)


if __name__ == "__main__":
    main()
