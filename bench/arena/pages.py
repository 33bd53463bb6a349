"""Templates and the style sheet: every text is escaped, whoever wrote it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import leaderboard
from bench.leaderboard.templating import FIGURES
from bench.leaderboard.templating import TEMPLATES as SHARED
from bench.shown import shown

if TYPE_CHECKING:
    from jinja2 import Environment

    from bench.arena.answers import Word

TEMPLATES = Path(__file__).parent / "templates"
STYLES = (
    Path(leaderboard.__file__).parent / "static" / "style.css",  # colours, tables, focus
    TEMPLATES / "arena.css",
)

STEPS = 4
"""Strengths that a word's influence is shown in, either way."""

READ_OUT = 5
"""Words whose influence is said to who sees no colours."""


def render(template: str, **content: Any) -> str:
    """Fills in a template.

    Args:
        template: A file's name in `templates/`.
        content: What it shows.
    """
    return _templates().get_template(template).render(content)


@functools.cache
def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader([TEMPLATES, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= FIGURES | {"shown": lambda text: shown(text, keep="\n")}
    templates.globals |= {"stretches": stretches, "strongest": strongest}
    return templates


def stretches(text: str, number: int, words: Sequence[Word]) -> list[tuple[str, str]]:
    """A text in stretches, each with the class that shows its influence, if it has any.

    Args:
        text: The text.
        number: Which of the example's texts it is.
        words: Of all of its texts.
    """
    most = max((abs(word.influence) for word in words), default=0.0)
    found, place = [], 0
    for word in (one for one in words if one.text == number):
        found.append((text[place : word.begin], ""))
        step = round(STEPS * abs(word.influence) / most) if most else 0
        side = "for" if word.influence > 0 else "against"
        found.append((text[word.begin : word.end], f"{side}-{step}" if step else ""))
        place = word.end
    return [*found, (text[place:], "")]


def strongest(texts: Sequence[str], words: Sequence[Word]) -> list[tuple[str, str]]:
    """The words that did most to an answer, with the side that each is on, the strongest first.

    Args:
        texts: The example's.
        words: What each has done.
    """
    known = [one for one in words if one.influence and one.text in range(len(texts))]
    return [
        (texts[one.text][one.begin : one.end], "for it" if one.influence > 0 else "against it")
        for one in sorted(known, key=lambda one: -abs(one.influence))[:READ_OUT]
    ]
