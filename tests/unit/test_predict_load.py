"""What the predictor is measured with counts everything, failures too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from infra.local.web import HttpServer, Request, Response
from tests.bench import predict_load
from tests.bench.predict_tables import Sample, targets


@contextmanager
def answering(*statuses: int) -> Iterator[HttpServer]:
    """A server that gives these statuses in turn, and the body back."""
    number = count()

    def answer(request: Request) -> Response:
        return Response(statuses[next(number) % len(statuses)], request.read())

    server = HttpServer(answer)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("connections", [1, 3])
def test_answers_are_counted_and_sampled(connections: int) -> None:
    """Every connection is used, bodies come back whole, however large."""
    body = b"x" * 300_000
    with answering(200) as server:
        load = predict_load.ask(server.port, "/", body, connections, 0.05)
    assert load.requests >= 1
    assert load.failed == 0
    assert load.bodies
    assert set(load.bodies) == {body.decode()}
    assert 0 < load.p50_ms <= load.p99_ms


def test_a_refusal_is_a_failure() -> None:
    """A server that refuses is not a fast one."""
    with answering(503) as server:
        load = predict_load.ask(server.port, "/", b"{}", 1, 0.02)
    assert load.failed == load.requests


def test_a_target_is_judged_by_the_median_of_rounds() -> None:
    """One lucky round does not meet it, one unlucky round does not miss it."""

    def rounds(*per_second: float) -> list[Sample]:
        return [Sample(each, 1.0, 2.0, 0.5, 0.1) for each in per_second]

    cell = {
        "predictor, log off": rounds(70, 90, 500),
        "Flask echo": rounds(100, 100, 100),
        "mlflow models serve": rounds(10, 10, 10),
    }
    echo, mlflow = targets({(1, 8): cell}, ["off"])[2:]
    assert "0.90 (0.70..5.00) | 0.80 | met" in echo
    assert "9.00 (7.00..50.00) | 12.00 | NOT MET" in mlflow
