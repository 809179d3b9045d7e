"""The predictor over HTTP: routes and status codes. What it answers is `usecases.predict`, how
requests and answers are written is `shared.serving.protocols`.

    POST /predict, /models/<model>/predict              a record, a list, {"instances": [...]}
    POST /invocations, /models/<model>/invocations      as `mlflow models serve`
    POST /v2/models/<model>[/versions/<version>]/infer  the Open Inference Protocol
    POST AIP_PREDICT_ROUTE                              Vertex AI
    GET  /                                              where to look
    GET  /models, /models/<model>, /model/info          what is served, and how to ask
    GET  /docs, /openapi.json, each also under /models/<model>
    GET  /healthz, /ready, /metrics, /ping, /health, /version, /v2, /v2/health/*, ...

Routes without a name mean the pinned model, the only one, or `?model=<model>`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Flask, Response

from shared.ports import Bucket, Clock, Publisher, Spans, SpanTrouble
from shared.serving.about import About
from shared.serving.access_log import AccessLog, to_stdout
from shared.serving.counting import (
    count_let_go,
    count_span_trouble,
)
from shared.serving.direct import DirectModel
from shared.serving.lookup import Lookup, Models
from shared.serving.manifest import INTERVAL_SECONDS, ServedModels
from shared.serving.predictor import Predictor
from shared.serving.protocols import mlflow_scoring, native, open_inference, vertex
from shared.serving.protocols.asked import Protocol
from shared.serving.protocols.refusing import MAX_BODY_BYTES, REFUSALS
from shared.serving.room import room_of
from shared.serving.shortcut import Shortcut


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
    lake = predictor.load.apart(lake)
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
        ("/", about.index),
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
