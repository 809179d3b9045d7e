"""The bucket part of the storage server."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from infra.local.web import HttpError, Request, Response, Routes, json_response
from shared.adapters.memory.objects import BucketConfig
from shared.adapters.memory.storage import Storage


def bucket_routes(routes: Routes, storage: Storage) -> None:
    def create(request: Request) -> Response:
        body = request.json()
        if not body.get("name"):
            raise HttpError(400, "a bucket needs a name")
        versioning = bool((body.get("versioning") or {}).get("enabled"))
        storage.create_bucket(BucketConfig(body["name"], versioning))
        return _bucket(request, storage.bucket(body["name"]))

    def show(request: Request, name: str) -> Response:
        return _bucket(request, storage.bucket(unquote(name)))

    def patch(request: Request, name: str) -> Response:
        old = storage.bucket(unquote(name))
        versioning = (request.json().get("versioning") or {}).get("enabled", old.versioning)
        changed = BucketConfig(old.name, bool(versioning), old.notify_topic)
        storage.create_bucket(changed, exist_ok=True)
        return _bucket(request, changed)

    def delete(_request: Request, name: str) -> Response:
        storage.delete_bucket(unquote(name))
        return Response(204)

    def show_all(request: Request) -> Response:
        items = [_resource(request, bucket) for bucket in storage.buckets()]
        return json_response({"kind": "storage#buckets", "items": items})

    routes.add("POST", r"/storage/v1/b", create)
    routes.add("GET", r"/storage/v1/b", show_all)
    routes.add("GET", r"/storage/v1/b/([^/]+)", show)
    routes.add("PATCH", r"/storage/v1/b/([^/]+)", patch)
    routes.add("DELETE", r"/storage/v1/b/([^/]+)", delete)


def _bucket(request: Request, bucket: BucketConfig) -> Response:
    return json_response(_resource(request, bucket))


def _resource(request: Request, bucket: BucketConfig) -> dict[str, Any]:
    return {
        "kind": "storage#bucket",
        "id": bucket.name,
        "name": bucket.name,
        "selfLink": f"{request.base_url}/storage/v1/b/{bucket.name}",
        "location": "LOCAL",
        "storageClass": "STANDARD",
        "metageneration": "1",
        "etag": "1",
        "versioning": {"enabled": bucket.versioning},
    }
