"""The predictor over HTTP: routes and status codes. What it answers is `usecases.predict`, how
requests and answers are written is `shared.serving.protocols`.

    POST /predict, /models/<model>/predict              a record, a list, {"instances": [...]}
    POST /invocations, /models/<model>/invocations      as `mlflow models serve`
    POST /v2/models/<model>[/versions/<version>]/infer  the Open Inference Protocol
    POST AIP_PREDICT_ROUTE                              Vertex AI
    GET  /models, /models/<model>, /model/info          what is served, and how to ask
    GET  /docs, /openapi.json, each also under /models/<model>
    GET  /healthz, /ready, /metrics, /ping, /health, /version, /v2, /v2/health/*, ...

Routes without a name mean the pinned model, the only one, or `?model=<model>`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from shared.errors import InvalidInstances, MillraceError
from shared.ports import Bucket, Clock, Publisher, Spans, SpanTrouble
from shared.serving import fast_json
from shared.serving.about import About
from shared.serving.access_log import AccessLog, to_stdout
from shared.serving.alerts import Alerts
from shared.serving.answers import Answer
from shared.serving.counting import (
    count_answer,
    count_let_go,
    count_lost,
    count_span_trouble,
    count_untold,
    log_line,
)
from shared.serving.direct import DirectModel
from shared.serving.load import Load
from shared.serving.lookup import Lookup, Models
from shared.serving.manifest import INTERVAL_SECONDS, ServedModels
from shared.serving.metrics import Metrics
from shared.serving.prediction_log import LaterLog, PredictionLog
from shared.serving.protocols import mlflow_scoring, native, open_inference, vertex
from shared.serving.protocols.asked import JSON, Protocol
from shared.serving.protocols.refusing import MAX_BODY_BYTES, REFUSALS, refusal_of
from shared.serving.room import room_of
from shared.serving.served import Served
from shared.serving.shortcut import Shortcut
from shared.serving.trust import Spent
from shared.usecases.predict import predict

_PRELOADED = 4


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
        """The process ends: nothing that was answered may be lost."""
        self.log.close()
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
            raise refusal from error
        finally:
            seconds, answering = time.perf_counter() - started, ""
            if served is not None:  # names from an address are no reason to grow memory
                answering = given.version if given else served.model.version
                self._count(protocol, name, answering, status, seconds)
            self.access.add(
                environ,
                model=name,
                version=answering,
                protocol=protocol.NAME,
                rows=len(given.predictions) if given else 0,
                status=status,
                seconds=seconds,
            )
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
        log = LaterLog(self.log)
        try:
            with self.load.turn(body):
                asked = protocol.read(body, environ, served.model)
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
            self.load.leave(body)
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


def create_app(
    *,
    lake: Callable[[], Bucket],
    publisher: Callable[[], Publisher],
    clock: Callable[[], Clock],
    pinned: Callable[[], str | None] = str,
    room: Callable[[], int] = room_of,
    bucket: Callable[[str], Bucket] | None = None,
    contract: vertex.Contract | None = None,
    interval_seconds: float = INTERVAL_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    cpu: Callable[[], float] = time.thread_time,
    project: Callable[[], str] = str,
    access: Callable[[str], None] = to_stdout,
    spans: Callable[[SpanTrouble], Spans | None] = lambda _: None,
) -> Flask:
    """The predictor as a WSGI application. Ports are given as functions: nothing is connected
    before the first request (or `app.extensions["millrace"].preload()`).

    Args:
        room: Gives the bytes that loaded versions may take.
        bucket: Gives a bucket by its name, for a package that the contract points at.
        cpu: Seconds that the thread worked.
        project: The Google Cloud project that traces are in; empty for none.
        access: Takes the line of each request.
        spans: Makes what traces requests, given who is told of its troubles.
    """
    contract = contract or vertex.Contract()
    traced = AccessLog(
        project, access, lambda: spans(partial(count_span_trouble, predictor.metrics))
    )
    predictor = Predictor(publisher, clock, monotonic, cpu, traced)
    times: dict[str, Any] = {"interval_seconds": interval_seconds, "monotonic": monotonic}
    if contract.storage_uri:
        where = bucket or (lambda _: lake())
        models: Models = DirectModel(
            contract.storage_uri, bucket=where, on_problem=predictor.survived, **times
        )
    else:
        told: dict[str, Any] = {
            "on_problem": predictor.survived,
            "alerts": predictor.alerts,
            "on_let_go": partial(count_let_go, predictor.metrics),
        }
        models = ServedModels(lake, pinned=pinned, room=room, **told, **times)
    predictor.lookup = Lookup(models)
    app = Flask("millrace.predict", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["millrace"] = predictor
    _add_predictions(app, predictor, contract)
    _add_about(app, About(predictor.lookup, predictor.metrics), contract)
    for kind in REFUSALS:
        app.register_error_handler(kind, predictor.refused)
    return app


def _add_predictions(app: Flask, predictor: Predictor, contract: vertex.Contract) -> None:
    # What the platform names comes first: it may name one of ours.
    asked: list[tuple[str, Protocol]] = [
        *([(contract.predict, vertex)] if contract.predict else []),
        ("/predict", native),
        ("/models/<model>/predict", native),
        ("/invocations", mlflow_scoring),
        ("/models/<model>/invocations", mlflow_scoring),
        ("/v2/models/<model>/infer", open_inference),
        ("/v2/models/<model>/versions/<version>/infer", open_inference),
    ]
    for number, (rule, protocol) in enumerate(asked):
        view = partial(predictor.view, protocol)
        app.add_url_rule(rule, f"POST {number}", view, methods=["POST"])
    app.wsgi_app = Shortcut(app, predictor, asked)  # type: ignore[method-assign]


def _add_about(app: Flask, about: About, contract: vertex.Contract) -> None:
    told: list[tuple[str, Callable[..., Response]]] = [
        *([(contract.health, about.ready)] if contract.health else []),
        ("/models", about.list_models),
        ("/models/<model>", about.describe),
        ("/models/<model>/info", about.describe),
        ("/model/info", about.describe),
        *((f"{at}/openapi.json", about.openapi) for at in ("", "/models/<model>")),
        *((f"{at}/docs", about.docs) for at in ("", "/models/<model>")),
        ("/healthz", about.healthz),
        ("/ready", about.ready),
        ("/metrics", about.show_metrics),
        ("/ping", about.ping),
        ("/health", about.ping),
        ("/version", about.version),
        ("/v2", about.v2_server),
        ("/v2/health/live", about.v2_live),
        ("/v2/health/ready", about.v2_ready),
    ]
    for rule in ("/v2/models/<model>", "/v2/models/<model>/versions/<version>"):
        told += [(rule, about.v2_model), (f"{rule}/ready", about.v2_model_ready)]
    for number, (rule, view) in enumerate(told):
        app.add_url_rule(rule, f"GET {number}", view, methods=["GET"])


def _body() -> bytes:
    """Of the request that Flask dispatches."""
    body = request.get_data(cache=False)
    if len(body) >= MAX_BODY_BYTES and not request.content_length:
        raise RequestEntityTooLarge  # werkzeug cuts a chunked body there and says nothing
    return body
