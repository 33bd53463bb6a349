"""A headless Chromium for tests of pages; they skip, with the reason, where there is none."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WAIT = 30.0
"""Seconds in which a page has to do what a test waits for."""


@contextlib.contextmanager
def chromium(width: int = 1280, height: int = 1000) -> Iterator[Any]:
    """A browser with a log of what it requests and of what its pages complain about."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   f"--window-size={width},{height}"):  # fmt: skip
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.chrome.service.Service(driver)
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(10 * WAIT)  # axe-core has much to look at
    try:
        resize(browser, width, height)
        yield browser
    finally:
        browser.quit()


def resize(browser: Any, width: int, height: int) -> None:
    """A window narrower than what the system allows, too."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: Any, theme: str) -> None:
    """Sets what the page is told that its reader prefers: `light` or `dark`."""
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def wait(browser: Any, condition: str) -> None:
    """Waits until a JavaScript expression holds."""
    until(lambda: bool(browser.execute_script(f"return Boolean({condition})")), condition)


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def follow(browser: Any, element: Any) -> None:
    """Clicks on what leads to another page, and waits until that page stands."""
    browser.execute_script("window.left = true")
    element.click()
    wait(browser, "!window.left && document.readyState === 'complete'")


def requested(browser: Any) -> set[str]:
    """The addresses that pages asked for since this was last asked."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    }


def complaints(browser: Any) -> list[str]:
    """What the browser's console says since this was last asked: errors, refused scripts."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def violations(browser: Any) -> list[str]:
    """What axe-core finds wrong for readers with a keyboard, a screen reader or weak eyes."""
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    browser.execute_script(script)
    found = browser.execute_async_script(
        "const done = arguments[arguments.length - 1]; axe.run().then(r => done(r.violations));"
    )
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
