"""Damaged files of a run folder and of published pages, for `chaos.py`."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from disturbed import SUITE, Tally, bench, compare, ended, finished

from bench.results.store import Store

FOREIGN = ("locks", "log.txt")
"""What nobody reads back."""

AT_ONCE = 2
"""Damaged folders that are looked at together: a command's start is busy on one core."""

Command = Callable[..., tuple[int, str]]
"""Runs a command with these words: its status, and what it says on standard error."""


def kind_of(file: Path) -> str:
    """What a file of a run folder or of pages is: its path without ids, numbers and names."""
    return re.sub(r"[0-9a-f]{16}|\d+", "N", str(file))


def damage(path: Path, draw: random.Random) -> str:
    """Damages a file; says how."""
    data = bytearray(path.read_bytes())
    digits = [place for place, byte in enumerate(data) if chr(byte).isdigit()]
    is_text = path.suffix not in (".parquet", ".safetensors")
    how = draw.choice(["bit", "cut", "empty", *(["digit"] * 2 if is_text and digits else [])])
    if how == "bit":
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
        how = f"bit flipped at {place}"
    elif how == "digit":
        place = draw.choice(digits)
        data[place] = ord(draw.choice([d for d in "0123456789" if d != chr(data[place])]))
        how = f"digit changed at {place}"
    else:
        data = data[: draw.randrange(len(data)) if how == "cut" else 0]
    path.write_bytes(data)
    return how


def files_by_kind(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder that somebody reads, by kind."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if path.is_file() and path.stat().st_size and not set(FOREIGN) & set(inner.parts):
            kinds.setdefault(kind_of(inner), []).append(inner)
    return kinds


def drawn_files(count: int, draw: random.Random, folder: Path) -> list[Path]:
    """So many files of a folder, of every kind in turn."""
    kinds = files_by_kind(folder)
    order = sorted(kinds)
    draw.shuffle(order)
    return [draw.choice(kinds[order[number % len(order)]]) for number in range(count)]


def damages(count: int, draw: random.Random, place: Path, wanted: Mapping[str, Any],
            whole: Path) -> Tally:  # fmt: skip
    """Damages files of finished run folders, one each, and runs their command again."""
    tally = Tally("damaged file of a run folder")
    files = drawn_files(count, draw, whole)
    draws = [random.Random(draw.random()) for _ in files]

    def one(number: int) -> Tally:
        own = Tally("one of them")
        damaged(place / f"damaged-{number}", whole, files[number], draws[number], wanted, SUITE,
                lambda *words: ended(bench(*words), own), own)  # fmt: skip
        return own

    with ThreadPoolExecutor(AT_ONCE) as several:
        for own in several.map(one, range(count)):
            tally.made += own.made
            tally.said += own.said
            tally.wrong += own.wrong
    return tally


def damaged(place: Path, whole: Path, file: Path, draw: random.Random, wanted: Mapping[str, Any],
            suite: tuple[str, ...], command: Command, tally: Tally) -> None:  # fmt: skip
    """Damages a file of a copy of a run folder, reads the folder, and runs its command again.

    What cells are made from is damaged with their own folders gone, so that it is used again.
    """
    runs = place / "runs"
    shutil.copytree(whole, runs)
    in_cell = (runs / file.parts[0] / "record.json").exists()
    if not in_cell and file.parts[0] not in ("suites", "identity.json", "settings.json"):
        for cell in wanted:
            shutil.rmtree(Store(runs).folder(cell))
    kept = {cell: when for cell, when in finished(runs).items() if cell != file.parts[0]}
    how = f"{file}: {damage(runs / file, draw)}"
    before = len(tally.wrong)
    for words in (
        ("status", "--runs", runs),
        ("validate", runs),
        ("leaderboard", "--runs", runs, "--out", place / "pages"),
    ):
        status, said = command(*words)
        if status not in (0, 1, 2) or (status == 2 and not said):
            tally.wrong.append(f"status {status} of {words[0]}: {said}")
    status, said = command("run", *suite, "--runs", runs)
    if status == 0:
        compare(runs, wanted, kept, tally)
    elif said.count("\n") != 1 or str(runs) not in said:
        tally.wrong.append(f"status {status} of run: {said}")
    tally.made += 1
    tally.said += bool(said)
    tally.wrong[before:] = [f"{how}: {line}" for line in tally.wrong[before:]]
    shutil.rmtree(place)


def page_damages(count: int, draw: random.Random, place: Path, whole: Path) -> Tally:
    """Damages a file of published pages, and checks them."""
    tally = Tally("damaged file of published pages")
    pages = place / "published"
    status, said = ended(bench("leaderboard", "--runs", whole, "--out", pages), tally)
    if status != 0:
        tally.wrong.append(f"status {status} of leaderboard: {said}")
    for file in drawn_files(count, draw, pages):
        held = (pages / file).read_bytes()
        how = damage(pages / file, draw)
        status, said = ended(bench("leaderboard", "--check", "--out", pages), tally)
        if (pages / file).read_bytes() != held and (status not in (1, 2) or not said):
            tally.wrong.append(f"{file}: {how}: the check ends with status {status}: {said}")
        (pages / file).write_bytes(held)
        tally.made += 1
        tally.said += bool(said)
    return tally
