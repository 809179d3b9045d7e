"""Door of `launch`: requests and outcomes move the lane of a model."""

from shared import boundary, events
from shared.envelope import Delivery
from shared.events import RunEvent
from shared.lane import Lane
from shared.usecases import launch
from shared.wiring import Wiring

wiring = Wiring()


def request(event: RunEvent, _: Delivery) -> Lane:
    return launch.take_request(
        event,
        lake=wiring.lake,
        jobs=wiring.jobs,
        publisher=wiring.publisher,
        clock=wiring.clock,
    )


def outcome(event: RunEvent, _: Delivery) -> Lane:
    return launch.take_outcome(
        event,
        lake=wiring.lake,
        jobs=wiring.jobs,
        publisher=wiring.publisher,
        clock=wiring.clock,
    )


main = boundary.function(
    "launch",
    {
        events.TrainingRequested: request,
        events.ScoringRequested: request,
        events.LabellingRequested: request,
        events.ComparisonRequested: request,
        events.RunEvent: outcome,
    },
    wiring,
)
