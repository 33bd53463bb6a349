"""The arena in a real browser: what a form does, and what a browser is kept from doing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("starlette", reason="prunebench[arena] is not installed")
pytest.importorskip("nltk", reason="prunebench[arena] is not installed")

import uvicorn
from arena_site import arena
from browser import chromium, follow, prefer, resize, violations

from bench.arena.application import application
from bench.arena.serve import Address

if TYPE_CHECKING:
    from bench.arena.accounts import Role
    from bench.arena.visit import Arena

pytestmark = pytest.mark.slow
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

    def __init__(self, driver: Any, site: Site) -> None:
        self.driver, self.site = driver, site
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
        box = self.driver.find_element("name", name)
        box.clear()
        box.send_keys(text)

    def press(self, label: str) -> None:
        path = f"//main//button[normalize-space()='{label}']"
        follow(self.driver, self.driver.find_element("xpath", path))

    def choose(self, label: str) -> None:
        self.driver.find_element("xpath", f"//label[normalize-space()='{label}']").click()

    @property
    def text(self) -> str:
        return self.driver.find_element("tag name", "body").text


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    site = Site(tmp_path)
    try:
        with chromium() as driver:
            yield Browser(driver, site)
    finally:
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
    assert not browser.driver.find_elements("css selector", "main img, main script")
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
    row = browser.driver.find_element("xpath", "//tr[contains(., 'magnitude')]")
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
    follow(browser.driver, browser.driver.find_element("tag name", "button"))
    assert "from another site" in browser.text
    assert browser.site.arena.examples.of_round(1) == []


def test_pages_fit_a_telephone_and_every_reader(browser: Browser) -> None:
    """No side scroll at 360 px, and nothing that axe-core finds wrong, in light and dark."""
    resize(browser.driver, 360, 800)
    browser.join("owner", "Olga")
    browser.choose("positive")
    browser.fill("text", "fine " + "w" * 300)
    browser.press("Ask the models")
    for page in ("/examples/1", "/write", "/mine", "/figures", "/people", "/validate"):
        for theme in ("light", "dark"):
            prefer(browser.driver, theme)
            browser.go(page)
            wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 360, page
            assert violations(browser.driver) == [], (page, theme)
