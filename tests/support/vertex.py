"""Vertex AI's Model service on a gRPC port: keeps models in memory and every request that came.

Faithful about what the adapter relies on: model ids that are taken, versions numbered per model,
aliases that belong to one version of a model and move, a `default` that always exists, label
filters, uploads as long-running operations. Everything else is UNIMPLEMENTED.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as api

operations_pb2: Any = import_module("google.longrunning.operations_pb2")
_SERVICE = "google.cloud.aiplatform.v1.ModelService"


class Refused(Exception):
    """Answered with this status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code.name)
        self.code = code


class FakeVertex:
    """`requests` holds (method, request) in order. `fail(method, code, after=...)` answers the next
    call of a method with an error, before or after it took effect. `slow_uploads` keeps uploads
    running until they were asked for that often."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.versions: dict[str, list[Any]] = {}
        self.slow_uploads = 0
        self._faults: list[tuple[str, grpc.StatusCode, bool]] = []
        self._asked: dict[str, int] = {}

    def fail(self, method: str, code: grpc.StatusCode, *, after: bool = False) -> None:
        self._faults.append((method, code, after))

    def uploads(self) -> list[Any]:
        return [request for method, request in self.requests if method == "UploadModel"]

    def handlers(self) -> list[Any]:
        methods = {
            "UploadModel": (self._upload, api.UploadModelRequest, None),
            "GetModel": (self._get, api.GetModelRequest, api.Model),
            "UpdateModel": (self._update, api.UpdateModelRequest, api.Model),
            "ListModelVersions": (
                self._list,
                api.ListModelVersionsRequest,
                api.ListModelVersionsResponse,
            ),
            "MergeVersionAliases": (self._merge, api.MergeVersionAliasesRequest, api.Model),
        }
        operations = grpc.unary_unary_rpc_method_handler(
            self._operation,
            request_deserializer=operations_pb2.GetOperationRequest.FromString,
            response_serializer=operations_pb2.Operation.SerializeToString,
        )
        return [
            grpc.method_handlers_generic_handler(
                _SERVICE, {name: self._method(name, *parts) for name, parts in methods.items()}
            ),
            grpc.method_handlers_generic_handler(
                "google.longrunning.Operations", {"GetOperation": operations}
            ),
        ]

    def _method(self, name: str, work: Callable[[Any], Any], request: Any, response: Any) -> Any:
        def handle(message: Any, call: Any) -> Any:
            self.requests.append((name, message))
            fault = next((one for one in self._faults if one[0] == name), None)
            if fault:
                self._faults.remove(fault)
                if fault[2]:
                    work(message)
                call.abort(fault[1], f"{name}: {fault[1].name}")
            try:
                return work(message)
            except Refused as error:
                call.abort(error.code, f"{name}: {error.code.name}")

        serialize = response.serialize if response else operations_pb2.Operation.SerializeToString
        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=request.deserialize, response_serializer=serialize
        )

    # --- the service -----------------------------------------------------------------------------

    def _upload(self, request: Any) -> Any:
        name = request.parent_model or f"{request.parent}/models/{request.model_id}"
        known = name in self.versions
        if known != bool(request.parent_model):
            raise Refused(grpc.StatusCode.ALREADY_EXISTS if known else grpc.StatusCode.NOT_FOUND)
        if not request.model.container_spec.image_uri:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT)
        mine = self.versions.setdefault(name, [])
        version = api.Model(request.model)
        version.name, version.version_id = name, str(len(mine) + 1)
        aliases = list(version.version_aliases)
        version.version_aliases = [] if known else ["default"]
        mine.append(version)
        self._move(name, version, aliases)
        operation = f"{request.parent}/operations/{len(self.requests)}"
        self._asked[operation] = 0
        return self._answer(operation, version)

    def _answer(self, operation: str, version: Any) -> Any:
        self._asked[operation] += 1
        found = operations_pb2.Operation(name=operation)
        found.done = self._asked[operation] > self.slow_uploads
        if found.done:
            done = api.UploadModelResponse(model=version.name, model_version_id=version.version_id)
            found.response.Pack(api.UploadModelResponse.pb(done))
        return found

    def _operation(self, request: Any, call: Any) -> Any:
        versions = [one for mine in self.versions.values() for one in mine]
        return self._answer(request.name, versions[-1])

    def _get(self, request: Any) -> Any:
        return self._find(request.name)

    def _update(self, request: Any) -> Any:
        found = self._find(request.model.name)
        for path in request.update_mask.paths:
            setattr(found, path, getattr(request.model, path))
        return found

    def _list(self, request: Any) -> Any:
        if request.name not in self.versions:
            raise Refused(grpc.StatusCode.NOT_FOUND)
        wanted = re.fullmatch(r'labels\.(\w+)="([^"]*)"', request.filter)
        if wanted is None:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT)
        mine = [
            one for one in self.versions[request.name] if one.labels.get(wanted[1]) == wanted[2]
        ]
        return api.ListModelVersionsResponse(models=mine)

    def _merge(self, request: Any) -> Any:
        found = self._find(request.name)
        self._move(found.name, found, request.version_aliases)
        return found

    def _move(self, name: str, to: Any, aliases: Any) -> None:
        for alias in aliases:
            if not re.fullmatch(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]", alias):
                raise Refused(grpc.StatusCode.INVALID_ARGUMENT)
            for version in self.versions[name]:
                version.version_aliases = [one for one in version.version_aliases if one != alias]
            to.version_aliases.append(alias)

    def _find(self, name: str) -> Any:
        model, _, version = name.partition("@")
        for one in self.versions.get(model, ()):
            if (version or "default") in (one.version_id, *one.version_aliases):
                return one
        raise Refused(grpc.StatusCode.NOT_FOUND)


@contextmanager
def serving(fake: FakeVertex) -> Iterator[str]:
    """host:port of a server that answers with this fake."""
    server = grpc.server(futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(fake.handlers()))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait(timeout=5)
