"""Texts from data, specs and people, made harmless for a page. Needs no numbers library."""

from __future__ import annotations

import re
from html import escape

# Control characters, line and paragraph separators, marks that turn the direction, surrogates.
STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BLANKS = re.compile(r"[ \t\n\r\f\v]+")  # not those that keep words together


def visible(text: object) -> str:
    """One line in which nothing turns the direction of writing: what would is an escape."""
    one_line = _BLANKS.sub(" ", str(text)).strip()
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), one_line)


def html(text: object) -> str:
    """Escaped HTML; `words` become code. Right-to-left words stay among themselves."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(visible(text)))


def plain(text: object) -> str:
    """Markdown in which data can neither end a table cell nor become markup."""
    found = visible(text).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;")
    for sign in "|[*_#":
        found = found.replace(sign, f"\\{sign}")
    return found
