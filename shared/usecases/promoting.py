"""The ports of whatever decides who answers: policy, people, second versions."""

from __future__ import annotations

from dataclasses import dataclass

from shared import runs
from shared.events import Event, publish
from shared.ports import Bucket, Clock, Publisher


@dataclass(frozen=True, slots=True)
class Promote:
    """The ports of promotion, and how long its claims live."""

    lake: Bucket
    publisher: Publisher
    clock: Clock
    claim_seconds: int

    def say(self, event: Event) -> None:
        publish(event, publisher=self.publisher, clock=self.clock)

    def note(self, model: str, run_id: str, name: str, /, **facts: object) -> None:
        runs.note(model, run_id, name, lake=self.lake, clock=self.clock, **facts)
