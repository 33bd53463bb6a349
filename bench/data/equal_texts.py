"""When two texts are the same one: letters and figures count, the rest is how they are written."""

from __future__ import annotations

import functools
import sys
import unicodedata

_WHITE = ("P", "Z", "Cc")
"""Unicode's categories, or their first letters, that count as white space: punctuation, too."""

_NOTHING = "Cf"
"""That of marks that cannot be seen, such as a soft hyphen."""


def normalised(text: str) -> str:
    """A text without what may differ between two copies of it.

    Unicode's NFKC, case folded; white space and punctuation become one blank, marks that cannot be
    seen nothing. Symbols (`+`, `€`, emoji) stay. Punctuation alone stays as it is.
    """
    if text.isascii():  # as most are; nothing else is to be done for them
        plain = text.lower()
    else:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    words = plain.translate(_table(128 if text.isascii() else sys.maxunicode + 1)).split()
    return " ".join(words or plain.split())


@functools.cache
def _table(characters: int) -> dict[int, str]:
    """What becomes of the first so many characters, where they do not stay."""
    table = {}
    for number in range(characters):
        category = unicodedata.category(chr(number))
        if category.startswith(_WHITE):
            table[number] = " "
        elif category == _NOTHING:
            table[number] = ""
    return table
