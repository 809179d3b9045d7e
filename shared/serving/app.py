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

import json
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from typing import Protocol as Structure

from flask import Flask, Response, request

from shared.errors import InvalidInstances, MillraceError, NotServed
from shared.ports import Bucket, Clock, Publisher
from shared.serving.counting import count_answer, log_line
from shared.serving.describing import VERSION, about_model, about_server
from shared.serving.direct import DirectModel
from shared.serving.load import Load
from shared.serving.manifest import INTERVAL_SECONDS, Served, ServedModels
from shared.serving.metrics import Metrics
from shared.serving.protocols import mlflow_scoring, native, open_inference, vertex
from shared.serving.protocols.asked import JSON, Protocol, Refusal
from shared.serving.protocols.refusing import MAX_BODY_BYTES, REFUSALS, refusal_of
from shared.usecases.predict import predict

_PRELOADED = 4
# json.dumps would make an encoder per call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Models(Structure):
    """Where versions come from: manifests, or one folder."""

    @property
    def pinned(self) -> str | None: ...

    def names(self) -> list[str]: ...

    def loaded(self) -> list[Served]: ...

    def get(self, model: str) -> Served: ...


class Predictor:
    """The state of one predictor process and its views."""

    models: Models

    def __init__(self, publisher: Callable[[], Publisher], clock: Callable[[], Clock]) -> None:
        self.metrics, self.load = Metrics(), Load()
        self._publisher, self._clock = publisher, clock

    def preload(self) -> None:
        """Load models before the first request asks for them, where there are few."""
        with suppress(MillraceError):  # told to `survived`; the first request tries again
            names = self.models.names()
            for name in names if len(names) <= _PRELOADED else []:
                self.models.get(name)

    def survived(self, model: str, error: MillraceError) -> None:
        """Log and count what went wrong behind an answer."""
        self.metrics.count("millrace_refresh_failures_total", model=model)
        log_line(model, error)

    # --- predictions -----------------------------------------------------------------------------

    def answer(
        self, protocol: Protocol, model: str | None = None, version: str | None = None
    ) -> Response:
        """One request in one of the protocols."""
        started = time.perf_counter()
        served = self._served(model or self._only(), version)
        name, status = served.model.model, 500
        try:
            answered = self._answer(protocol, served)
            status = 200
        except REFUSALS as error:
            refusal = refusal_of(error)
            status = refusal.status
            if isinstance(error, InvalidInstances):
                rows = len({problem["row"] for problem in error.problems})
                self.metrics.count("millrace_refused_rows_total", rows, model=name)
            raise refusal from error
        finally:
            self.metrics.count(
                "millrace_requests_total", model=name, protocol=protocol.NAME, status=str(status)
            )
            seconds = time.perf_counter() - started
            self.metrics.observe(name, served.model.version, seconds)
        return answered

    def _answer(self, protocol: Protocol, served: Served) -> Response:
        body = request.get_data(cache=False)
        self.load.enter(body)
        try:
            asked = protocol.read(body, request.environ, served.model.schema)
            answer = predict(
                served,
                asked.records,
                publisher=self._publisher,
                clock=self._clock(),
                given_id=asked.request_id,
            )
        finally:
            self.load.leave(body)
        count_answer(self.metrics, served.model.model, answer)
        written = protocol.write(answer, asked, served.model)
        headers = written.headers
        if answer.unknown is not None:
            headers = {**(headers or {}), "X-Millrace-Unknown-Fields": answer.unknown.header()}
        return _json(written.body, 200, headers)

    # --- about -----------------------------------------------------------------------------------

    def list_models(self) -> Response:
        return _json({"models": self._names()})

    def describe(self, model: str | None = None) -> Response:
        return _json(about_model(self._served(model or self._only())))

    def healthz(self) -> Response:
        return _json({"status": "ok"})

    def ready(self) -> Response:
        names, loaded = self._ready()
        return _json({"status": "ready", "models": names, "loaded": loaded})

    def ping(self) -> Response:
        """MLflow's probe, whose body is a line end."""
        self._ready()
        return Response("\n", content_type=JSON)

    def version(self) -> Response:
        return Response(VERSION, mimetype="text/plain")

    def show_metrics(self) -> Response:
        loaded = [(item.model.model, item.model.version) for item in self.models.loaded()]
        return Response(self.metrics.text(loaded), mimetype="text/plain; version=0.0.4")

    def v2_server(self) -> Response:
        return _json(about_server())

    def v2_live(self) -> Response:
        return _json({"live": True})

    def v2_ready(self) -> Response:
        self._ready()
        return _json({"live": True, "ready": True})

    def v2_model(self, model: str, version: str | None = None) -> Response:
        return _json(open_inference.metadata_of(self._served(model, version).model))

    def v2_model_ready(self, model: str, version: str | None = None) -> Response:
        self._served(model, version)
        return _json({"name": model, "ready": True})

    # --- parts -----------------------------------------------------------------------------------

    def refused(self, error: Exception) -> Response:
        """A refusal in the shape that the route's protocol has."""
        refusal, path = refusal_of(error), request.path
        protocol: Protocol = native
        if path == "/v2" or path.startswith("/v2/"):
            protocol = open_inference
        elif path.endswith("/invocations"):
            protocol = mlflow_scoring
        return _json(protocol.refuse(refusal), refusal.status, refusal.headers)

    def _only(self) -> str:
        """The model of a route that names none."""
        name = request.args.get("model")
        if name is not None:
            return name
        names = self._names()
        if len(names) != 1:
            message = "name the model: POST /models/<model>/predict or /predict?model=<model>"
            raise Refusal(400 if names else 404, "model_not_named", message, models=names)
        return names[0]

    def _served(self, model: str, version: str | None = None) -> Served:
        try:
            served = self.models.get(model)
        except NotServed as error:
            raise Refusal(404, "unknown_model", str(error), models=self._names()) from error
        except MillraceError as error:  # told to `survived` when it happened
            message = f"no version of {model!r} can be loaded at the moment; try again"
            raise Refusal(503, "unavailable", message, {"Retry-After": "2"}) from error
        if version is None:
            return served
        named = served.of_version(version)
        if named is None:
            has = served.model.version
            message = f"version {version!r} of {model!r} is not served here, {has} is"
            raise Refusal(404, "unknown_version", message, versions=[has])
        return named

    def _names(self) -> list[str]:
        try:
            return self.models.names()
        except MillraceError as error:
            message = "the list of models cannot be read at the moment; try again"
            raise Refusal(503, "unavailable", message, {"Retry-After": "2"}) from error

    def _ready(self) -> tuple[list[str], list[str]]:
        """Models and those in memory. Ready when storage answers and, where one model is pinned,
        that one is loaded. Raises Refusal."""
        names = self._names()
        loaded = [served.model.model for served in self.models.loaded()]
        if self.models.pinned is not None and self.models.pinned not in loaded:
            loaded = [self._served(self.models.pinned).model.model]
        return names, loaded


def create_app(
    *,
    lake: Callable[[], Bucket],
    publisher: Callable[[], Publisher],
    clock: Callable[[], Clock],
    pinned: Callable[[], str | None] = str,
    bucket: Callable[[str], Bucket] | None = None,
    contract: vertex.Contract | None = None,
    interval_seconds: float = INTERVAL_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The predictor as a WSGI application. Ports are given as functions: nothing is connected
    before the first request (or `app.extensions["millrace"].preload()`).

    Args:
        bucket: Gives a bucket by its name, for a package that the contract points at.
    """
    contract = contract or vertex.Contract()
    predictor = Predictor(publisher, clock)
    times: dict[str, Any] = {"interval_seconds": interval_seconds, "monotonic": monotonic}
    if contract.storage_uri:
        where = bucket or (lambda _: lake())
        predictor.models = DirectModel(
            contract.storage_uri, bucket=where, on_problem=predictor.survived, **times
        )
    else:
        predictor.models = ServedModels(lake, pinned=pinned, on_problem=predictor.survived, **times)
    app = Flask("millrace.predict", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["millrace"] = predictor
    _add_routes(app, predictor, contract)
    for kind in REFUSALS:
        app.register_error_handler(kind, predictor.refused)
    return app


def _add_routes(app: Flask, predictor: Predictor, contract: vertex.Contract) -> None:
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
        answer = partial(predictor.answer, protocol)
        app.add_url_rule(rule, f"POST {number}", answer, methods=["POST"])
    told: list[tuple[str, Callable[..., Response]]] = [
        *([(contract.health, predictor.ready)] if contract.health else []),
        ("/models", predictor.list_models),
        ("/models/<model>", predictor.describe),
        ("/models/<model>/info", predictor.describe),
        ("/model/info", predictor.describe),
        ("/healthz", predictor.healthz),
        ("/ready", predictor.ready),
        ("/metrics", predictor.show_metrics),
        ("/ping", predictor.ping),
        ("/health", predictor.ping),
        ("/version", predictor.version),
        ("/v2", predictor.v2_server),
        ("/v2/health/live", predictor.v2_live),
        ("/v2/health/ready", predictor.v2_ready),
    ]
    for rule in ("/v2/models/<model>", "/v2/models/<model>/versions/<version>"):
        told += [(rule, predictor.v2_model), (f"{rule}/ready", predictor.v2_model_ready)]
    for number, (rule, view) in enumerate(told):
        app.add_url_rule(rule, f"GET {number}", view, methods=["GET"])


def _json(body: object, status: int = 200, headers: Any = None) -> Response:
    return Response(_encode(body), status=status, headers=headers, content_type=JSON)
