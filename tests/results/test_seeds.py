"""Report seeds as commands say them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.errors import BenchError
from bench.results.seeds import listed_seeds, said_seeds, seeds_of


@pytest.mark.parametrize(
    ("said", "seeds", "back", "words"),
    [
        (3, (0, 1, 2), "3", "seeds 0–2"),
        ("3", (0, 1, 2), "3", "seeds 0–2"),
        (np.int64(1), (0,), "1", "seed 0"),
        ("10-14", (10, 11, 12, 13, 14), "10-14", "seeds 10–14"),
        (" 7 , 0-2 ", (0, 1, 2, 7), "0-2,7-7", "seeds 0–2, 7"),
        ("7-7", (7,), "7-7", "seed 7"),
        ("4,4,3-5", (3, 4, 5), "3-5", "seeds 3–5"),
        ([7], (7,), "7-7", "seed 7"),
        (np.array([5, 4]), (4, 5), "4-5", "seeds 4, 5"),
        (range(2), (0, 1), "2", "seeds 0, 1"),
        ("1000", tuple(range(1000)), "1000", "seeds 0–999"),
    ],
)
def test_seeds_are_read_and_said(said: Any, seeds: tuple[int, ...], back: str, words: str) -> None:
    assert seeds_of(said) == seeds
    assert (said_seeds(seeds), listed_seeds(seeds)) == (back, words)
    assert seeds_of(back) == seeds


@pytest.mark.parametrize(
    "said",
    ["", "x", "0", 0, "-1", -1, "1-", "-1-2", "1--2", "2-1", "1,,2", "1,", "²", "1.5", 1.5, True,
     [], [-1], [1.5], ["1"], [True], b"3", None, "1-99999999999", "1000-1000", [1000], 1001,
     "1001"],
)  # fmt: skip
def test_anything_else_is_one_line(said: Any) -> None:
    with pytest.raises(BenchError, match="seed") as error:
        seeds_of(said)
    assert "\n" not in str(error.value)
