"""A Block Kit message in a terminal, about as it would look in Slack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from shared.cli.console import safe
from shared.telling.render import plain as unmarked

WIDTH = 96


def show_message(kept: Mapping[str, Any], console: Console | None = None) -> None:
    """One message of the local sink (`received`, `message`)."""
    console = console or Console(highlight=False)
    console.print(panel(kept["message"], str(kept.get("received", ""))[:19].replace("T", " ")))


def panel(message: Mapping[str, Any], when: str = "") -> Panel:
    blocks = list(_blocks(message)) or [Text(plain(str(message.get("text", ""))))]
    title = "[bold]Millrace[/] [reverse] APP [/]" + (f" [dim]{escape(when)}Z[/]" if when else "")
    return Panel(Group(*blocks), title=title, title_align="left", width=WIDTH, padding=(0, 1))


def _blocks(message: Mapping[str, Any]) -> Iterator[RenderableType]:
    attachments = message.get("attachments") or []
    for part in (message, *attachments):
        for block in part.get("blocks") or []:
            yield from _block(block)


def _block(block: Mapping[str, Any]) -> Iterator[RenderableType]:
    kind = block.get("type")
    if kind == "header":
        yield Text(_text(block.get("text")), style="bold")
    elif kind == "divider":
        yield Rule(style="dim")
    elif kind == "context":
        parts = [_text(element) for element in block.get("elements", [])]
        yield Text(" · ".join(part for part in parts if part), style="dim")
    elif kind == "actions":
        labels = [_text(element.get("text")) for element in block.get("elements", [])]
        yield Text("  ".join(f"[ {label} ]" for label in labels))
    else:
        if block.get("text"):
            yield Text(_text(block["text"]))
        for field in block.get("fields") or []:
            yield Text("  " + _text(field).replace("\n", ": "))


def _text(part: Any) -> str:
    if isinstance(part, str):
        return plain(part)
    return plain(str(part.get("text", ""))) if isinstance(part, Mapping) else ""


def plain(text: str) -> str:
    """Slack's mrkdwn without its marks, nothing that steers a terminal."""
    return safe(unmarked(text), lines=True)
