"""When two texts are the same one."""

from __future__ import annotations

import re
import unicodedata

import pytest

from bench.data.equal_texts import normalised


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("He didn't,  did he?", "he didn t did he"),
        ("He didn 't , did he ?", "he didn t did he"),
        ("Straße", "strasse"),
        ("ﬁne\u00a0day", "fine day"),
        ("e\u0301te\u0301", "été"),
        ("co\u00adoperate\ufeff", "cooperate"),
        ("“Quoted” – and… so", "quoted and so"),
        ("c++ costs 5 €", "c++ costs 5 €"),
        ("well-known", "well known"),
        ("good 👍", "good 👍"),
        (" !! ?", "!! ?"),
        ("", ""),
    ],
)
def test_letters_and_figures_count(text: str, plain: str) -> None:
    assert normalised(text) == plain


def test_every_character_of_latin_is_what_a_plain_rule_makes_of_it() -> None:
    """The rule in words, a character at a time, beside tables and a short cut for ASCII."""
    for number in range(0x250):
        character = chr(number)
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
        kept = "".join(
            "" if (kind := unicodedata.category(c)) == "Cf"
            else " " if kind[0] in "PZ" or kind == "Cc"
            else c
            for c in folded
        )  # fmt: skip
        wanted = re.sub(r" +", " ", f"a{kept}b")
        assert normalised(f"A{character}B") == wanted, hex(number)
