"""How lines of the prediction log leave a process whose CPU stops between requests.

    sync       the request waits for the publish
    buffered   kept until LINES of them or BYTES are together or the oldest is SECONDS old; the
               request that finds it so publishes them all before it answers
    a process that is told to end publishes what is left (`close`)

No background thread. A process that is killed loses fewer than LINES lines of answered requests: a
request that fills the buffer waits for its publish, and so do those that come meanwhile. A publish
that fails is told and not tried again; while Pub/Sub keeps publishes waiting in vain it is left
alone (`shared.serving.resting`), or predictions would come at the pace of its silence.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from shared.errors import ServiceUnavailable
from shared.ports import Publisher
from shared.serving.publishing import refusal_to_publish
from shared.serving.resting import Resting

TOPIC = "predictions"
LINES = 500
BYTES = 1_000_000
SECONDS = 10.0
_LAST_WAIT_SECONDS = 0.5
# A message may have 10 MB; half of it leaves room for base64 and attributes.
_MESSAGE_BYTES = 5_000_000
_KIND = "PredictionsLogged"
LOSS = (
    f"answers do not wait for the log: fewer than {LINES} rows of answered requests are lost when "
    f"an instance is killed, none when it is told to end"
)


class PredictionLog:
    """The log of one process. Safe to share between threads.

    Args:
        on_lost: Told about lines that were not accepted, by model, and why.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        publisher: Callable[[], Publisher],
        *,
        on_lost: Callable[[Counter[str], Exception], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher, self._on_lost, self._monotonic = publisher, on_lost, monotonic
        self._lock, self._publishing = threading.Lock(), threading.Lock()
        self._lines: list[tuple[str, bytes]] = []
        # Of lines that are not accepted yet, those on their way too.
        self._pending = self._bytes = 0
        self._since = 0.0  # when the oldest of `_lines` came
        self._most, self._closing = LINES, False
        self._resting = Resting(monotonic)

    def write(self, model: str, lines: list[bytes], *, buffered: bool = False) -> None:
        """Publish lines, or keep them for later."""
        if not buffered:
            self._publish([(model, line) for line in lines])
            return
        with self._lock:
            if not self._lines:
                self._since = self._monotonic()
            self._lines += [(model, line) for line in lines]
            self._pending += len(lines)
            self._bytes += sum(map(len, lines))

    def flush_due(self) -> None:
        """Publish what is kept once it is enough or old enough: called before each answer."""
        if self._pending and self._is_due():
            with self._publishing:
                if self._is_due():  # another request may just have done it
                    self._flush()

    def close(self) -> None:
        """Publish what is kept, and keep nothing from now on."""
        self._most, self._closing = 1, True
        # Somebody who publishes has his own lines; waiting for him in vain would cost ours.
        waited = self._publishing.acquire(timeout=_LAST_WAIT_SECONDS)
        try:
            self._flush()
        finally:
            if waited:
                self._publishing.release()

    def _is_due(self) -> bool:
        if self._pending >= self._most or self._bytes >= BYTES:
            return True
        return bool(self._lines) and self._monotonic() - self._since >= SECONDS

    def _flush(self) -> None:
        with self._lock:
            lines, self._lines = self._lines, []
        try:
            self._publish(lines)
        finally:
            with self._lock:
                self._pending -= len(lines)
                self._bytes -= sum(len(line) for _, line in lines)

    def _publish(self, lines: list[tuple[str, bytes]]) -> None:
        """Publish lines in as few messages as fit; after a refusal the rest is not tried.

        The lake's subscription writes a message and a line end, so lines joined by line ends are
        lines there too, and a request of a thousand rows costs one publish.
        """
        done = 0
        while done < len(lines):
            end, size = done, 0
            while end < len(lines) and (end == done or size + len(lines[end][1]) < _MESSAGE_BYTES):
                size += len(lines[end][1]) + 1
                end += 1
            error = self._refusal(b"\n".join([line for _, line in lines[done:end]]))
            if error is not None:
                self._on_lost(Counter(model for model, _ in lines[done:]), error)
                return
            done = end

    def _refusal(self, data: bytes) -> Exception | None:
        """Why a message was not accepted. A service that let others wait in vain is not asked."""
        if not (self._resting.may_ask() or self._closing):
            return ServiceUnavailable("Pub/Sub did not answer lately and is left alone")
        started = self._monotonic()
        error = refusal_to_publish(self._publisher, TOPIC, data, _KIND)
        self._resting.asked(self._monotonic() - started, accepted=error is None)
        return error


class LaterLog:
    """The lines of one request, for when it has done what keeps others waiting."""

    def __init__(self, log: PredictionLog) -> None:
        self._log = log
        self._told: list[tuple[str, list[bytes], bool]] = []

    def write(self, model: str, lines: list[bytes], *, buffered: bool = False) -> None:
        self._told.append((model, lines, buffered))

    def write_now(self) -> None:
        """Hand all of it to the log."""
        for model, lines, buffered in self._told:
            self._log.write(model, lines, buffered=buffered)
