"""What HTML pages are dressed with: styles, scripts and the library of figures.

In a folder of pages they lie in `assets/`, the library under its hash and with its licences beside.
In a page of one file they stand in the page. Either way a content security policy names all that
may run, and nothing is fetched from a network.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, require
from bench.files import remove, write_text
from bench.inputs import read_text

if TYPE_CHECKING:
    from markupsafe import Markup

FOLDER = "assets"
STATIC = Path(__file__).parent.parent / "static"
STYLE, PAGE_SCRIPT, CHARTS_SCRIPT, LICENCES = (
    "style.css", "page.js", "charts.js", "vega-licences.txt",
)  # fmt: skip


@dataclass(frozen=True)
class Assets:
    """As a template puts them into a page.

    Attributes:
        styles: The element for the style sheet.
        scripts: The elements for what every page runs.
        figures: The elements for what draws figures, which stand before `scripts`.
        style_sources: What the content security policy allows as a style.
        script_sources: What it allows as a script.
    """

    styles: Markup
    scripts: Markup
    figures: Markup
    style_sources: str
    script_sources: str


def linked(out: Path) -> Assets:
    """Assets that lie in a folder of pages.

    Raises:
        BenchError: The folder has no library of figures, or several.
    """
    from markupsafe import Markup

    found = sorted((out / FOLDER).glob("vega-*.js"))
    if len(found) != 1:
        raise BenchError(
            f"{out / FOLDER} has {len(found)} libraries of figures instead of one: run "
            "`bench leaderboard --html`."
        )

    def script(name: str) -> Markup:
        return Markup('<script src="{}/{}"></script>\n').format(FOLDER, name)

    return Assets(
        styles=Markup('<link rel="stylesheet" href="{}/{}">').format(FOLDER, STYLE),
        scripts=script(PAGE_SCRIPT),
        figures=script(found[0].name) + script(CHARTS_SCRIPT),
        style_sources="'self'",
        script_sources="'self'",
    )


def write_assets(out: Path) -> None:
    """Writes the assets of a folder of pages; another library than today's is removed."""
    library = _library()
    name = f"vega-{hashlib.sha256(library.encode()).hexdigest()[:12]}.js"
    for path in (out / FOLDER).glob("vega-*.js"):
        if path.name != name:
            remove(path, out)
    write_text(out / FOLDER / name, library)
    for own in (STYLE, PAGE_SCRIPT, CHARTS_SCRIPT, LICENCES):
        write_text(out / FOLDER / own, _static(own))


def inlined() -> Assets:
    """Assets that stand in the page itself."""
    from markupsafe import Markup

    scripts = [_library(), _static(CHARTS_SCRIPT), _static(PAGE_SCRIPT)]
    style = _static(STYLE)
    if any("</script" in script.lower() for script in scripts):
        raise BenchError("a script of the page would end it: this release of vl-convert cannot be "
                         "put into one file.")  # fmt: skip
    library, charts, page = (Markup(f"<script>{script}</script>\n") for script in scripts)  # noqa: S704 - ours
    licences = Markup(f"<!--\n{_static(LICENCES).replace('--', '- -')}\n-->\n")  # noqa: S704 - ours
    return Assets(
        styles=Markup(f"<style>{style}</style>"),  # noqa: S704 - ours
        scripts=page,
        figures=licences + library + charts,
        style_sources=_hashed(style),
        script_sources=" ".join(map(_hashed, scripts)),
    )


def _hashed(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _static(name: str) -> str:
    return read_text(STATIC / name)


@functools.cache
def _library() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script, whose own names stay within it.

    Raises:
        BenchError: The package that has it is not installed.
    """
    require("vl_convert", extra="html")
    import vl_convert

    bundle: Any = vl_convert.javascript_bundle  # typed as if it took what it need not
    return f"(() => {{\n{bundle()}\n}})();\n"
