"""Templates: Markdown in which every text shows as it is, whatever it says."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.leaderboard import markdown

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"


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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(  # noqa: S701 - what escapes for Markdown is `finalize`
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_escaped,
    )
    templates.filters |= {
        "safe": markdown.Markdown,
        "rounded": markdown.rounded,
        "p_words": markdown.p_words,
        "least_p_words": markdown.least_p_words,
        "upper_first": lambda text: text[:1].upper() + text[1:],
    }
    functions = ("pipe", "folded", "small_list", "code_block")
    templates.globals |= {name: _marked(getattr(markdown, name)) for name in functions}
    return templates


def _escaped(value: Any) -> str:
    """What a template shows of a value; nothing of none."""
    if value is None or isinstance(value, markdown.Markdown):
        return value or ""
    return markdown.escape(str(value))


def _marked(function: Any) -> Any:
    """A function that writes Markdown, so that what it writes is not escaped."""
    return lambda *arguments: markdown.Markdown(function(*arguments))
