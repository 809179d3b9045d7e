"""Door of `retrain`: drift and performance alerts become a guarded training, or a note."""

from shared import boundary
from shared.envelope import Delivery
from shared.events import DriftDetected, PerformanceDropped
from shared.usecases.retrain import RetrainPorts, consider
from shared.wiring import Wiring

wiring = Wiring()


def use_case(event: DriftDetected | PerformanceDropped, _: Delivery) -> str:
    ports = RetrainPorts(
        lake=wiring.lake,
        publisher=wiring.publisher,
        clock=wiring.clock,
        claim_seconds=wiring.config.claim_seconds,
        inbox=wiring.config.inbox,
    )
    return consider(event, ports)


main = boundary.function("retrain", {DriftDetected: use_case, PerformanceDropped: use_case}, wiring)
