"""Door of `notify`: alerts and outcomes that people care about become Slack messages."""

from shared import boundary
from shared.envelope import Delivery
from shared.events import Event
from shared.telling.drafts import DRAFTS
from shared.usecases.notify import Notify, notify
from shared.wiring import Wiring

wiring = Wiring()


def use_case(event: Event, _: Delivery) -> str:
    config = wiring.config
    ports = Notify(
        lake=wiring.lake,
        messenger=wiring.messenger if config.slack_webhook_url else None,
        clock=wiring.clock,
        claim_seconds=config.claim_seconds,
        context=config.context,
        console_url=config.console_url,
    )
    return notify(event, ports)


main = boundary.function("notify", dict.fromkeys(DRAFTS, use_case), wiring)
