"""Figures, text and tables as Markdown."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.shown import shown


def rounded(value: float | None, digits: int) -> str:
    """A figure with so many digits, or a dash where there is none."""
    return "–" if value is None else f"{round(value, digits) + 0.0:,.{digits}f}"  # -0 + 0 is 0


def p_words(p: float) -> str:
    """A p as in 'p = 0.33'."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def least_p_words(p: float) -> str:
    """The smallest p that can come out, as in 'it is 0.0079'."""
    return "below 0.001" if p < 0.001 else f"{p:.2g}"


def significant(value: float | None) -> str:
    """A figure with three digits that count, or a dash where there is none."""
    return "–" if value is None else f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def folded(title: str, body: str) -> str:
    """A part that opens on a click; nothing where it is empty."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


@functools.lru_cache(maxsize=1 << 14)  # names and figures come again, a row a record
def escape(text: str) -> str:
    """Text that Markdown and the HTML in it show as it is, in one line, also in a table.

    What no reader sees is written out, see `shown`. A dollar would begin a formula on some sites.
    """
    marked = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", shown(" ".join(text.split())))
    return re.sub(r"^([-+=]+|\d+[.)])(?=\s|$)", _first_escaped, marked)


def _first_escaped(found: re.Match[str]) -> str:
    """What would begin a list, or underline the line before."""
    return f"{found[0][:-1]}\\{found[0][-1]}"


def code_block(lines: Sequence[str]) -> str:
    """Lines as they are, between fences that none of them can close."""
    text = "\n".join(map(shown, lines))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def small_list(lines: Sequence[str]) -> str:
    """Bullets in small letters; nothing without any."""
    return "\n".join(f"- <sub>{line}</sub>" for line in lines)


class Markdown(str):
    """Text that is Markdown already."""


def pipe(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of texts, which show as they are; nothing without rows."""
    from tabulate import tabulate

    if not rows:
        return ""
    cells = [[cell if isinstance(cell, Markdown) else escape(cell) for cell in row] for row in rows]
    named = [escape(head) for head in heads]
    return tabulate(cells, headers=named, tablefmt="pipe", disable_numparse=True)


def listed(params: Mapping[str, Any]) -> str:
    """Parameters by their names and values, as the command line has them."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )
