"""CSV in which no text is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from bench.shown import shown

FORMULA = tuple("=+-@＝＋－＠")
"""How a text begins that a spreadsheet takes for a formula; a tab or a line end is written out."""


def text_cell(text: str) -> str:
    """A text as a cell: with an apostrophe before what would begin a formula.

    Numbers are no texts: they stand as they are, with their signs.
    """
    plain = shown(text)
    return f"'{plain}" if plain.lstrip().startswith(FORMULA) else plain


def as_csv(rows: Iterable[Sequence[str | int]]) -> str:
    """Rows of cells, the heads first."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
