"""Which training rows are used, and which of them tune takes: all of it told by their texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.data.equal_texts import normalised

Rows = Sequence[Sequence[str]]
"""The texts of each row: one, or the two of a pair."""

Ties = Sequence[tuple[int, int]]
"""Numbers of two rows each, of which one was made from the other."""

CAP_SALT = "cap"
TUNE_SALT = "tune"


class Twins(NamedTuple):
    """Training rows whose texts are those of a report row.

    Attributes:
        rows: Their numbers, sorted.
        exact: How many of them are equal to the letter, in the same order.
    """

    rows: list[int]
    exact: int


class Cut(NamedTuple):
    """Row numbers of fit and of tune, each sorted.

    Attributes:
        fit: Rows that trials train on.
        tune: Rows that trials are scored on.
        shared: How many tune rows have a whole text that a fit row has, too.
    """

    fit: list[int]
    tune: list[int]
    shared: int


def row_hash(texts: Sequence[str], salt: str) -> bytes:
    """A row's place in a salted order that depends on its texts alone."""
    return hashlib.sha256("\0".join((salt, *texts)).encode()).digest()


def find_twins(train: Rows, report: Rows) -> Twins:
    """Finds the training rows that are report rows, whatever their labels.

    Rows are the same where their normalised texts are; the two texts of a pair may have changed
    places.
    """
    letters, known = set(map(tuple, report)), set(map(_whole, report))
    found = [number for number, texts in enumerate(train) if _whole(texts) in known]
    return Twins(found, sum(tuple(train[number]) in letters for number in found))


def cap(rows: Rows, limit: int | None) -> list[int]:
    """The first `limit` rows in the order of a hash of their texts, as sorted row numbers."""
    if limit is None or len(rows) <= limit:
        return list(range(len(rows)))
    order = sorted(range(len(rows)), key=lambda i: (row_hash(rows[i], CAP_SALT), i))
    return sorted(order[:limit])


def cut_tune(rows: Rows, ties: Ties = ()) -> Cut:
    """Cuts training rows into *fit* and *tune*.

    Tune gets 10 % of the rows, at most 2,000, or 20 % below 5,000 rows. Rows that share a whole
    text, normalised, fall on one side, whatever their labels, and so do rows of which one was made
    from the other, and rows that hang together by others. Groups come in the order of a hash; one
    that does not fit into what is left of tune's share stays in fit. Where more than half of the
    share would stay empty, because nearly all rows hang together, rows alone are kept whole, and
    `Cut.shared` says so.
    """
    share = 0.2 if len(rows) < 5000 else 0.1
    wanted = min(2000, round(share * len(rows)))
    plain = [tuple(map(normalised, texts)) for texts in rows]
    tune = _fill(connected(plain, ties), plain, wanted)
    if 2 * len(tune) < wanted:
        numbers: dict[tuple[str, ...], int] = {}
        whole = [numbers.setdefault(tuple(sorted(texts)), len(numbers)) for texts in plain]
        tune = _fill(whole, plain, wanted)
    chosen = set(tune)
    fit = [number for number in range(len(rows)) if number not in chosen]
    known = {text for number in fit for text in plain[number]}
    return Cut(fit, tune, sum(not known.isdisjoint(plain[number]) for number in tune))


def _whole(texts: Sequence[str]) -> tuple[str, ...]:
    """What a row is known by: its normalised texts in no order."""
    return tuple(sorted(map(normalised, texts)))


def connected(plain: Rows, ties: Ties = ()) -> list[int]:
    """The number of the group that each row belongs to: by equal texts, or by ties."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    numbers: dict[str, int] = {}
    texts = [numbers.setdefault(text, len(numbers)) for row in plain for text in row]
    count = len(plain) + len(numbers)  # rows and texts are nodes, and a row touches its texts
    ends = np.repeat(np.arange(len(plain)), [len(row) for row in plain]), np.array(texts, int)
    tied = np.array(ties, int).reshape(-1, 2).T
    begins, others = np.concatenate([(ends[0], len(plain) + ends[1]), tied], axis=1)
    touches = coo_matrix((np.ones(len(begins), bool), (begins, others)), (count,) * 2)
    _, groups = connected_components(touches, directed=False)
    return [int(group) for group in groups[: len(plain)]]


def _fill(groups: Sequence[int], plain: Rows, wanted: int) -> list[int]:
    """The rows of whole groups, as many as fit into `wanted`, in the order of a hash.

    The hash is that of a group's first row in the alphabet, so that neither the order of the rows
    nor a group's size moves its place.
    """
    members: dict[int, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault(group, []).append(number)

    def place(rows: list[int]) -> bytes:
        return row_hash(min(sorted(plain[number]) for number in rows), TUNE_SALT)

    taken: list[int] = []
    for rows in sorted(members.values(), key=place):
        if len(taken) + len(rows) <= wanted:
            taken += rows
    return sorted(taken)
