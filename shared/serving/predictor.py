"""The state of a predictor process, and the way of one prediction request through it.

    look up the version -> shed or read the body -> protocol reads -> predict -> protocol writes
                     each end, good or bad, is counted and in the access log

Routes are `shared.serving.app`'s; the short way (`shared.serving.shortcut`) comes here, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from shared.errors import InvalidInstances, MillraceError
from shared.ports import Answered, Clock, Publisher
from shared.serving import fast_json
from shared.serving.access_log import AccessLog
from shared.serving.alerts import Alerts
from shared.serving.answers import Answer
from shared.serving.counting import (
    count_answer,
    count_lost,
    count_untold,
    log_line,
)
from shared.serving.load import Load
from shared.serving.lookup import Lookup, Models
from shared.serving.metrics import Metrics
from shared.serving.prediction_log import LaterLog, PredictionLog
from shared.serving.protocols import mlflow_scoring, native, open_inference
from shared.serving.protocols.asked import JSON, Protocol
from shared.serving.protocols.refusing import MAX_BODY_BYTES, REFUSALS, refusal_of
from shared.serving.served import Served
from shared.serving.trust import Spent
from shared.usecases.predict import predict

_PRELOADED = 4
# Of the end of a process. What is published takes so long when nobody answers (shared/wiring.py).
CLOSING_SECONDS, SLOWEST_SECONDS = 3.5, 2.5


class Predictor:
    """The state of one predictor process, and what answers its predictions."""

    lookup: Lookup

    def __init__(
        self,
        publisher: Callable[[], Publisher],
        clock: Callable[[], Clock],
        monotonic: Callable[[], float],
        cpu: Callable[[], float],
        access: AccessLog,
    ) -> None:
        self.metrics, self.load, self._clock = Metrics(), Load(), clock
        self.access, self._timer = access, lambda: Spent(cpu(), monotonic())
        publisher = self.load.apart(publisher)
        lost = partial(count_lost, self.metrics)
        self.log = PredictionLog(publisher, on_lost=lost, monotonic=monotonic)
        untold = partial(count_untold, self.metrics)
        self.alerts = Alerts(publisher, clock, on_lost=untold, monotonic=monotonic)

    @property
    def models(self) -> Models:
        return self.lookup.models

    def preload(self) -> None:
        """Load models before the first request asks for them, where there are few."""
        _ = self.access.spans
        with suppress(MillraceError):  # told to `survived`; the first request tries again
            names = self.models.names()
            for name in names if len(names) <= _PRELOADED else []:
                self.models.get(name)

    def close(self) -> None:
        """The process ends: nothing that was answered may be lost. People hear of what is new as
        far as there is time; another process finds that, too."""
        until = time.monotonic() + CLOSING_SECONDS
        self.log.close()
        if time.monotonic() + SLOWEST_SECONDS <= until:
            self.alerts.send()
        self.access.close()

    def survived(self, model: str, error: MillraceError) -> None:
        """Log and count what went wrong behind an answer."""
        self.metrics.count("millrace_refresh_failures_total", model=model)
        log_line(model, error)

    def view(
        self, protocol: Protocol, model: str | None = None, version: str | None = None
    ) -> Response:
        """One request in one of the protocols, as Flask dispatches it."""
        asked = request.args.get("model")
        body, headers = self.answer(
            protocol, request.environ, _body, model=model, version=version, asked=asked
        )
        return Response(body, headers={"Content-Type": JSON, **(headers or {})})

    def answer(
        self,
        protocol: Protocol,
        environ: dict[str, Any],
        read: Callable[[], bytes],
        *,
        model: str | None = None,
        version: str | None = None,
        asked: str | None = None,
    ) -> tuple[bytes, Mapping[str, str] | None]:
        """Body and headers of the answer to a request, whose body `read` gives. `asked` is what
        the query names where the path names no model. Raises REFUSALS."""
        started = time.perf_counter()
        name, served, given, status = model or "", None, None, 500
        try:
            name = model or self.lookup.only(asked)
            served = self.lookup.served(name, version)
            body, headers, given = self._answer(protocol, served, environ, read)
            status = 200
        except REFUSALS as error:
            refusal = refusal_of(error)
            status = refusal.status
            if isinstance(error, InvalidInstances):
                refused = len({problem["row"] for problem in error.problems})
                self.metrics.count("millrace_refused_rows_total", refused, model=name)
            try:
                raise refusal from error
            finally:  # else it keeps this frame and all records until garbage is collected
                del refusal
        finally:
            seconds, answering = time.perf_counter() - started, ""
            if served is not None:  # names from an address are no reason to grow memory
                answering = given.version if given else served.model.version
                self._count(protocol, name, answering, status, seconds)
            rows = len(given.predictions) if given else 0
            answered = Answered(name, answering, protocol.NAME, rows, status, seconds)
            self.access.add(environ, answered)
        return body, headers

    def _count(
        self, protocol: Protocol, model: str, version: str, status: int, seconds: float
    ) -> None:
        self.metrics.count(
            "millrace_requests_total", model=model, protocol=protocol.NAME, status=str(status)
        )
        self.metrics.observe(model, version, seconds)

    def _answer(
        self,
        protocol: Protocol,
        served: Served,
        environ: dict[str, Any],
        read: Callable[[], bytes],
    ) -> tuple[bytes, Mapping[str, str] | None, Answer]:
        """Body, headers, and what they were made of."""
        self.load.shed()
        body = read()
        self.load.enter(body)
        log, weight = LaterLog(self.log), len(body)
        try:
            with self.load.turn(body):
                asked = protocol.read(body, environ, served.model)
                weight = self.load.found(body, len(asked.records))
                answer = predict(
                    served,
                    asked.records,
                    log=log,
                    clock=self._clock(),
                    given_id=asked.request_id,
                    timer=self._timer,
                )
        finally:
            log.write_now()  # others have their turn while this waits for it
            self.log.flush_due()
            self.load.leave(weight)
        count_answer(self.metrics, self.alerts, served.model.model, answer)
        written, told = protocol.write(answer, asked, served.model), answer.headers()
        headers = {**(written.headers or {}), **told} if told else written.headers
        done = written.body if type(written.body) is bytes else fast_json.write(written.body)
        return done, headers, answer

    def refused(self, error: Exception, path: str = "") -> Response:
        """A refusal in the shape that the route's protocol has."""
        refusal, path = refusal_of(error), path or request.path
        protocol: Protocol = native
        if path == "/v2" or path.startswith("/v2/"):
            protocol = open_inference
        elif path.endswith("/invocations"):
            protocol = mlflow_scoring
        body = fast_json.write(protocol.refuse(refusal))
        return Response(body, refusal.status, refusal.headers, content_type=JSON)


def _body() -> bytes:
    """Of the request that Flask dispatches."""
    body = request.get_data(cache=False)
    if len(body) >= MAX_BODY_BYTES and not request.content_length:
        raise RequestEntityTooLarge  # werkzeug cuts a chunked body there and says nothing
    return body
