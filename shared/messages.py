"""Slack messages (Block Kit) from our events. Pure dicts; posting them is somebody else's business.

Everything that comes from data or people is escaped, so that a file name cannot mention a channel.
"""

from __future__ import annotations

import textwrap
from typing import Any

from shared.drafts import LEADS, Draft, Where, draft_of, escaped
from shared.events import Event

# Slack's limits: a header has 150 characters, a section 3000.
HEADER_CHARACTERS = 150
SECTION_CHARACTERS = 2900


def message(event: Event, where: Where) -> dict[str, Any]:
    """The message of an event. Raises KeyError for an event that nobody is told about."""
    return _blocks(draft_of(event, where))


def _blocks(draft: Draft) -> dict[str, Any]:
    lead = f"{LEADS[draft.asks]}: {draft.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(lead, HEADER_CHARACTERS)}},
        _section(escaped(draft.sentence)),
    ]
    if draft.facts:
        blocks.append(_section("\n".join(f"\u2022 {escaped(fact)}" for fact in draft.facts)))
    commands = "\n".join(f"`{escaped(command)}`" for command in draft.commands)
    following = "\n".join(part for part in (draft.next, commands) if part)
    if following:
        blocks.append(_section(f"*What next*\n{following}"))
    if draft.links:
        blocks.append(_section("\n".join(draft.links)))
    if draft.footer:
        footer = _cut(escaped("  |  ".join(filter(None, draft.footer))), SECTION_CHARACTERS)
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": footer}]})
    return {
        "text": escaped(_cut(f"{lead}. {draft.sentence}", SECTION_CHARACTERS)),
        "blocks": blocks,
    }


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, SECTION_CHARACTERS)}}


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    # At a blank, so that no escape is cut in half.
    return textwrap.shorten(text, characters, placeholder=" ...") or text[:characters]
