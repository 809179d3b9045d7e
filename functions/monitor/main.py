"""Door of `monitor`: a tick finds due windows, each of which is judged by its own delivery."""

from shared import boundary
from shared.envelope import Delivery
from shared.events import MonitorDue, WindowDue
from shared.usecases.monitor import Monitor, judge_window
from shared.usecases.monitoring.due import find_due
from shared.wiring import Wiring

wiring = Wiring()


def ports() -> Monitor:
    return Monitor(wiring.lake, wiring.publisher, wiring.clock, wiring.config.claim_seconds)


def find(_: MonitorDue, delivery: Delivery) -> object:
    return find_due(delivery.publish_time, ports())


def judge(event: WindowDue, _: Delivery) -> object:
    return judge_window(event, ports())


main = boundary.function("monitor", {MonitorDue: find, WindowDue: judge}, wiring)
