"""Door of `mirror`: MLflow's registry and aliases follow the lake."""

from shared import boundary, events
from shared.usecases.mirror import look_for_moved_aliases, mirror_challenger, mirror_champion
from shared.wiring import Wiring

wiring = Wiring()

main = boundary.function(
    "mirror",
    {
        events.TrainingCompleted: lambda event, _: mirror_challenger(
            event.model, event.version, registry=wiring.registry, lake=wiring.lake
        ),
        events.ModelPromoted: lambda event, _: mirror_champion(
            event.model, registry=wiring.registry, lake=wiring.lake
        ),
        events.SweepDue: lambda _, __: look_for_moved_aliases(
            registry=wiring.registry,
            lake=wiring.lake,
            publisher=wiring.publisher,
            clock=wiring.clock,
        ),
    },
    wiring,
)
