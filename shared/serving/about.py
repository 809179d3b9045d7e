"""The views that predict nothing: what is served, how to ask, how the process is."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flask import Response, request

from shared.serving.describing import VERSION, about_model, about_server
from shared.serving.lookup import Lookup
from shared.serving.metrics import Metrics
from shared.serving.protocols import open_inference
from shared.serving.protocols.asked import JSON
from shared.serving.served import Served

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
_SEE = {
    "/docs": "how to ask, for people with a browser",
    "/openapi.json": "the same for programs",
    "/models": "what is served",
    "/ready": "whether it is",
    "/metrics": "counts and times, for Prometheus",
}


class About:
    """Views over the models of a process and its counters."""

    def __init__(self, lookup: Lookup, metrics: Metrics) -> None:
        self._lookup, self._metrics = lookup, metrics

    def index(self) -> Response:
        """Where to look, for whoever has nothing but the address."""
        return _json({**about_server(), "see": _SEE})

    def list_models(self) -> Response:
        return _json({"models": self._lookup.names()})

    def describe(self, model: str | None = None) -> Response:
        return _json(about_model(self._served(model)))

    def openapi(self, model: str | None = None) -> Response:
        from shared.serving.openapi import openapi  # cold start: few ask

        names, served = self._lookup.shown(model)
        left = _left_out(names, served) if model is None else []
        return _json(openapi(served, only=len(names) == 1, left_out=left))

    def docs(self, model: str | None = None) -> Response:
        from shared.serving.docs_page import docs_page

        names, served = self._lookup.shown(model)
        where = request.host_url.rstrip("/") if request.host else "http://localhost:8080"
        page = docs_page(served, where, _left_out(names, served) if model is None else [])
        return Response(page, mimetype="text/html", headers=_PAGE_HEADERS)

    def healthz(self) -> Response:
        return _json({"status": "ok"})

    def ready(self) -> Response:
        names, loaded = self._lookup.ready()
        return _json({"status": "ready", "models": names, "loaded": loaded})

    def ping(self) -> Response:
        """MLflow's probe, whose body is a line end (and no JSON, which MLflow calls it)."""
        self._lookup.ready()
        return Response("\n", mimetype="text/plain")

    def version(self) -> Response:
        return Response(VERSION, mimetype="text/plain")

    def show_metrics(self) -> Response:
        loaded = [(item.model.model, item.model.version) for item in self._lookup.models.loaded()]
        return Response(self._metrics.text(loaded), mimetype="text/plain; version=0.0.4")

    def v2_server(self) -> Response:
        return _json(about_server())

    def v2_live(self) -> Response:
        return _json({"live": True})

    def v2_ready(self) -> Response:
        self._lookup.ready()
        return _json({"live": True, "ready": True})

    def v2_model(self, model: str, version: str | None = None) -> Response:
        served = self._served(model, version)
        other = served.other.model if served.other else None
        return _json(open_inference.metadata_of(served.model, other))

    def v2_model_ready(self, model: str, version: str | None = None) -> Response:
        self._served(model, version)
        return _json({"name": model, "ready": True})

    def _served(self, model: str | None, version: str | None = None) -> Served:
        name = model or self._lookup.only(request.args.get("model"))
        return self._lookup.served(name, version)


def _left_out(names: list[str], served: Sequence[Served]) -> list[str]:
    shown = {item.model.model for item in served}
    return [name for name in names if name not in shown]


def _json(body: object) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), content_type=JSON)
