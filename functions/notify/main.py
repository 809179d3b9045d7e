"""Door of `notify`: alerts and outcomes become messages, the rest a daily digest."""

from shared import boundary
from shared.envelope import Delivery
from shared.events import DigestDue, Event, MonitorDue
from shared.telling.drafts import DRAFTS
from shared.usecases.digest import digest
from shared.usecases.notify import notify, remind
from shared.usecases.posting import Notify
from shared.wiring import Wiring

wiring = Wiring()


def ports() -> Notify:
    config = wiring.config
    return Notify(
        lake=wiring.lake,
        channels=wiring.channels,
        clock=wiring.clock,
        claim_seconds=config.claim_seconds,
        context=config.context,
        console_url=config.console_url,
        docs_url=config.docs_url,
    )


def tell(event: Event, _: Delivery) -> str:
    return notify(event, ports())


def tell_digest(event: DigestDue, delivery: Delivery) -> str:
    return digest(event.slot or f"{delivery.publish_time:%Y-%m-%d}", ports())


def look_back(_: MonitorDue, __: Delivery) -> int:
    return remind(ports())


main = boundary.function(
    "notify",
    {**dict.fromkeys(DRAFTS, tell), DigestDue: tell_digest, MonitorDue: look_back},
    wiring,
)
