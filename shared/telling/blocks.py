"""Block Kit messages from drafts. Pure dicts; posting them is somebody else's business.

Everything that comes from data or people is escaped, so that a file name cannot mention a channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from shared.events import Event
from shared.telling.draft import Draft, Where, escaped
from shared.telling.drafts import draft_of
from shared.telling.kinds import LEADS

# Slack's limits: 50 blocks, a header of 150 characters, a section of 3000, a field of 2000.
BLOCKS = 50
HEADER_CHARACTERS = 150
SECTION_CHARACTERS = 2900
FIELD_CHARACTERS = 300
_MORE = " ..."


def message(event: Event, where: Where) -> dict[str, Any]:
    """The message of an event. Raises KeyError for an event that nobody is told about."""
    return message_of(draft_of(event, where))


def message_of(draft: Draft) -> dict[str, Any]:
    """What, fields, facts, what next, links, footer; `text` is what a notification shows."""
    lead = f"{LEADS[draft.asks]}: {draft.title}"
    blocks = [header(lead), section(escaped(draft.sentence))]
    if draft.fields:
        blocks.append({"type": "section", "fields": [_field(*pair) for pair in draft.fields[:10]]})
    if draft.facts:
        blocks.append(section("\n".join(f"\u2022 {escaped(fact)}" for fact in draft.facts)))
    commands = "\n".join(f"`{escaped(command)}`" for command in draft.commands)
    following = "\n".join(part for part in (draft.next, commands) if part)
    if following:
        blocks.append(section(f"*What next*\n{following}"))
    if draft.links:
        blocks.append(section("\n".join(draft.links)))
    return finished(f"{lead}. {draft.sentence}", blocks, draft.footer)


def finished(
    text: str, blocks: Sequence[dict[str, Any]], footer: Iterable[str] = ()
) -> dict[str, Any]:
    """A message of these blocks, as many as Slack takes, above a footer."""
    small = cut(escaped("  |  ".join(filter(None, footer))), SECTION_CHARACTERS)
    last = [{"type": "context", "elements": [_mrkdwn(small)]}] if small else []
    return {
        "text": escaped(cut(text, SECTION_CHARACTERS)),
        "blocks": [*blocks[: BLOCKS - len(last)], *last],
    }


def header(text: str) -> dict[str, Any]:
    plain = {"type": "plain_text", "text": cut(text, HEADER_CHARACTERS)}
    return {"type": "header", "text": plain}


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _mrkdwn(cut(text, SECTION_CHARACTERS))}


def cut(text: str, characters: int) -> str:
    """At a blank, so that no escape is cut in half."""
    if len(text) <= characters:
        return text
    kept = text[: characters - len(_MORE)]
    blank = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:blank] if blank > 0 else kept.rpartition("&")[0] or kept) + _MORE


def _field(name: str, value: str) -> dict[str, Any]:
    return _mrkdwn(f"*{name}*\n{escaped(cut(value, FIELD_CHARACTERS))}")


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}
