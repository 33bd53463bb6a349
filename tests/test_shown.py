"""What a terminal, an eye or a reader of code could be misled by is written out."""

from __future__ import annotations

import sys
import unicodedata

from bench.shown import shown


def test_what_no_reader_sees_is_written_out() -> None:
    assert shown("\x1b[31mred\x1b[0m") == r"\x1b[31mred\x1b[0m"
    assert shown("a\u202eb\ud800\x9b\r\n\t\x00") == r"a\u202eb\ud800\x9b\r\n\t\x00"
    for text in ("", "plain", "…, é, 中文, ± 95 %", "10\u202f000\u00a0km", r"\x1b"):
        assert shown(text) == text


def test_every_character_is_seen_or_written_out_and_none_is_both() -> None:
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    for number in range(sys.maxunicode + 1):
        one = chr(number)
        said = shown(one)
        if unicodedata.category(one) in hidden:
            assert said.startswith("\\")
            assert said.isascii()
        else:
            assert said == one
