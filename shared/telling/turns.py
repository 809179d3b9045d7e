"""The same words in another turn: told again because it got worse, or as a reminder. Pure."""

from __future__ import annotations

from dataclasses import replace

from shared.telling.draft import Draft


def worse(draft: Draft, why: str) -> Draft:
    """What was told before, and why it is told again."""
    return replace(
        draft, title=f"{draft.title}, and it gets worse", facts=[f"worse: {why}", *draft.facts]
    )


def reminder(draft: Draft, told: str) -> Draft:
    """What was told before and is not over; `told` is when."""
    return replace(
        draft,
        title=f"{draft.title}, still",
        facts=[f"told first: {told}; it is not resolved since", *draft.facts],
        next="This is the only reminder. What can be done is in the runbook.",
    )
