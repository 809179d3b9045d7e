"""A Block Kit message elsewhere than in Slack: as plain text, and as a piece of HTML. Pure.

Reads the few blocks that `shared.telling.blocks` makes, and passes others by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape, unescape
from typing import Any

from shared.reporting.markup import visible

LINK = re.compile(r"<((?:https?|file)[^|>]*)\|([^>]*)>")
_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")
_MARKS = re.compile(
    r"(?P<link><https?[^|>]*\|[^>]*>)|`(?P<code>[^`\n]*)`|(?P<bold>(?<!\w)\*[^*\n]+\*(?!\w))"
)


def subject_of(message: Mapping[str, Any]) -> str:
    """The header, or the beginning of the text, on one line."""
    for block in message.get("blocks", []):
        if block.get("type") == "header":
            return visible(block["text"]["text"])
    return visible(unescape(str(message.get("text", ""))))[:150]


def as_text(message: Mapping[str, Any]) -> str:
    """Paragraphs; links as `label (address)`, no asterisks or backticks."""
    parts = [_lines(block) for block in message.get("blocks", [])]
    return "\n\n".join(filter(None, parts)) or plain(str(message.get("text", "")))


def plain(text: str) -> str:
    """Slack's mrkdwn without its marks."""
    text = LINK.sub(lambda found: f"{found[2]} ({found[1]})", text)
    text = _BOLD.sub(r"\1", text)
    text = re.sub(r"```\n?|`", "", text)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def as_html(message: Mapping[str, Any]) -> str:
    """A `div` with inline styles only, as mail programs want it."""
    blocks = "".join(_html(block) for block in message.get("blocks", []))
    blocks = blocks or f"<p>{mrkdwn_html(str(message.get('text', '')))}</p>"
    return f'<div style="font:14px/1.5 sans-serif;max-width:44em;color:#222">{blocks}</div>'


def texts(block: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(kind, mrkdwn) of everything that is written in a block: header, text, field, small."""
    kind = block.get("type")
    if kind == "header":
        yield "header", escape(str(block["text"]["text"]), quote=False)
    elif kind == "section":
        if block.get("text"):
            yield "text", str(block["text"]["text"])
        for field in block.get("fields") or []:
            yield "field", str(field["text"])
    elif kind == "context":
        for element in block.get("elements") or []:
            yield "small", str(element.get("text", ""))


def _lines(block: Mapping[str, Any]) -> str:
    return "\n".join(
        plain(text).replace("\n", ": ") if kind == "field" else plain(text)
        for kind, text in texts(block)
    )


_STYLES = {
    "header": "font-size:17px;font-weight:bold;margin:0 0 .6em",
    "text": "margin:.6em 0",
    "field": "margin:.2em 0",
    "small": "margin:.6em 0;color:#666;font-size:12px",
}


def _html(block: Mapping[str, Any]) -> str:
    return "".join(
        f'<p style="{_STYLES[kind]}">{mrkdwn_html(text)}</p>' for kind, text in texts(block)
    )


def mrkdwn_html(text: str) -> str:
    """Links, code and bold; everything else is escaped again, whatever it was."""
    parts, at = [], 0
    for mark in _MARKS.finditer(text):
        parts.append(_escaped(text[at : mark.start()]))
        at = mark.end()
        if mark["link"]:
            address, _, label = mark["link"][1:-1].partition("|")
            parts.append(f'<a href="{escape(unescape(address))}">{_escaped(label)}</a>')
        elif mark["code"] is not None:
            parts.append(f"<code>{_escaped(mark['code'])}</code>")
        else:
            parts.append(f"<b>{_escaped(mark['bold'][1:-1])}</b>")
    parts.append(_escaped(text[at:]))
    return "".join(parts).replace("\n", "<br>")


def _escaped(text: str) -> str:
    return escape(plain(text), quote=True)
