"""Figures, text and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


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


def escape(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def small_list(lines: Sequence[str]) -> str:
    """Bullets in small letters; nothing without any."""
    return "\n".join(f"- <sub>{line}</sub>" for line in lines)


def pipe(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; nothing without rows."""
    from tabulate import tabulate

    return tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True) if rows else ""


def listed(params: Mapping[str, Any]) -> str:
    """Parameters by their names and values, as the command line has them."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in params.items()
    )
