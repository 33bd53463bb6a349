"""Markdown of our pages as HTML: tables, and of other HTML the few elements that we use."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

if TYPE_CHECKING:
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

OURS = re.compile(r"</?(?:sub|details|summary)>")
"""The HTML that our Markdown uses."""


class _Renderer(RendererHTML):
    """Its methods are named after what they render."""

    def html_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "".join(
            part if OURS.fullmatch(part) else html.escape(part)
            for part in re.split(r"(<[^>]*>)", tokens[idx].content)
        )

    html_inline = html_block

    def link_open(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Pages stand beside each other in both forms: links lead to those in HTML."""
        href = str(tokens[idx].attrGet("href") or "")
        if re.fullmatch(r"[\w.-]+\.md", href):
            named = "index" if href == "README.md" else href.removesuffix(".md")
            tokens[idx].attrSet("href", f"{named}.html")
        return self.renderToken(tokens, idx, options, env)

    def th_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Without its style, which a page allows no element."""
        return f"<{tokens[idx].tag}>"

    td_open = th_open


READER = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
