"""One address for all functions: `/<function>/<path>` reaches that function's `/<path>`.

`/_admin/...` is for people and tests: faults on demand, scale to zero, what waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from infra.local.dispatch import PUSH_HEADERS
from infra.local.hosting import Hosted
from infra.local.web import HttpError, HttpServer, Request, Response, Routes, json_response
from shared.adapters.memory.cloud import Engine
from shared.adapters.memory.faults import FaultPlan, Faults
from shared.errors import ServiceUnavailable


class Gateway:
    """`url` is the base URL without a trailing slash."""

    def __init__(
        self,
        hosted: Mapping[str, Hosted],
        engine: Engine,
        faults: Faults,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._hosted, self._engine, self._faults = hosted, engine, faults
        routes = Routes()
        routes.add("GET", "/_admin/status", self._status)
        routes.add("POST", "/_admin/faults", self._set_faults)
        routes.add("POST", "/_admin/scale-to-zero/([^/]+)", self._scale_to_zero)
        for method in ("GET", "POST", "PUT", "DELETE"):
            routes.add(method, "/([a-z][a-z0-9-]*)(?:/.*)?", self._forward)
        self._http = HttpServer(routes, host, port)
        self.url = self._http.url

    def close(self) -> None:
        self._http.close()

    def push(self, function: str, body: bytes) -> int:
        """A push to a function's root, without a hop over HTTP. Raises ServiceUnavailable."""
        hosted = self._hosted.get(function)
        if hosted is None:
            raise ServiceUnavailable(f"there is no function {function}")
        return hosted.request("POST", "/", PUSH_HEADERS, body).status

    def _forward(self, request: Request, name: str) -> Response:
        target = request.target[len(name) + 1 :]
        target = target if target.startswith("/") else "/" + target
        try:
            answer = self._find(name).request(
                request.method, target, request.headers, request.read()
            )
        except ServiceUnavailable as error:
            raise HttpError(503, str(error)) from error
        return Response(answer.status, answer.body, answer.headers)

    def _find(self, name: str) -> Hosted:
        if name not in self._hosted:
            raise HttpError(404, f"there is no function {name}; known: {', '.join(self._hosted)}")
        return self._hosted[name]

    def _status(self, _request: Request) -> Response:
        hosts = {
            name: {
                "pid": item.process.pid if item.process else None,
                "cold_starts": item.cold_starts,
            }
            for name, item in self._hosted.items()
        }
        return json_response(
            {
                "hosts": hosts,
                "backlog": self._engine.pubsub.backlog(),
                "faults": asdict(self._faults.plan),
            }
        )

    def _set_faults(self, request: Request) -> Response:
        body: dict[str, Any] = request.json()
        try:
            self._faults.set(FaultPlan(**body))
        except TypeError as error:
            raise HttpError(400, f"no such fault: {error}") from error
        return json_response(asdict(self._faults.plan))

    def _scale_to_zero(self, _request: Request, name: str) -> Response:
        return json_response({"stopped": self._find(name).scale_to_zero()})
