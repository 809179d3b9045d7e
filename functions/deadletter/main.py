"""Door of `deadletter`: messages that no function could take are parked and announced."""

from shared import boundary
from shared.envelope import Delivery
from shared.usecases.deadletter import DeadLetter, park
from shared.wiring import Wiring

wiring = Wiring()


def use_case(delivery: Delivery) -> str:
    letter = DeadLetter(
        delivery.message_id, delivery.publish_time, dict(delivery.attributes), delivery.body
    )
    return park(letter, lake=wiring.lake, publisher=wiring.publisher, clock=wiring.clock)


main = boundary.receive("deadletter", use_case, wiring)
