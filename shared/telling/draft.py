"""A message before it has a form: what happened, value against threshold, since when, what happens
next or what you can do, links. Pure; `shared.telling.blocks` makes Block Kit of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from shared import paths


@dataclass(frozen=True, slots=True)
class Where:
    """What links and commands need to know. `console_url` shows an object when `/<bucket>/<name>`
    is appended to it, `docs_url` a page of infra/docs; empty means that there is none."""

    lake: str
    context: str
    console_url: str = ""
    docs_url: str = ""

    def command(self, *words: str) -> str:
        """A line to copy into a shell."""
        context = () if self.context == "local" else ("--context", self.context)
        return " ".join(["./millrace", *context, *words])

    def object(self, name: str) -> str:
        """An object of the lake in mrkdwn: its gs:// name, and a link where a console shows it."""
        code = f"`gs://{self.lake}/{escaped(name)}`"
        if not self.console_url:
            return code
        return f"{code} (<{self.console_url}/{self.lake}/{quote(name)}|open>)"

    def runbook(self, kind: str) -> str:
        """The section of the runbook about a kind, in mrkdwn."""
        anchor = f"runbook.md#{kind.replace('_', '-')}"
        if not self.docs_url:
            return f"Runbook: `infra/docs/{anchor}`"
        return f"Runbook: <{self.docs_url}/{anchor}|{kind.replace('_', ' ')}>"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it becomes blocks. `title`, `sentence`, `fields` and `facts` are plain text,
    `next` and `links` are mrkdwn of ours, `commands` are shell lines."""

    asks: str
    title: str
    sentence: str
    fields: Sequence[tuple[str, str]] = ()
    facts: Sequence[str] = ()
    next: str = ""
    commands: Sequence[str] = ()
    links: Sequence[str] = ()
    footer: Sequence[str] = ()


def escaped(text: str) -> str:
    """Text that Slack's mrkdwn shows as it is (https://docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def when(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC".replace(":00 UTC", " UTC")


def card(model: str, version: str, where: Where) -> str:
    return f"Card: {where.object(paths.version(model, version, 'card.html'))}"
