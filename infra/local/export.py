"""Cloud Storage subscriptions: lines collected for a while, then written as one object."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

from infra.local.wake import Wake
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.subscriptions import Delivery, ExportConfig, SubscriptionConfig

Write = Callable[[str, str, bytes], None]

_LEASE = 500
_TOKENS = (
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("hh", "%H"),
    ("mm", "%M"),
    ("ss", "%S"),
)


class Exporter:
    """`write` stores bytes as bucket, name, data. A line may be written twice when the machine
    dies between writing and acknowledging: at least once, as at Google."""

    def __init__(self, engine: Engine, write: Write) -> None:
        self._engine, self._messages, self._write = engine, engine.pubsub, write
        self._wake = Wake()
        engine.database.on_commit(self._wake.set)
        self._thread = threading.Thread(target=self._pump, name="export", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._wake.close()
        self._thread.join(timeout=10)

    def _pump(self) -> None:
        while not self._wake.closed:
            seen = self._wake.mark()
            waits = [
                wait
                for config in self._messages.subscriptions()
                if (wait := self._flush_when_due(config)) is not None
            ]
            self._wake.wait(seen, seconds=min(waits, default=None))

    def _flush_when_due(self, config: SubscriptionConfig) -> float | None:
        """Seconds until the batch that is being collected must be written."""
        oldest = self._messages.next_due(config.name) if config.export else None
        if config.export is None or oldest is None:
            return None
        end = oldest + timedelta(seconds=config.export.max_seconds)
        wait = (end - self._engine.clock.now()).total_seconds()
        if wait > 0:
            return wait
        self.flush(config, config.export)
        return 0.0 if self._messages.next_due(config.name) else None

    def flush(self, config: SubscriptionConfig, export: ExportConfig) -> None:
        """Write what is due as one object and acknowledge it."""
        deliveries: list[Delivery] = []
        size = 0
        while size < export.max_bytes:
            more = self._messages.lease(config.name, _LEASE)
            deliveries += more
            size += sum(len(item.message.data) + 1 for item in more)
            if len(more) < _LEASE:
                break
        if not deliveries:
            return
        lines = b"".join(item.message.data + b"\n" for item in deliveries)
        self._write(export.bucket, object_name(export, self._engine.clock.now()), lines)
        with self._engine.database.transaction():
            for item in deliveries:
                self._messages.ack(item.ack_id)


def object_name(export: ExportConfig, now: datetime) -> str:
    """Prefix, time in the configured form, an underscore and something unique, suffix."""
    stamp = export.datetime_format
    for token, code in _TOKENS:
        stamp = stamp.replace(token, now.strftime(code))
    return f"{export.prefix}{stamp}_{uuid.uuid4().hex[:12]}{export.suffix}"
