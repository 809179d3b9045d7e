"""Door of `intake`: storage notifications come in, runs and refusals come out."""

from shared import boundary
from shared.envelope import Delivery, parse_upload
from shared.usecases.intake import take_in
from shared.usecases.starting import Intake
from shared.wiring import Wiring

wiring = Wiring()


def use_case(delivery: Delivery) -> str:
    ports = Intake(
        inbox=wiring.inbox,
        lake=wiring.lake,
        publisher=wiring.publisher,
        clock=wiring.clock,
        claim_seconds=wiring.config.claim_seconds,
        context=wiring.config.context,
        spec_wait_seconds=wiring.config.spec_wait_seconds,
    )
    return take_in(parse_upload(delivery), ports)


main = boundary.receive("intake", use_case, wiring)
