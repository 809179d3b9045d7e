"""Door of `promote`: outcomes of trainings and comparisons, and people's decisions on /decide."""

from typing import TYPE_CHECKING, Any

from shared import boundary, events
from shared.boundary import Reply
from shared.usecases.decisions import parse_decision, take_decision
from shared.usecases.promote import request_promotion, take_failure
from shared.usecases.promoted import decide_trained
from shared.usecases.promoting import Promote
from shared.wiring import Wiring

if TYPE_CHECKING:
    from flask import Request

wiring = Wiring()


def ports() -> Promote:
    return Promote(wiring.lake, wiring.publisher, wiring.clock, wiring.config.claim_seconds)


def decide(body: dict[str, Any], by: str) -> str:
    return take_decision(parse_decision(body, by), ports())


messages = boundary.function(
    "promote",
    {
        events.TrainingCompleted: lambda event, _: decide_trained(event, ports()),
        events.ComparisonCompleted: lambda event, _: decide_trained(event, ports()),
        events.RunFailed: lambda event, _: take_failure(event, ports()),
        events.RunRejected: lambda event, _: take_failure(event, ports()),
        events.PromotionRequested: lambda event, _: request_promotion(event, ports()),
    },
    wiring,
)
decisions = boundary.ask("promote", decide, wiring)


def main(request: "Request") -> Reply:
    return decisions(request) if request.path == "/decide" else messages(request)
