"""Door of `mirror`: the registries and their aliases follow the lake."""

from shared import boundary, events
from shared.usecases.mirror import (
    Mirror,
    look_for_moved_aliases,
    mirror_challenger,
    mirror_promotion,
    mirror_refusal,
)
from shared.wiring import Wiring

wiring = Wiring()


def ports() -> Mirror:
    return Mirror(wiring.registries, wiring.lake, wiring.publisher, wiring.clock)


main = boundary.function(
    "mirror",
    {
        events.TrainingCompleted: lambda event, _: mirror_challenger(
            event.model, event.version, ports()
        ),
        events.ModelPromoted: lambda event, delivery: mirror_promotion(
            event, delivery.said_at, ports()
        ),
        events.ModelNotPromoted: lambda event, delivery: mirror_refusal(
            event, delivery.said_at, ports()
        ),
        events.SweepDue: lambda _, __: look_for_moved_aliases(ports()),
    },
    wiring,
)
