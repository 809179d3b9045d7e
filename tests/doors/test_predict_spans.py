"""Traces of predictions as a collector gets them: OTLP over HTTP, decoded."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from infra.bundle import REPOSITORY
from shared.adapters.otlp_spans import ENOUGH, MOST, SECONDS, SEND_SECONDS, OtlpSpans
from shared.config import Config
from shared.wiring import Wiring
from tests.support.predictor import RECORD, Seconds, World
from tests.unit.serving.models import binary_package, serve

TRACE, SPAN = "105445aa7843bc8bf206b12000100000", "00f067aa0ba902b7"
OFF = """
import sys
import main
main.app.extensions["millrace"].preload()
print([name for name in sys.modules if name.startswith(("opentelemetry", "requests"))])
"""


class Collector:
    """Takes what is posted to /v1/traces; `status` is its answer, `patient` holds it back."""

    def __init__(self) -> None:
        self.bodies: list[ExportTraceServiceRequest] = []
        self.asked, self.status, self.patient = 0, 200, threading.Event()
        self.patient.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked += 1
                collector.patient.wait(10)
                if collector.status == 200:
                    assert self.path == "/v1/traces"
                    assert self.headers["Content-Type"] == "application/x-protobuf"
                    collector.bodies.append(ExportTraceServiceRequest.FromString(body))
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Silence."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for body in self.bodies
            for resource in body.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def close(self) -> None:
        self.patient.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    found = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield found
    found.close()


class Traced(World):
    """A predictor that traces, and the clock of its tracing."""

    def __init__(self) -> None:
        self.tick = Seconds()
        super().__init__(
            spans=lambda trouble: OtlpSpans(on_trouble=trouble, monotonic=self.tick),
            access=lambda _: None,
        )
        serve(binary_package(), self.lake.bucket, log="off")

    def metric(self, name: str) -> int:
        lines = self.client.get("/metrics").get_data(as_text=True).splitlines()
        return sum(int(line.split()[-1]) for line in lines if line.startswith(name + "{"))

    def end(self) -> None:
        self.app.extensions["millrace"].close()


def facts(span: Any) -> dict[str, Any]:
    found = {one.key: one.value for one in span.attributes}
    return {key: getattr(value, str(value.WhichOneof("value"))) for key, value in found.items()}


def test_a_request_is_a_span_below_its_caller(collector: Collector) -> None:
    """Names, numbers and times of an answer; its parent is the span of `traceparent`."""
    world, before = Traced(), time.time_ns()
    header = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    assert world.ask([RECORD] * 3, headers=header)[0] == 200
    world.end()
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert (span.name, span.kind) == ("predict", 2)
    assert before < span.start_time_unix_nano < span.end_time_unix_nano < time.time_ns()
    assert facts(span) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "millrace.model": "adult",
        "millrace.version": "v1",
        "millrace.protocol": "native",
        "millrace.rows": 3,
    }


def test_googles_header_names_the_parent_too(collector: Collector) -> None:
    """Its span is a decimal number; whether it is sampled decides whether ours is."""
    world = Traced()
    for options in (";o=1", ";o=0", ""):
        header = {"X-Cloud-Trace-Context": f"{TRACE}/{int(SPAN, 16)}{options}"}
        world.ask(RECORD, headers=header)
    world.end()
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"X-Cloud-Trace-Context": f"{TRACE}/0;o=1"},
        {"X-Cloud-Trace-Context": f"{TRACE}/{2**64};o=1"},
        {"X-Cloud-Trace-Context": "; DROP TABLE"},
    ],
)
def test_a_header_of_another_form_starts_a_trace(
    collector: Collector, header: dict[str, str]
) -> None:
    """Nothing that a caller sends costs an answer."""
    world = Traced()
    assert world.ask(RECORD, headers=header)[0] == 200
    world.end()
    (span,) = collector.spans
    assert len(span.trace_id) == 16
    assert not span.parent_span_id


def test_refusals_are_spans_and_only_our_faults_are_errors(collector: Collector) -> None:
    """Every protocol, statuses as they were answered; 4xx is the caller's, as OpenTelemetry has
    it; a name from the address is cut."""
    world = Traced()
    world.ask({"age": "old"})
    world.ask({"inputs": [[1]]}, "/models/adult/invocations")
    world.ask({}, f"/v2/models/{'x' * 1000}/infer")
    fresh = Traced()
    fresh.lake.down = True
    fresh.ask(RECORD)
    world.end()
    fresh.end()
    found = {
        (facts(span)["millrace.protocol"], facts(span)["http.response.status_code"]): span
        for span in collector.spans
    }
    assert set(found) == {("native", 422), ("mlflow", 400), ("v2", 404), ("native", 503)}
    assert {key for key, span in found.items() if span.status.code == 2} == {("native", 503)}
    assert len(facts(found["v2", 404])["millrace.model"]) == 128


def test_spans_wait_for_each_other(collector: Collector) -> None:
    """Sent by the request that finds one old enough, or enough of them; never by one more."""
    world = Traced()
    world.ask(RECORD)
    assert collector.asked == 0
    world.tick.now += SECONDS
    world.ask(RECORD)
    assert (collector.asked, len(collector.spans)) == (1, 2)
    for _ in range(ENOUGH):
        world.ask(RECORD)
    assert (collector.asked, len(collector.spans)) == (2, ENOUGH + 2)
    world.end()
    assert collector.asked == 2


@pytest.mark.parametrize("trouble", ["refuses", "is not there", "answers never"])
def test_a_bad_collector_costs_no_prediction(collector: Collector, trouble: str) -> None:
    """Every request is answered, one of them at most half a second later; failures are counted,
    and the spans are there once the collector is."""
    world = Traced()
    world.ask(RECORD)
    if trouble == "refuses":
        collector.status = 503
    elif trouble == "answers never":
        collector.patient.clear()
    if trouble == "is not there":
        collector.close()
    world.tick.now += SECONDS
    began = time.monotonic()
    for _ in range(50):
        assert world.ask(RECORD)[0] == 200
    assert time.monotonic() - began < 10 * SEND_SECONDS
    assert world.metric("millrace_span_failures_total") == 1
    assert world.metric("millrace_spans_lost_total") == 0
    if trouble != "is not there":
        collector.status = 200
        collector.patient.set()
        world.tick.now += 60
        world.ask(RECORD)
        assert len({span.span_id for span in collector.spans}) == 52
        assert world.metric("millrace_span_failures_total") == 1


def test_memory_is_bounded_while_nobody_takes_spans(collector: Collector) -> None:
    """The newest are kept, the others are counted as lost."""
    collector.status = 503
    world = Traced()
    rows = MOST + 700
    for _ in range(rows):
        world.ask(RECORD)
    world.tick.now += 1000
    world.ask(RECORD)
    assert world.metric("millrace_spans_lost_total") == rows + 1 - MOST
    collector.status = 200
    world.end()
    assert len({span.span_id for span in collector.spans}) == MOST


def test_what_nobody_took_until_the_end_is_lost_and_told(collector: Collector) -> None:
    """The end of a process waits for one failed try, not for one of each batch."""
    collector.status = 503
    world = Traced()
    for _ in range(ENOUGH - 1):
        world.ask(RECORD)
    world.end()
    assert collector.asked == 1
    assert world.metric("millrace_spans_lost_total") == ENOUGH - 1


def test_a_sampler_is_heeded(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variables decide: here that nothing is traced, and a service's name."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    world = Traced()
    world.ask(RECORD)
    world.end()
    assert collector.asked == 0
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "ours")
    world = Traced()
    world.ask(RECORD, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    world.end()
    assert len(collector.spans) == 1
    resource = collector.bodies[0].resource_spans[0].resource
    assert facts(resource)["service.name"] == "ours"


def test_off_by_default_and_then_not_even_imported() -> None:
    """Tracing costs a cold start nothing where no collector is named."""
    found = subprocess.run(
        [sys.executable, "-c", OFF],
        cwd=REPOSITORY / "functions" / "predict",
        env={
            "PYTHONPATH": str(REPOSITORY),
            "AIP_STORAGE_URI": "/nowhere",
            "OTEL_SERVICE_NAME": "ours",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert found.stdout.splitlines()[-1] == "[]", json.dumps(found.stdout)


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
            False,
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
            False,
        ),
    ],
)
def test_what_switches_it_on(env: dict[str, str], on: bool) -> None:
    """A collector that is named, unless one of OpenTelemetry's switches is off."""
    config = Config.from_env({"AIP_STORAGE_URI": "/nowhere", **env})
    assert (Wiring(config).spans(lambda *_: None) is not None) is on
