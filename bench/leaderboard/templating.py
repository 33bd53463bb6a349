"""Templates: Markdown and HTML in which every text shows as it is, whatever it says."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.leaderboard import markdown
from bench.shown import shown

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


FIGURES: dict[str, Callable[[Any], str]] = {
    "percent": lambda share: "–" if share is None else f"{100 * share:.1f} %",
    "interval": lambda ends: "{:.0f} to {:.0f}".format(*(100 * end for end in ends)),
    "seconds": lambda value: "–" if value is None else f"{value:.0f} s",
    "two": lambda value: "–" if value is None else f"{value:.2f}",
}
"""Filters for what an arena came to: shares, their intervals, times, and other figures."""


def render_markdown(template: str, **content: Any) -> markdown.Markdown:
    """Fills in a template; texts are escaped unless they are `Markdown` already.

    Blank lines stand between parts. Where a part is empty, those around it become one.

    Args:
        template: A file's name in `templates/`.
        content: What it lays out.
    """
    text = _markdown_templates().get_template(template).render(content)
    return markdown.Markdown(re.sub(r"\n{3,}", "\n\n", text).strip())


@functools.cache
def _markdown_templates() -> Environment:
    templates = _templates(autoescape=False, finalize=_escaped)
    templates.filters["safe"] = markdown.Markdown
    functions = ("pipe", "folded", "small_list", "code_block")
    templates.globals |= {name: _marked(getattr(markdown, name)) for name in functions}
    return templates


def _templates(*, autoescape: bool, finalize: Callable[[Any], Any]) -> Environment:
    """What Markdown and HTML have in common: where templates lie, how they are laid out."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        autoescape=autoescape,  # noqa: S701 - without it, `finalize` escapes for Markdown
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    templates.filters |= {
        "rounded": markdown.rounded,
        "p_words": markdown.p_words,
        "least_p_words": markdown.least_p_words,
        "upper_first": upper_first,
    }
    return templates


def upper_first(text: str) -> str:
    """A sentence's beginning."""
    return text[:1].upper() + text[1:]


def _escaped(value: Any) -> str:
    """What a template shows of a value; nothing of none."""
    if value is None or isinstance(value, markdown.Markdown):
        return value or ""
    return markdown.escape(str(value))


def _marked(function: Any) -> Any:
    """A function that writes Markdown, so that what it writes is not escaped."""
    return lambda *arguments: markdown.Markdown(function(*arguments))


def render_html(template: str, **content: Any) -> str:
    """Fills in an HTML template; texts are escaped, and what no reader sees in them is written out.

    Args:
        template: A file's name in `templates/`.
        content: What it lays out; the filters `md` and `md_line` take Markdown.
    """
    return _html_templates().get_template(template).render(content)


@functools.cache
def _html_templates() -> Environment:
    templates = _templates(autoescape=True, finalize=_visible)
    templates.filters |= FIGURES | {"md": _as_html, "md_line": _line_as_html}
    templates.globals |= {"pipe": markdown.pipe}
    return templates


def _visible(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _as_html(text: str) -> Markup:
    from markupsafe import Markup

    from bench.leaderboard.markdown_reader import READER

    return Markup(READER.render(text))  # noqa: S704 - the reader lets no other HTML through


def _line_as_html(text: str) -> Markup:
    from markupsafe import Markup

    from bench.leaderboard.markdown_reader import READER

    return Markup(READER.renderInline(text))  # noqa: S704 - as above
