"""Post one message on every channel, once on each.

    claim(key) -> per channel: post -> mark -> complete
                       `--no--> the others still get it; then Retryable, and the claim is released

A crash between a service's yes and its mark doubles the message there, and nowhere else. With one
channel the completed claim may be the mark. A channel that takes so long that the process is killed
comes last in the next delivery.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared import claims, documents, paths
from shared.claims import Claim
from shared.documents import timestamp
from shared.errors import Retryable
from shared.ports import Bucket, Clock, Messenger
from shared.telling.draft import Where


@dataclass(frozen=True, slots=True)
class Notify:
    """The ports of notifying. Without channels what would have been posted is only marked as
    done."""

    lake: Bucket
    channels: Mapping[str, Messenger]
    clock: Clock
    claim_seconds: int
    context: str
    console_url: str = ""
    docs_url: str = ""

    @property
    def where(self) -> Where:
        return Where(self.lake.name, self.context, self.console_url, self.docs_url)

    def take(self, key: str) -> Claim:
        """The claim on telling something. Raises InProgress."""
        name = paths.notification(key)
        return claims.take(name, key, lake=self.lake, clock=self.clock, seconds=self.claim_seconds)

    def complete(self, claim: Claim, state: str) -> str:
        """Raises InProgress."""
        claims.complete(claim, {"state": state}, lake=self.lake, clock=self.clock)
        return state


def post(
    message: Mapping[str, Any], claim: Claim, ports: Notify, *, more_to_do: bool = False
) -> str:
    """Post what the claim is on, where it was not posted yet; a word for what was done comes back.
    Marks are left unless completing the claim is all that is left to do, on one channel.
    Raises Retryable when a channel does not take it, after all were tried."""
    if not ports.channels:
        return "no channel is configured"
    names = sorted(ports.channels, reverse=claim.attempt % 2 == 0)
    marked, trouble = more_to_do or len(names) > 1, dict[str, Retryable]()
    for name in names:
        mark = paths.notification(claim.key, name)
        if marked and documents.read(ports.lake, mark).exists:
            continue
        try:
            ports.channels[name].post(message)
        except Retryable as error:
            trouble[name] = error
            continue
        if marked:
            at = timestamp(ports.clock.now())
            documents.create(ports.lake, mark, {"key": claim.key, "posted": at})
    if trouble:
        claims.release(claim, lake=ports.lake, clock=ports.clock)
        told = "; ".join(f"{name}: {error}" for name, error in trouble.items())
        raise Retryable(told) from next(iter(trouble.values()))
    return "posted"
