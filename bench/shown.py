"""Text that may come from anybody, as it is shown: nothing in it is obeyed, or cannot be seen."""

from __future__ import annotations

import unicodedata


def shown(text: str, keep: str = "") -> str:
    r"""Text in which what no reader sees is written as Python writes it, such as `\x1b`.

    These are control and format characters, which move a terminal's cursor or turn the direction of
    what follows, line ends, and half of a surrogate pair. Spaces of any width stay.

    Args:
        text: What a file, a record, a plugin or a command line says.
        keep: Characters that stay as they are, such as the line ends of a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or one in keep or unicodedata.category(one) == "Zs"
        else repr(one)[1:-1]
        for one in text
    )
