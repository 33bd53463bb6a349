"""How training rows are capped and cut into fit and tune: by hashes of their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

CAP_SALT = "cap"
TUNE_SALT = "tune"


def row_hash(texts: Sequence[str], salt: str) -> bytes:
    """A row's place in a salted order that depends on its texts alone."""
    return hashlib.sha256("\0".join((salt, *texts)).encode()).digest()


def cap(rows: Sequence[Sequence[str]], limit: int | None) -> list[int]:
    """The first `limit` rows in the order of a hash of their texts, as sorted row numbers."""
    if limit is None or len(rows) <= limit:
        return list(range(len(rows)))
    order = sorted(range(len(rows)), key=lambda i: (row_hash(rows[i], CAP_SALT), i))
    return sorted(order[:limit])


def cut_tune(rows: Sequence[Sequence[str]]) -> tuple[list[int], list[int]]:
    """Cuts training rows into *fit* and *tune*.

    Tune gets 10 % of the rows, at most 2,000, or 20 % below 5,000 rows. Rows of equal texts fall on
    the same side, whatever their labels.

    Args:
        rows: The texts of each row.

    Returns:
        Row numbers of fit and of tune, each sorted.
    """
    share = 0.2 if len(rows) < 5000 else 0.1
    wanted = min(2000, round(share * len(rows)))
    hashes = [row_hash(texts, TUNE_SALT) for texts in rows]
    ordered = sorted(hashes)
    while 0 < wanted < len(rows) and ordered[wanted - 1] == ordered[wanted]:
        wanted -= 1  # a group of equal rows that does not fit whole stays in fit
    chosen = set(ordered[:wanted])
    fit = [i for i, value in enumerate(hashes) if value not in chosen]
    tune = [i for i, value in enumerate(hashes) if value in chosen]
    return fit, tune
