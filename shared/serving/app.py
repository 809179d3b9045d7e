"""The predictor over HTTP: routes, status codes, JSON. What it answers is `usecases.predict`.

    POST /models/<model>/predict, POST /predict    a record, a list, or {"instances": [...]}
    GET  /models, /models/<model>                  what is served, and how to ask
    GET  /healthz, /ready, /metrics

Every refusal is JSON, `{"error": {"code", "message", ...}}`, and says what was expected.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from shared.errors import FeaturesTooOld, InvalidInstances, MillraceError, NotServed
from shared.ports import Bucket, Clock, Publisher
from shared.serving.asked import JSON, Refusal, records_of
from shared.serving.manifest import INTERVAL_SECONDS, Served, ServedModels
from shared.serving.metrics import Metrics
from shared.usecases.predict import predict
from shared.usecases.predict_split import Dealt

MAX_BODY_BYTES = 10 * 1024 * 1024
_SHOWN_PROBLEMS = 100
_PRELOADED = 4
_ID_HEADER = "X-Prediction-Id"
# json.dumps would make an encoder per call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class Predictor:
    """The state of one predictor process and its views."""

    def __init__(
        self,
        *,
        lake: Callable[[], Bucket],
        publisher: Callable[[], Publisher],
        clock: Callable[[], Clock],
        pinned: Callable[[], str | None],
        interval_seconds: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.metrics = Metrics()
        self.models = ServedModels(
            lake,
            pinned=pinned,
            interval_seconds=interval_seconds,
            on_problem=self._survived,
            monotonic=monotonic,
        )
        self._publisher, self._clock = publisher, clock

    def preload(self) -> None:
        """Load models before the first request asks for them, where there are few."""
        with suppress(MillraceError):  # told to `_survived`; the first request tries again
            names = self.models.names()
            for name in names if len(names) <= _PRELOADED else []:
                self.models.get(name)

    # --- views -----------------------------------------------------------------------------------

    def predict_default(self) -> Response:
        name = request.args.get("model")
        if name is None:
            names = self._names()
            if len(names) != 1:
                message = "name the model: POST /models/<model>/predict or /predict?model=<model>"
                status = 400 if names else 404
                raise Refusal(status, "model_not_named", message, models=names)
            name = names[0]
        return self.predict(name)

    def predict(self, model: str) -> Response:
        started = time.perf_counter()
        served = self._served(model)
        status = 500
        try:
            records = records_of(request)
            answer = predict(
                served,
                records,
                publisher=self._publisher,
                clock=self._clock(),
                given_id=request.headers.get(_ID_HEADER),
            )
            status = 200
        except InvalidInstances as error:
            status = 422
            self.metrics.count(
                "millrace_refused_rows_total", len({p["row"] for p in error.problems}), model=model
            )
            raise
        except FeaturesTooOld:
            status = 409
            raise
        except (Refusal, HTTPException) as error:
            status = error.status if isinstance(error, Refusal) else error.code or 500
            raise
        finally:
            self.metrics.count("millrace_requests_total", model=model, status=str(status))
            self.metrics.observe(model, time.perf_counter() - started)
        if answer.dealt is None:
            rows = len(answer.predictions)
            self.metrics.count("millrace_rows_total", rows, model=model, version=answer.version)
        else:
            self._count_dealt(model, answer.predictions, answer.dealt)
        if answer.log_problem is not None:
            self.metrics.count("millrace_log_failures_total", answer.unlogged, model=model)
            _log_line(model, answer.log_problem)
        return _json({"predictions": answer.predictions, "model_version": answer.version})

    def _count_dealt(self, model: str, rows: list[dict[str, Any]], dealt: Dealt) -> None:
        """Count an answer of two versions; what the challenger cannot do is told once."""
        for version, count in Counter(row["model_version"] for row in rows).items():
            self.metrics.count("millrace_rows_total", count, model=model, version=version)
        for reason, count in dealt.left_out.items():
            self.metrics.count("millrace_left_out_total", count, model=model, reason=reason)
        if dealt.problem is not None and not dealt.beside.told:
            dealt.beside.told = True
            version = dealt.beside.experiment.version
            _log_line(model, dealt.problem, f"challenger {version} raised ")

    def list_models(self) -> Response:
        return _json({"models": self._names()})

    def describe(self, model: str) -> Response:
        served = self._served(model)
        package, resolver = served.model.package, served.resolver
        sources = {"sources": resolver.describe()} if resolver is not None else {}
        example = {"instances": [package.example_record()]}
        return _json(
            {
                "model": model,
                "version": package.version,
                "semantic_version": served.manifest.semantic_version,
                "task": package.task,
                "features": [feature.to_json() for feature in package.schema.features],
                "labels": list(package.labels),
                "threshold": package.threshold,
                "metrics": dict(package.metrics),
                "created": package.created,
                "promoted_at": served.manifest.promoted_at,
                "revision": served.manifest.revision,
                "log": served.manifest.log,
                **_experiment(served),
                **sources,
                "example": {"path": f"/models/{model}/predict", "body": example},
            }
        )

    def healthz(self) -> Response:
        return _json({"status": "ok"})

    def ready(self) -> Response:
        """Ready when storage answers and, where one model is pinned, that one is loaded."""
        names = self._names()
        loaded = [served.model.model for served in self.models.loaded()]
        if self.models.pinned is not None and self.models.pinned not in loaded:
            loaded = [self._served(self.models.pinned).model.model]
        return _json({"status": "ready", "models": names, "loaded": loaded})

    def show_metrics(self) -> Response:
        loaded = [(item.model.model, item.model.version) for item in self.models.loaded()]
        return Response(self.metrics.text(loaded), mimetype="text/plain; version=0.0.4")

    # --- errors ----------------------------------------------------------------------------------

    def refused(self, error: Refusal) -> Response:
        return _error(error.status, error.code, str(error), **error.more)

    def invalid(self, error: InvalidInstances) -> Response:
        rows = len({problem["row"] for problem in error.problems})
        message = f"{len(error.problems)} problem(s) in {rows} row(s); nothing was predicted"
        shown = error.problems[:_SHOWN_PROBLEMS]
        total = len(error.problems)
        return _error(422, "invalid_instances", message, problems=shown, problems_total=total)

    def too_old(self, error: FeaturesTooOld) -> Response:
        more = {"source": error.source, "features_as_of": error.as_of}
        return _error(409, "features_too_old", str(error), **more)

    def http_error(self, error: HTTPException) -> Response:
        status = error.code or 500
        code = error.name.lower().replace(" ", "_")
        message = "something went wrong here; it is logged" if status >= 500 else error.description
        if status == 413:
            message = f"the body is larger than {MAX_BODY_BYTES} bytes; send fewer rows a request"
        return _error(status, code, message or error.name)

    # --- parts -----------------------------------------------------------------------------------

    def _served(self, model: str) -> Served:
        try:
            return self.models.get(model)
        except NotServed as error:
            raise Refusal(404, "unknown_model", str(error), models=self._names()) from error
        except MillraceError as error:  # told to `_survived` when it happened
            message = f"no version of {model!r} can be loaded at the moment; try again"
            raise Refusal(503, "unavailable", message) from error

    def _names(self) -> list[str]:
        try:
            return self.models.names()
        except MillraceError as error:
            message = "the list of models cannot be read at the moment; try again"
            raise Refusal(503, "unavailable", message) from error

    def _survived(self, model: str, error: MillraceError) -> None:
        """Log and count what went wrong behind an answer."""
        self.metrics.count("millrace_refresh_failures_total", model=model)
        _log_line(model, error)


def create_app(
    *,
    lake: Callable[[], Bucket],
    publisher: Callable[[], Publisher],
    clock: Callable[[], Clock],
    pinned: Callable[[], str | None] = str,
    interval_seconds: float = INTERVAL_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The predictor as a WSGI application. Ports are given as functions: nothing is connected
    before the first request (or `app.extensions["millrace"].preload()`)."""
    predictor = Predictor(
        lake=lake,
        publisher=publisher,
        clock=clock,
        pinned=pinned,
        interval_seconds=interval_seconds,
        monotonic=monotonic,
    )
    app = Flask("millrace.predict", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["millrace"] = predictor
    for rule, view, method in (
        ("/predict", predictor.predict_default, "POST"),
        ("/models/<model>/predict", predictor.predict, "POST"),
        ("/models", predictor.list_models, "GET"),
        ("/models/<model>", predictor.describe, "GET"),
        ("/healthz", predictor.healthz, "GET"),
        ("/ready", predictor.ready, "GET"),
        ("/metrics", predictor.show_metrics, "GET"),
    ):
        app.add_url_rule(rule, view.__name__, view, methods=[method])
    app.register_error_handler(Refusal, predictor.refused)
    app.register_error_handler(InvalidInstances, predictor.invalid)
    app.register_error_handler(FeaturesTooOld, predictor.too_old)
    app.register_error_handler(HTTPException, predictor.http_error)
    return app


def _experiment(served: Served) -> dict[str, object]:
    """The experiment that runs, for people who ask about the model."""
    if served.beside is None:
        return {}
    running = served.beside.experiment
    names = ("id", "version", "share", "key", "until")
    return {"experiment": {name: getattr(running, name) for name in names}}


def _log_line(model: str, error: Exception, before: str = "") -> None:
    message = f"{before}{type(error).__name__}: {error}"
    line = {"severity": "ERROR", "model": model, "message": message}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _json(body: object, status: int = 200) -> Response:
    return Response(_encode(body), status=status, content_type=JSON)


def _error(status: int, code: str, message: str, **more: object) -> Response:
    return _json({"error": {"code": code, "message": message, **more}}, status)
