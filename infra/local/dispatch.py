"""Pushes messages to functions: the real envelope, acknowledged by status, a few at a time.

One thread leases what is due and sleeps until something is published or comes due; pushes run on a
pool. A lease outlives its request, because the ack deadline is longer than the function's timeout.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from infra.local.wake import Wake
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.faults import FaultPlan, Faults
from shared.adapters.memory.subscriptions import (
    ACK_STATUSES,
    Delivery,
    SubscriptionConfig,
    envelope,
)
from shared.errors import ServiceUnavailable

Push = Callable[[str, bytes, float], int]
PUSH_HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "User-Agent": "CloudPubSub-Google",
}
_THREADS = 32
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Dispatcher:
    """`push` gets the receiver, the body and the seconds it may take, and gives a status; raises
    ServiceUnavailable. `limit` says how many pushes a receiver takes at a time."""

    def __init__(
        self,
        engine: Engine,
        push: Push,
        *,
        limit: Callable[[str], int],
        log: Path,
        faults: Faults | None = None,
    ) -> None:
        self._engine, self._messages, self._push = engine, engine.pubsub, push
        self._limit, self._log = limit, log
        self.faults = faults or Faults()
        self._wake = Wake()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._in_flight: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="push")
        log.parent.mkdir(parents=True, exist_ok=True)
        engine.database.on_commit(self._wake.set)
        self._thread = threading.Thread(target=self._pump, name="dispatch", daemon=True)
        self._thread.start()

    def close(self, seconds: float = 2.0) -> None:
        """Start no more pushes and give those under way a moment."""
        self._wake.close()
        self._thread.join(timeout=5)
        with self._idle:
            self._idle.wait_for(lambda: not self._in_flight.total(), seconds)

    def join(self) -> None:
        """Wait for pushes that were under way when `close` lost its patience."""
        self._pool.shutdown()

    def _pump(self) -> None:
        while not self._wake.closed:
            seen = self._wake.mark()
            self._wake.wait(seen, seconds=self._start_due())

    def _start_due(self) -> float | None:
        """Start what may start; the seconds until the next delivery is due, None: only a
        publication or the end of a push can bring news."""
        waits: list[float] = []
        for config in self._messages.subscriptions():
            if config.push is None:
                continue
            room = self._room(config.push)
            for delivery in self._lease(config, room) if room > 0 else ():
                self._start(config, delivery)
            due = self._messages.next_due(config.name)
            if due and self._room(config.push) > 0:
                waits.append(max((due - self._engine.clock.now()).total_seconds(), 0.0))
        return min(waits, default=None)

    def _lease(self, config: SubscriptionConfig, room: int) -> list[Delivery]:
        faults = None if self.faults.plan == FaultPlan() else self.faults
        return self._messages.lease(config.name, room, faults)

    def _room(self, receiver: str) -> int:
        with self._lock:
            return self._limit(receiver) - self._in_flight[receiver]

    def _start(self, config: SubscriptionConfig, delivery: Delivery) -> None:
        receiver = config.push or ""
        with self._lock:
            self._in_flight[receiver] += 1

        def ended(future: Future[None]) -> None:
            with self._lock:
                self._in_flight[receiver] -= 1
                self._idle.notify_all()
            self._wake.set()
            future.result()  # an error of ours is printed by the pool

        self._pool.submit(self._deliver, config, delivery).add_done_callback(ended)

    def _deliver(self, config: SubscriptionConfig, delivery: Delivery) -> None:
        body = json.dumps(envelope(delivery, config)).encode()
        status, why = 503, ""
        try:
            status = self._push(config.push or "", body, float(config.ack_deadline_seconds))
        except ServiceUnavailable as error:
            why = str(error)
        finally:
            lost = self.faults.loses_ack(config.name, int(delivery.message.id))
            if status in ACK_STATUSES and not lost:
                self._messages.ack(delivery.ack_id)
            else:
                self._messages.nack(delivery.ack_id)
        if status not in ACK_STATUSES:
            self._note(delivery, status, why)

    def _note(self, delivery: Delivery, status: int, why: str) -> None:
        line = {
            "time": self._engine.clock.now().isoformat(),
            "subscription": delivery.subscription.rpartition("/")[2],
            "message": delivery.message.id,
            "attempt": delivery.attempt,
            "status": status,
            "why": why,
        }
        with self._lock, self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")


def push_to_url(url: str, body: bytes, seconds: float) -> int:
    """A push to an address of its own. Raises ServiceUnavailable."""
    request = urllib.request.Request(url, body, dict(PUSH_HEADERS), method="POST")  # noqa: S310
    try:
        # Only http(s) addresses become receivers of this kind; no proxy stands before loopback.
        with _DIRECT.open(request, timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable(f"{url} did not answer: {error}") from error
