"""Pictures of messages, about as Slack shows them: SVG with text, no font but the reader's.

python -m infra.docs.alerts       (`make docs` writes them)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

from shared.telling.render import subject_of, texts

FOLDER = Path(__file__).with_name("alerts")
WIDTH = 760
_LEFT, _LINE, _LETTERS = 30, 18, 100
_MARKS = re.compile(r"<https?[^|>]*\|(?P<link>[^>]*)>|`(?P<code>[^`\n]*)`|\*(?P<bold>[^*\n]+)\*")
_COLORS = {"Act now": "#cf222e", "Please decide": "#bf8700"}
_STYLES = {
    "bold": ' font-weight="600"',
    "code": ' font-family="ui-monospace, monospace" font-size="12" fill="#a3154e"',
    "link": ' fill="#0969da"',
    "text": "",
}
# Letters of a line; code is wider, a header larger.
_WIDER = {"code": 1.12}
_KINDS = {"header": (1.3, 17, 600, "#1d1c1d"), "small": (0.88, 12, 400, "#616061")}


@dataclass(frozen=True, slots=True)
class Piece:
    style: str
    text: str


def picture(message: Mapping[str, Any]) -> str:
    """One message as a figure of its own."""
    rows, y = [], 30.0
    for block in message["blocks"]:
        for kind, text in texts(block):
            for line in text.split("\n"):
                for pieces in wrapped(list(_pieces(line)), _letters(kind)):
                    rows.append(_row(pieces, kind, y))
                    y += _LINE * (1.3 if kind == "header" else 1)
        y += 7
    subject = subject_of(message)
    color = next((c for lead, c in _COLORS.items() if subject.startswith(lead)), "#0969da")
    height = round(y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="14">'
        f"<title>{escape(subject)}</title>"
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="#ffffff" '
        f'stroke="#d0d7de"/><rect x="12" y="12" width="4" height="{height - 24}" rx="2" '
        f'fill="{color}"/>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def wrapped(pieces: list[Piece], letters: float) -> Iterator[list[Piece]]:
    """The pieces in lines of about so many letters, broken at blanks; a longer word is cut."""
    line: list[Piece] = []
    used = 0.0
    for piece in pieces:
        wide = _WIDER.get(piece.style, 1.0)
        for word in re.findall(r"\s+|\S+", piece.text):
            rest = word
            while rest:
                room = max(int((letters - used) / wide), 0)
                if len(rest) <= room or (rest.isspace() and line):
                    line.append(Piece(piece.style, rest))
                    used += len(rest) * wide
                    break
                if used and len(rest) * wide <= letters:
                    yield line
                    line, used = [], 0.0
                    rest = rest.lstrip()
                    continue
                line.append(Piece(piece.style, rest[:room]))
                yield line
                rest, line, used = rest[room:], [], 0.0
    if line:
        yield line


def _letters(kind: str) -> float:
    return _LETTERS / _KINDS.get(kind, (1.0,))[0]


def _pieces(text: str) -> Iterator[Piece]:
    at = 0
    for mark in _MARKS.finditer(text):
        yield Piece("text", unescape(text[at : mark.start()]))
        style = str(mark.lastgroup)
        yield Piece(style, unescape(mark[style]))
        at = mark.end()
    yield Piece("text", unescape(text[at:]))


def _row(pieces: list[Piece], kind: str, y: float) -> str:
    _, size, weight, color = _KINDS.get(kind, (1.0, 14, 400, "#1d1c1d"))
    runs: list[Piece] = []
    for piece in pieces:
        if runs and runs[-1].style == piece.style:
            runs[-1] = Piece(piece.style, runs[-1].text + piece.text)
        else:
            runs.append(piece)
    inner = "".join(
        f"<tspan{_STYLES[run.style]}>{escape(run.text)}</tspan>"
        if run.style != "text"
        else escape(run.text)
        for run in runs
    )
    return (
        f'<text x="{_LEFT}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{color}" '
        f'xml:space="preserve">{inner}</text>'
    )
