"""One OpenTelemetry span per prediction request, sent as OTLP over HTTP; where to and how is told
by OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, ...).

    a request ends --> kept in memory --> the request that finds ENOUGH of them, or one that is
                       (at most MOST)     SECONDS old, sends them before it answers; so does the
                                          end of the process

No background thread: an instance has no CPU between requests. A collector that is slow costs one
request at most SEND_SECONDS, and then none for a while; what it does not take is kept for another
try until newer spans need the place.

Imported only where it is switched on: this costs a cold start a tenth of a second.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.ports import Answered, SpanTrouble

MOST, ENOUGH = 2_048, 512
SECONDS = 5.0
SEND_SECONDS = 0.5
# After a failure, doubled with each further one.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 10.0, 320.0
_SERVICE = "millrace-predict"
_CLOUD = re.compile(r"([0-9a-fA-F]{32})/(\d{1,20})(?:;o=(\d))?")
_NAME_LETTERS = 128


class OtlpSpans:
    """The spans of one process. Safe to share between threads; raises nothing once it is made.

    Args:
        on_trouble: Told how many spans are lost (0: they are kept for another try), and why.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self, *, on_trouble: SpanTrouble, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._on_trouble, self._monotonic = on_trouble, monotonic
        self._said = _Said()
        self._exporter = OTLPSpanExporter(timeout=SEND_SECONDS)
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        provider.add_span_processor(_Keeping(self._keep))
        self._tracer = provider.get_tracer("millrace")
        self._w3c = TraceContextTextMapPropagator()
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._kept: list[ReadableSpan] = []
        self._due = 0.0  # when the oldest of them has waited enough, or the collector has
        self._pause = 0.0  # after the collector's last failure
        self._lost = 0  # and not told yet

    def add(self, environ: Mapping[str, Any], answered: Answered) -> None:
        """A request that has just been answered; sends what is kept when it is time to."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            "predict",
            context=self._parent(environ),
            kind=SpanKind.SERVER,
            start_time=ended - int(answered.seconds * 1e9),
            attributes={
                "http.request.method": str(environ.get("REQUEST_METHOD", "")),
                "http.response.status_code": answered.status,
                "millrace.model": answered.model[:_NAME_LETTERS],
                "millrace.version": answered.version,
                "millrace.protocol": answered.protocol,
                "millrace.rows": answered.rows,
            },
        )
        if answered.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(ended)
        if self._is_due() and self._sending.acquire(blocking=False):
            try:
                self._send()
            finally:
                self._sending.release()

    def close(self) -> None:
        """The process ends: one more try for each batch, until one fails."""
        with self._sending:
            while self._kept and self._send():
                pass
        if self._kept:
            self._on_trouble(len(self._kept), "the process ends")

    def _is_due(self) -> bool:
        now = self._monotonic()
        if self._pause:
            return now >= self._due
        return len(self._kept) >= ENOUGH or (bool(self._kept) and now >= self._due)

    def _keep(self, span: ReadableSpan) -> None:
        with self._lock:
            if not self._kept and not self._pause:
                self._due = self._monotonic() + SECONDS
            self._kept.append(span)
            self._make_room()

    def _make_room(self) -> None:
        """The oldest go, whose traces nobody waits for any more."""
        lost = max(0, len(self._kept) - MOST)
        del self._kept[:lost]
        self._lost += lost

    def _send(self) -> bool:
        with self._lock:
            batch, self._kept = self._kept[:ENOUGH], self._kept[ENOUGH:]
        sent = self._exporter.export(batch) is SpanExportResult.SUCCESS
        with self._lock:
            if sent:
                self._pause = 0.0
                self._due = self._monotonic() + SECONDS
                return True
            self._kept = batch + self._kept
            self._make_room()
            lost, self._lost = self._lost, 0
            self._pause = min(max(2 * self._pause, _PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            self._due = self._monotonic() + self._pause
        self._on_trouble(lost, self._said.last)
        return False

    def _parent(self, environ: Mapping[str, Any]) -> Context | None:
        """Of `traceparent`, else of Google's own header; a new trace without them."""
        w3c = environ.get("HTTP_TRACEPARENT")
        if w3c is not None:
            carrier = {"traceparent": w3c, "tracestate": environ.get("HTTP_TRACESTATE", "")}
            return self._w3c.extract(carrier)
        found = _CLOUD.fullmatch(environ.get("HTTP_X_CLOUD_TRACE_CONTEXT", ""))
        if found is None:
            return None
        flags = TraceFlags(TraceFlags.SAMPLED if found[3] == "1" else TraceFlags.DEFAULT)
        context = SpanContext(int(found[1], 16), int(found[2]), is_remote=True, trace_flags=flags)
        return set_span_in_context(NonRecordingSpan(context)) if context.is_valid else None


class _Keeping(SpanProcessor):
    """Hands over the spans that the sampler wants."""

    def __init__(self, keep: Callable[[ReadableSpan], None]) -> None:
        self._keep = keep

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._keep(span)


class _Said(logging.Handler):
    """The exporter tells why it failed to the log only, in text of several lines at times."""

    last = ""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        logger = logging.getLogger("opentelemetry")
        logger.addHandler(self)
        logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()[:500]


def _resource() -> Resource:
    found = Resource.create()  # of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: _SERVICE}))
    return found
