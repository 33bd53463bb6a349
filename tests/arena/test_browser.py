"""The arena in a real browser: what a form does, and what a browser is kept from doing."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette", reason="prunebench[arena] is not installed")
pytest.importorskip("nltk", reason="prunebench[arena] is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import uvicorn
from arena_site import arena
from selenium import webdriver
from selenium.webdriver.common.by import By

from bench.arena.application import application
from bench.arena.serve import Address

if TYPE_CHECKING:
    from bench.arena.accounts import Role
    from bench.arena.visit import Arena

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]
SCRIPT = "<script>document.title='fooled'</script><img src=x onerror=document.title='fooled'>"


class Site:
    """A server in a thread, with what it was asked."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.arena: Arena = arena(folder, origins=Address(port=port).origins)
        self.origin = self.arena.origins[0]
        self.asked: list[tuple[str, str]] = []
        guarded = application(self.arena)

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                said = dict(scope["headers"])
                self.asked.append((scope["path"], said.get(b"referer", b"").decode()))
            await guarded(scope, receive, send)

        config = uvicorn.Config(noted, port=port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.05)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class Browser:
    """One browser; the cookies that it has say who sits before it."""

    def __init__(self, site: Site) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
            options.add_argument(word)
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options, service)
        self.site = site
        self._cookies: dict[str, dict[str, Any]] = {}

    def go(self, address: str) -> None:
        self.driver.get(self.site.origin + address)

    def join(self, role: Role, name: str) -> None:
        self.driver.delete_all_cookies()
        self.go(f"/join/{self.site.arena.accounts.invite(role)}")
        self.fill("name", name)
        self.press("Come in")
        self._cookies[name] = self.driver.get_cookie(self.site.arena.cookie)

    def become(self, name: str) -> None:
        self.driver.delete_all_cookies()
        self.driver.add_cookie(self._cookies[name])

    def fill(self, name: str, text: str) -> None:
        box = self.driver.find_element(By.NAME, name)
        box.clear()
        box.send_keys(text)

    def press(self, label: str) -> None:
        self.driver.find_element(By.XPATH, f"//main//button[normalize-space()='{label}']").click()

    def choose(self, label: str) -> None:
        self.driver.find_element(By.XPATH, f"//label[normalize-space()='{label}']").click()

    @property
    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    site = Site(tmp_path)
    held = Browser(site)
    yield held
    held.driver.quit()
    site.close()


def test_a_round_from_its_first_example_to_its_set(browser: Browser) -> None:
    browser.join("owner", "Olga")
    for name in ("Bea", "Cem"):
        browser.join("validator", name)
    browser.join("annotator", "Ada")
    browser.choose("positive")
    browser.fill("text", f"fine {SCRIPT}")
    browser.press("Ask the models")
    assert "You found what compression broke" in browser.text
    assert "onerror=document.title" in browser.text
    assert browser.driver.title == "What they say · arena"
    assert not browser.driver.find_elements(By.CSS_SELECTOR, "main img, main script")
    for name in ("Bea", "Cem"):
        browser.become(name)
        browser.go("/validate")
        assert "Model A" not in browser.text
        assert browser.driver.title == "Validate · arena"
        browser.press("positive")
        assert "Nothing waits" in browser.text
    browser.become("Olga")
    browser.go("/figures")
    browser.press("Close round-1")
    row = browser.driver.find_element(By.XPATH, "//tr[contains(., 'magnitude')]")
    assert row.text.count("100.0 %") == 3  # MER, vMER, and what compression lost
    assert (browser.site.arena.folder / "rounds" / "round-1" / "set.parquet").is_file()


def test_a_browser_tells_nobody_of_an_invitation(browser: Browser) -> None:
    token = browser.site.arena.accounts.invite("annotator")
    browser.go(f"/join/{token}")
    browser.fill("name", "Ada")
    browser.press("Come in")
    assert browser.driver.current_url.endswith("/write")
    assert not any(token in referer for _, referer in browser.site.asked)
    assert token not in browser.driver.page_source


def test_a_browser_sends_no_form_of_another_page(browser: Browser, tmp_path: Path) -> None:
    """A page on another origin, with a session of ours in the same browser."""
    browser.join("annotator", "Ada")
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<form method="post" action="{browser.site.origin}/write"><input name="text" value="x">'
        '<button>Win a prize</button></form><img src="' + browser.site.origin + '/arena.css">'
    )
    browser.driver.get(evil.as_uri())
    browser.driver.find_element(By.TAG_NAME, "button").click()
    assert "from another site" in browser.text
    assert browser.site.arena.examples.of_round(1) == []


def test_a_page_fits_a_telephone(browser: Browser) -> None:
    browser.driver.set_window_size(500, 900)  # the least that headless Chromium takes
    browser.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.join("owner", "Olga")
    browser.choose("positive")
    browser.fill("text", "fine " + "w" * 300)
    browser.press("Ask the models")
    for page in ("/examples/1", "/write", "/mine", "/figures", "/people", "/validate"):
        browser.go(page)
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 360, page
