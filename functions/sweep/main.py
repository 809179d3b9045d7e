"""Door of `sweep`: every few minutes, promises that depend on time."""

from shared import boundary, events
from shared.envelope import Delivery
from shared.events import SweepDue
from shared.usecases.promoting import Promote
from shared.usecases.starting import Intake
from shared.usecases.sweep import Swept, sweep
from shared.wiring import Wiring

wiring = Wiring()


def use_case(_: SweepDue, __: Delivery) -> Swept:
    config, lake, publisher, clock = wiring.config, wiring.lake, wiring.publisher, wiring.clock
    return sweep(
        Intake(
            wiring.inbox,
            lake,
            publisher,
            clock,
            config.claim_seconds,
            config.context,
            config.spec_wait_seconds,
        ),
        Promote(lake, publisher, clock, config.claim_seconds),
        wiring.jobs,
    )


main = boundary.function("sweep", {events.SweepDue: use_case}, wiring)
