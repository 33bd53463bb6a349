"""HTML pages in headless Chromium: what a reader can do, and that everyone can read them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser as web
import pytest
from harness import PAGES, bench

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("vl_convert", reason="vl-convert is not installed")
    out = tmp_path_factory.mktemp("html") / "pages"
    (out / "records").mkdir(parents=True)
    for name in ("demo", "knowledge"):
        for path in (PAGES / "records").glob(f"{name}.*"):
            shutil.copy(path, out / "records")
    assert bench("leaderboard", "--out", out, "--html").status == 0
    file = out.parent / "one.html"
    assert bench("leaderboard", "--out", out, "--name", "demo", "--html", file).status == 0
    return out


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with web.chromium() as one:
        yield one


@pytest.fixture
def page(chromium: Any, folder: Path) -> Any:
    web.resize(chromium, 1280, 1000)
    web.requested(chromium)
    chromium.get((folder / "demo.html").as_uri())
    web.wait(chromium, "page.state")
    return chromium


def column(page: Any, head: str) -> list[str]:
    """The texts of the rows that are shown."""
    return page.execute_script(  # type: ignore[no-any-return]
        "const heads = [...document.querySelectorAll('#board thead th')];"
        "const at = heads.findIndex((one) => one.textContent.startsWith(arguments[0]));"
        "return [...document.querySelectorAll('#board tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => (row.cells[at].querySelector('.name') ?? row.cells[at]).textContent.trim())",
        head,
    )


def click(page: Any, selector: str) -> None:
    page.find_element("css selector", selector).click()


def choose(page: Any, selector: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("css selector", selector)).select_by_value(value)


def sort_by(page: Any, head: str) -> None:
    page.execute_script(
        "[...document.querySelectorAll('#board thead button')]"
        ".find((one) => one.textContent.startsWith(arguments[0])).click()",
        head,
    )


def number(text: str) -> float:
    return float(text.partition(" ")[0].replace(",", ""))


@pytest.mark.parametrize("name", ["pages/demo.html", "pages/index.html", "one.html"])
def test_a_page_asks_for_nothing_but_its_own_files_and_breaks_no_rule_of_its_own(
    chromium: Any, folder: Path, name: str
) -> None:
    web.requested(chromium), web.complaints(chromium)
    chromium.get((folder.parent / name).as_uri())
    if "index" not in name:
        for figure in ("tradeoff", "forest", "heat"):
            chromium.execute_script(f"document.getElementById('{figure}').scrollIntoView()")
            web.wait(chromium, f"document.getElementById('{figure}').dataset.drawn === 'yes'")
    asked = {url for url in web.requested(chromium) if not url.startswith(("data:", "chrome"))}
    assert asked
    assert all(url.startswith(folder.parent.as_uri()) for url in asked)
    if name == "one.html":
        assert len(asked) == 1
    assert web.complaints(chromium) == []


def test_it_sorts_by_a_column_both_ways_and_says_so(page: Any) -> None:
    sort_by(page, "average")
    averages = [*map(number, column(page, "average"))]
    assert averages == sorted(averages, reverse=True)
    assert len(set(averages)) > 5
    sort_by(page, "average")
    assert [*map(number, column(page, "average"))] == sorted(averages)
    said = (
        "[...document.querySelectorAll('[aria-sort]')].map((one) => one.getAttribute('aria-sort'))"
    )
    assert page.execute_script(f"return {said}") == ["ascending"]


def test_a_name_that_begins_with_a_digit_makes_no_number_of_its_column(page: Any) -> None:
    named = "document.querySelector('#board tbody tr:not([hidden]) .name button').textContent"
    page.execute_script(f"{named} = '8bit'")
    sort_by(page, "method")
    names = column(page, "method")
    assert names[0] == "8bit"
    assert names[1:] == sorted(names[1:])


def test_filters_choose_rows_columns_and_seeds(page: Any) -> None:
    everything = column(page, "method")
    assert set(column(page, "ratio")) == {"20×", "–"}
    choose(page, "select[name=ratio]", "4")
    assert set(column(page, "ratio")) == {"4×", "–"}
    choose(page, "select[name=ratio]", "")
    assert len(column(page, "method")) > 2 * len(everything)
    choose(page, "select[name=ratio]", "20")
    click(page, "input[name=controls]")
    assert set(everything) - set(column(page, "method")) == {
        "dense", "random-mask", "small-dense", "majority",
    }  # fmt: skip
    click(page, "#filters summary")
    click(page, "input[name=kind][value=small]")
    assert "tinybert" not in column(page, "method")
    click(page, "input[name=task][value=demo-similarity]")
    heads = "[...document.querySelectorAll('#board thead th')].filter((one) => !one.hidden)"
    shown = page.execute_script(f"return {heads}.map((one) => one.textContent)")
    assert not [head for head in shown if head.startswith("demo-similarity")]
    before = column(page, "demo-sentiment")
    for seed in (1, 2, 3, 4):
        click(page, f"input[name=seed][value='{seed}']")
    alone = page.execute_script(
        "return page.shown.map((row) => row.scores['demo-sentiment']['0'].toFixed(1))"
    )
    assert column(page, "demo-sentiment") == alone
    for seed in (1, 2, 3, 4):
        click(page, f"input[name=seed][value='{seed}']")
    assert column(page, "demo-sentiment") == before
    page.find_element("css selector", "input[name=method]").send_keys("magni")
    assert set(column(page, "method")) == {"magnitude", "one-shot-magnitude"}


def test_an_axis_is_chosen_and_the_front_is_that_of_a_plain_search(page: Any) -> None:
    page.execute_script("document.getElementById('tradeoff').scrollIntoView()")
    web.wait(page, "document.getElementById('tradeoff').dataset.drawn === 'yes'")
    for axis, title in (("flops", "GFLOPs"), ("weights", "prunable weights")):
        choose(page, "#tradeoff select", axis)
        web.wait(page, f"document.getElementById('tradeoff').textContent.includes('{title}')")
        web.wait(page, "document.getElementById('tradeoff').dataset.drawn === 'yes'")
        points = page.execute_script(
            "return page.everyRatio.filter((row) => !row.answers).map((row) => "
            f"({{cost: row.costs['{axis}'], score: averageOf(row, page.state)}}))"
        )
        front = page.execute_script("return paretoFront(arguments[0])", points)
        plain = [
            one for one in points
            if not any(
                other["cost"] <= one["cost"] and other["score"] >= one["score"] and other != one
                for other in points
            )
        ]  # fmt: skip
        key = lambda point: (point["cost"], point["score"])  # noqa: E731
        assert sorted(map(key, front)) == sorted(map(key, plain))
        assert len(front) > 1


def test_names_in_a_legend_are_picked_by_keyboard_and_by_pointer(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.execute_script("document.getElementById('tradeoff').scrollIntoView()")
    web.wait(page, "document.getElementById('tradeoff').dataset.drawn === 'yes'")
    entries = page.find_elements("css selector", "#tradeoff .role-legend [role=button]")
    first, second, *_ = names = [one.get_attribute("aria-label") for one in entries]
    cells = page.execute_script(
        "return page.everyRatio.filter((row) => !row.answers).map((row) => row.method)"
    )
    assert sorted(names) == sorted(set(cells))

    def wait_for(*picked: str) -> None:
        """Until the legend says so, and the averages of the others, and they alone, are faint."""
        held = "document.querySelectorAll('#tradeoff .role-legend [aria-pressed=true]')"
        said = f"[...{held}].map((one) => one.getAttribute('aria-label')).join()"
        web.wait(page, f"{said} === {','.join(picked)!r}")
        clear = sum(one in picked for one in cells) if picked else len(cells)
        points = "[...document.querySelectorAll('#tradeoff [role=graphics-symbol][opacity=\"1\"]')]"
        web.wait(page, f"{points}.length === {clear}")

    def press(*keys: str) -> None:
        page.switch_to.active_element.send_keys(*keys)

    wait_for()
    page.execute_script("arguments[0].focus()", entries[0])
    press(Keys.ENTER)
    wait_for(first)
    press(Keys.TAB)
    press(Keys.SHIFT, Keys.SPACE)
    wait_for(first, second)
    press(Keys.ENTER)
    wait_for(second)
    press(Keys.SPACE)
    wait_for()
    entries[2].click()
    wait_for(names[2])
    entries[2].click()
    wait_for()


def test_a_cell_shows_what_its_record_has(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    button = page.find_element("css selector", "#board tbody tr:not([hidden]) button")
    name = button.text.replace("\n", "")
    button.send_keys(Keys.ENTER)  # by keyboard
    dialog = page.find_element("css selector", "#cell")
    assert dialog.is_displayed()
    assert dialog.find_element("css selector", "h2").text == f"{name}, 4×" or name in dialog.text
    for said in ("learning_rate", "torch", "Cost by part", "Answers that differ from dense"):
        assert said in dialog.text
    record = page.execute_script(
        "return JSON.parse(document.querySelector('#cell pre').textContent)"
    )
    lines = (PAGES / "records" / "demo.jsonl").read_text().splitlines()
    assert any(f'"id": "{record["id"]}"' in line for line in lines)
    dialog.send_keys(Keys.ESCAPE)
    assert not dialog.is_displayed()


def test_weights_give_an_order_of_their_own_and_leave_the_ranks(page: Any) -> None:
    ranks = column(page, "rank")
    page.execute_script("document.getElementById('weights').open = true")
    names = (
        "[...document.querySelectorAll('#order li')].map((one) => one.textContent.split(':')[0])"
    )

    def set_weights(**weights: int) -> list[str]:
        page.execute_script(
            "for (const one of document.querySelectorAll('#sliders input')) {"
            "one.value = arguments[0][one.name] ?? 0; one.dispatchEvent(new Event('input')); }",
            weights,
        )
        return page.execute_script(f"return {names}")  # type: ignore[no-any-return]

    rows = page.execute_script(
        "return page.data.rows.filter((row) => row.ratio === 20 && row.exchanged)"
    )
    for weights in ({"score": 1}, {"bytes": 1}, {"score": 3, "flops": 2, "loyalty": 1}):
        total = sum(weights.values())
        plain = {row["method"]: sum(w / total * row["exchanged"][k] for k, w in weights.items())
                 for row in rows}  # fmt: skip
        found = set_weights(**weights)
        assert [plain[name] for name in found] == sorted(plain.values(), reverse=True)
    assert set_weights() == []
    assert column(page, "rank") == ranks


def test_columns_are_explained_by_keyboard_and_pointer(page: Any) -> None:
    page.execute_script(
        "[...document.querySelectorAll('#board thead button')]"
        ".find((one) => one.textContent.startsWith('win rate')).focus()"
    )
    assert page.execute_script("return document.getElementById('tip').hidden") is False
    assert "A tie is half a win" in page.execute_script(
        "return document.getElementById('tip').textContent"
    )
    described = page.execute_script(
        "return document.getElementById(document.activeElement.getAttribute('aria-describedby'))"
        ".textContent"
    )
    assert "A tie is half a win" in described


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["pages/knowledge.html", "pages/index.html"])
def test_no_automatic_check_of_accessibility_finds_an_error(
    chromium: Any, folder: Path, name: str, theme: str
) -> None:
    web.resize(chromium, 1280, 1000)
    web.prefer(chromium, theme)
    chromium.get((folder.parent / name).as_uri())
    if "index" not in name:
        for figure in ("tradeoff", "forest", "heat"):
            chromium.execute_script(f"document.getElementById('{figure}').scrollIntoView()")
            web.wait(chromium, f"document.getElementById('{figure}').dataset.drawn === 'yes'")
        chromium.execute_script(
            "for (const one of document.querySelectorAll('details')) one.open = true"
        )
    assert web.violations(chromium) == []
    if "index" not in name:
        chromium.execute_script("document.querySelector('#board tbody button').click()")
        assert web.violations(chromium) == []


@pytest.mark.parametrize("name", ["pages/demo.html", "pages/index.html"])
def test_a_narrow_screen_scrolls_in_one_direction(chromium: Any, folder: Path, name: str) -> None:
    web.resize(chromium, 360, 800)
    chromium.get((folder.parent / name).as_uri())
    wide = "document.documentElement.scrollWidth"
    assert chromium.execute_script(f"return {wide}") <= 360
