"""The implementations of `ports.Bucket` that the contract is held against, and fresh buckets."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from infra.local import storage_server
from shared.adapters.google_storage import GoogleBucket, storage_client
from shared.adapters.memory import BucketConfig, Engine, MemoryBucket
from shared.adapters.memory.objects import Describe
from shared.adapters.rest import Http
from shared.adapters.rest_storage import RestBucket
from shared.adapters.system_clock import SystemClock
from shared.config import Config
from shared.ports import Bucket

EXTERNAL_STORAGE = "MILLRACE_CONTRACT_STORAGE_HOST"
EXTERNAL_PUBSUB = "MILLRACE_CONTRACT_PUBSUB_HOST"


def config(storage: str = "", pubsub: str = "", run: str = "", pubsub_grpc: str = "") -> Config:
    """Settings for stand-ins; a TLS endpoint is asked with the machine's own credentials."""
    return Config.from_env(
        {
            "MILLRACE_PROJECT": os.environ.get("MILLRACE_PROJECT", "contract"),
            "MILLRACE_INBOX": "inbox",
            "MILLRACE_LAKE": "lake",
            "STORAGE_EMULATOR_HOST": storage,
            "MILLRACE_PUBSUB_ENDPOINT": pubsub,
            "PUBSUB_EMULATOR_HOST": pubsub_grpc,
            "MILLRACE_RUN_ENDPOINT": run or "http://127.0.0.1:1",
            "MILLRACE_ANONYMOUS": "false" if storage.startswith("https:") else "true",
        }
    )


@dataclass(frozen=True)
class Store:
    """One implementation under test with two empty buckets; `versioned` keeps old generations.
    `put_encoded` stores an object with `Content-Encoding: gzip`, which the port cannot write."""

    plain: Bucket
    versioned: Bucket
    put_encoded: Callable[[Bucket, str, bytes], None]


def kinds() -> list[str]:
    """Endpoints from outside take part only when they are named."""
    local = ["memory", "rest", "google"]
    outside = ["rest-external", "google-external"] if os.environ.get(EXTERNAL_STORAGE) else []
    return local + outside


@contextmanager
def open_store(kind: str, directory: Path) -> Iterator[Store]:
    if kind == "memory":
        yield from _memory()
    elif kind.endswith("external"):
        host = os.environ[EXTERNAL_STORAGE]
        yield from _over_http(kind.removesuffix("-external"), host)
    else:
        engine = Engine(SystemClock(), directory)
        server = storage_server.serve(engine)
        try:
            yield from _over_http(kind, server.url)
        finally:
            server.close()
            engine.close()


def _memory() -> Iterator[Store]:
    engine = Engine(SystemClock())
    engine.create(buckets=[BucketConfig("plain"), BucketConfig("versioned", versioning=True)])

    def put_encoded(bucket: Bucket, name: str, data: bytes) -> None:
        staging = engine.storage.stage()
        staging.write(data)
        described = Describe(content_encoding="gzip")
        engine.storage.put(bucket.name, name, staging.finish(), described)

    plain, versioned = (MemoryBucket(engine.storage, name) for name in ("plain", "versioned"))
    yield Store(plain, versioned, put_encoded)
    engine.close()


def _over_http(client: str, endpoint: str) -> Iterator[Store]:
    settings = config(storage=endpoint)
    http = Http(settings)
    names = [f"contract-{kind}-{uuid.uuid4().hex[:12]}" for kind in ("plain", "versioned")]
    for name in names:
        _create(http, settings, name, versioning="versioned" in name)

    def put_encoded(bucket: Bucket, name: str, data: bytes) -> None:
        http.request(
            "POST",
            f"{settings.storage_endpoint}/upload/storage/v1/b/{bucket.name}/o",
            query={"uploadType": "media", "name": name, "contentEncoding": "gzip"},
            headers={"Content-Type": "text/csv"},
            body=data,
            repeatable=True,
        )

    plain, versioned = _buckets(client, settings, http, names)
    yield Store(plain, versioned, put_encoded)
    for name in names:
        _remove(http, settings, name)


def _buckets(client: str, settings: Config, http: Http, names: list[str]) -> list[Bucket]:
    if client == "rest":
        return [RestBucket(settings, name, http) for name in names]
    shared = storage_client(settings)
    return [GoogleBucket(settings, name, shared) for name in names]


def _create(http: Http, settings: Config, name: str, *, versioning: bool) -> None:
    body = {"name": name, "versioning": {"enabled": versioning}}
    http.request(
        "POST",
        f"{settings.storage_endpoint}/storage/v1/b",
        query={"project": settings.project},
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
        repeatable=True,
    )


def _remove(http: Http, settings: Config, name: str) -> None:
    bucket = f"{settings.storage_endpoint}/storage/v1/b/{name}"
    while True:
        page = http.request(
            "GET", f"{bucket}/o", query={"versions": "true"}, repeatable=True
        ).json()
        for item in page.get("items", ()):
            http.request(
                "DELETE",
                f"{bucket}/o/{quote(item['name'], safe='')}",
                query={"generation": item["generation"]},
                repeatable=True,
                accept={404},
            )
        if not page.get("nextPageToken"):
            break
    http.request("DELETE", bucket, repeatable=True, accept={404})
