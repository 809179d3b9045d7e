"""Pages that people read: one content, two forms, HTML without anything to load and Markdown.

All texts are escaped here and nowhere else, so that no section has to think of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.reporting.markup import html, plain

Row = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Pairs:
    """Names with what there is to say about each."""

    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a head; figures stand to the right in columns whose head ends with `>`."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figures:
    """SVG figures by name, made by us and escaped there."""

    drawn: Mapping[str, str]


Block = Words | Pairs | Grid | Figures


@dataclass(frozen=True, slots=True)
class Section:
    heading: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """`lead` is what somebody reads who reads one sentence only; `facts` stand beside the title."""

    title: str
    subtitle: str
    lead: str
    sections: Sequence[Section] = field(default_factory=tuple)
    facts: Sequence[Row] = ()


STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--ink:#0b6bcb}
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;line-height:1.2;margin:0;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
.sub{opacity:.7;margin:.2rem 0 1.2rem;overflow-wrap:anywhere}
.lead{border-left:4px solid var(--ink);background:var(--soft);padding:.6rem 1rem;margin:1rem 0}
.facts{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
.facts div{border:1px solid var(--line);border-radius:6px;padding:.4rem .8rem;min-width:7rem}
.facts b{display:block;font-size:1.15rem;overflow-wrap:anywhere}
.facts span{font-size:.8rem;opacity:.7}
nav{font-size:.85rem;margin:1rem 0}nav a{margin-right:.9rem;white-space:nowrap}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--line);
vertical-align:top;overflow-wrap:break-word;unicode-bidi:isolate}
th{font-weight:600}.pairs th{width:13rem}.pairs th,.pairs td{overflow-wrap:anywhere}
.pairs{margin-top:.6rem}.wide td:first-child{min-width:6rem;max-width:16rem}
thead th{font-size:.8rem;opacity:.7;border-bottom-width:2px}
.right{text-align:right;font-variant-numeric:tabular-nums;min-width:3.5rem}
code{font-size:.92em;background:var(--soft);padding:0 .2em;border-radius:3px;unicode-bidi:isolate}
svg{max-width:100%;height:auto;margin:.5rem 1rem .5rem 0}
@media print{nav{display:none}body{max-width:none}}
"""


def as_html(page: Page) -> str:
    """A page that loads nothing and runs nothing, and says so to the browser."""
    title = html(page.title)
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="sub">{html(page.subtitle)}</p>',
        f'<p class="lead">{html(page.lead)}</p>',
        _facts(page.facts),
        "<nav>",
        *(f'<a href="#{_anchor(one)}">{html(one.heading)}</a> ' for one in page.sections),
        "</nav>",
    ]
    for section in page.sections:
        parts.append(f'<h2 id="{_anchor(section)}">{html(section.heading)}</h2>')
        parts += [_html_block(block) for block in section.blocks]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{re.sub('<[^>]*>', '', title)} {html(page.subtitle)}</title>"
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def as_markdown(page: Page) -> str:
    """The same without figures."""
    lines = [f"# {plain(page.title)}", "", plain(page.subtitle), "", f"> {plain(page.lead)}", ""]
    if page.facts:
        lines += [*_table(("", ""), page.facts), ""]
    for section in page.sections:
        lines += [f"## {plain(section.heading)}", ""]
        for block in section.blocks:
            lines += _markdown_block(block)
    return "\n".join(lines)


def _anchor(section: Section) -> str:
    return re.sub(r"[^a-z0-9]+", "-", section.heading.lower()).strip("-")


def _facts(facts: Sequence[Row]) -> str:
    tiles = (f"<div><span>{html(name)}</span><b>{html(value)}</b></div>" for name, value in facts)
    return f'<div class="facts">{"".join(tiles)}</div>' if facts else ""


def _html_block(block: Block) -> str:
    if isinstance(block, Words):
        return f"<p>{html(block.text)}</p>"
    if isinstance(block, Figures):
        return f"<div>{''.join(block.drawn.values())}</div>"
    if isinstance(block, Pairs):
        rows = "".join(
            f"<tr><th>{html(name)}</th><td>{html(value)}</td></tr>" for name, value in block.rows
        )
        return f'<table class="pairs"><tbody>{rows}</tbody></table>'
    classes = [' class="right"' if name.endswith(">") else "" for name in block.head]
    head = "".join(
        f"<th{kind}>{html(name.rstrip('>'))}</th>"
        for name, kind in zip(block.head, classes, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{html(cell)}</td>" for cell, kind in zip(row, classes, strict=True))
        + "</tr>"
        for row in block.rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _markdown_block(block: Block) -> Iterator[str]:
    if isinstance(block, Words):
        yield from (plain(block.text), "")
    elif isinstance(block, Pairs):
        yield from (*_table(("", ""), block.rows), "")
    elif isinstance(block, Grid):
        yield from (*_table(block.head, block.rows), "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(plain(name.rstrip('>')) for name in head)} |"
    yield f"|{'|'.join('---:' if name.endswith('>') else '---' for name in head)}|"
    for row in rows:
        yield f"| {' | '.join(plain(cell) for cell in row)} |"
