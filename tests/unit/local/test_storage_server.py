"""The storage stand-in on the wire, spoken to without a client library.

What clients see through the ports is the contract suite's business; here is what it cannot reach.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from infra.local import storage_server
from infra.local.web import HttpServer
from shared.adapters.memory import BucketConfig, Engine, FixedClock


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HttpServer]:
    engine = Engine(FixedClock(), tmp_path)
    engine.create(buckets=[BucketConfig("b", versioning=True), BucketConfig("other")])
    running = storage_server.serve(engine)
    yield running
    running.close()
    engine.close()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def put(
    server: HttpServer, http: requests.Session, name: str, data: bytes, **query: str
) -> dict[str, Any]:
    answer = http.post(
        f"{server.url}/upload/storage/v1/b/b/o",
        params={"uploadType": "media", "name": name, **query},
        data=data,
        headers={"Content-Type": "text/csv"},
    )
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def start_resumable(server: HttpServer, http: requests.Session, name: str, **query: str) -> str:
    answer = http.post(
        f"{server.url}/upload/storage/v1/b/b/o",
        params={"uploadType": "resumable", **query},
        json={"name": name},
        headers={"X-Upload-Content-Type": "text/csv"},
    )
    assert answer.status_code == 200
    return answer.headers["Location"]


@pytest.mark.parametrize(
    "name",
    ["a b.csv", "/lead//ing", "x/../y", "q?u=1&x#z", "100%", "%2F", "ünï/日本.csv", "a+b", "..."],
)
def test_names_round_trip(server: HttpServer, http: requests.Session, name: str) -> None:
    """Whatever people call their files, the object has that name and the bytes come back."""
    assert put(server, http, name, name.encode())["name"] == name
    one = f"{server.url}/storage/v1/b/b/o/{quote(name, safe='')}"
    assert http.get(one).json()["name"] == name
    assert http.get(one, params={"alt": "media"}).content == name.encode()
    assert http.get(http.get(one).json()["mediaLink"]).content == name.encode()
    listed = http.get(f"{server.url}/storage/v1/b/b/o", params={"prefix": name}).json()
    assert [item["name"] for item in listed["items"]] == [name]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=2-4", (206, b"234", "bytes 2-4/10")),
        ("bytes=7-", (206, b"789", "bytes 7-9/10")),
        ("bytes=-3", (206, b"789", "bytes 7-9/10")),
        ("bytes=5-99", (206, b"56789", "bytes 5-9/10")),
        ("bytes=10-", (416, b"", "bytes */10")),
        ("lines=1-2", (200, b"0123456789", None)),
    ],
)
def test_ranges(
    server: HttpServer,
    http: requests.Session,
    header: str,
    expected: tuple[int, bytes, str | None],
) -> None:
    """Ranges as in RFC 9110; one that cannot be satisfied is 416."""
    put(server, http, "digits", b"0123456789")
    url = f"{server.url}/download/storage/v1/b/b/o/digits?alt=media"
    answer = http.get(url, headers={"Range": header})
    assert (answer.status_code, answer.content, answer.headers.get("Content-Range")) == expected


def test_media_headers(server: HttpServer, http: requests.Session) -> None:
    """A read says which generation it is of, and its hashes."""
    info = put(server, http, "a", b"hello")
    answer = http.get(f"{server.url}/storage/v1/b/b/o/a?alt=media")
    assert answer.headers["X-Goog-Generation"] == info["generation"]
    assert answer.headers["X-Goog-Metageneration"] == "1"
    assert answer.headers["X-Goog-Hash"] == f"crc32c={info['crc32c']},md5={info['md5Hash']}"
    assert answer.headers["Content-Type"] == "text/csv"
    assert info["md5Hash"] == base64.b64encode(hashlib.md5(b"hello").digest()).decode()  # noqa: S324


def test_gzip_comes_as_stored(server: HttpServer, http: requests.Session) -> None:
    """The bytes are neither unpacked nor checked, the encoding is named."""
    put(server, http, "z", b"not really gzip", contentEncoding="gzip")
    answer = http.get(f"{server.url}/storage/v1/b/b/o/z?alt=media", stream=True)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.raw.read(decode_content=False) == b"not really gzip"


def test_statuses_of_preconditions(server: HttpServer, http: requests.Session) -> None:
    """412 for a lost swap, 304 for a read of what is known, 404 before any of them."""
    generation = put(server, http, "a", b"1")["generation"]
    one = f"{server.url}/storage/v1/b/b/o/a"
    media = {"uploadType": "media", "name": "a", "ifGenerationMatch": "0"}
    upload = f"{server.url}/upload/storage/v1/b/b/o"
    assert http.post(upload, params=media, data=b"2").status_code == 412
    assert http.get(one, params={"ifGenerationNotMatch": generation}).status_code == 304
    assert http.get(one, params={"ifGenerationMatch": "1"}).status_code == 412
    assert http.delete(one, params={"ifMetagenerationMatch": "2"}).status_code == 412
    missing = f"{server.url}/storage/v1/b/b/o/none"
    assert http.delete(missing, params={"ifGenerationMatch": "5"}).status_code == 404
    error = http.get(missing).json()["error"]
    assert (error["code"], error["errors"][0]["reason"]) == (404, "notFound")


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/storage/v1/b/b/o/a", {"ifGenerationMatches": "1"}),
        ("/storage/v1/b/b/o/a", {"ifGenerationMatch": "one"}),
        ("/storage/v1/b/b/o", {"matchGlob": "**"}),
        ("/storage/v1/b/b/o", {"pageToken": "!"}),
    ],
)
def test_unknown_parameters_are_refused(
    server: HttpServer, http: requests.Session, path: str, query: dict[str, str]
) -> None:
    """Silently ignoring one might be silently ignoring a precondition."""
    put(server, http, "a", b"1")
    assert http.get(server.url + path, params=query).status_code == 400


def test_multipart_with_awkward_bytes(server: HttpServer, http: requests.Session) -> None:
    """The content may hold line breaks and things that look like a boundary."""
    content = b"\r\n--edg\r\n--edge\r\nx" * 70_000
    head = json.dumps({"name": "m", "metadata": {"k": "v"}}).encode()
    body = (
        b"--edge\r\nContent-Type: application/json\r\n\r\n"
        + head
        + b"\r\n--edge\r\nContent-Type: text/csv\r\n\r\n"
        + content
        + b"\r\n--edge--\r\n"
    )
    answer = http.post(
        f"{server.url}/upload/storage/v1/b/b/o?uploadType=multipart",
        data=body,
        headers={"Content-Type": 'multipart/related; boundary="edge"'},
    )
    assert (answer.json()["contentType"], answer.json()["metadata"]) == ("text/csv", {"k": "v"})
    assert http.get(f"{server.url}/storage/v1/b/b/o/m?alt=media").content == content


def test_wrong_hashes_are_refused(server: HttpServer, http: requests.Session) -> None:
    """A body that was damaged on its way does not become an object."""
    body = b"--e\r\n\r\n" + b'{"name": "m", "crc32c": "AAAAAA=="}' + b"\r\n--e\r\n\r\nx\r\n--e--"
    answer = http.post(
        f"{server.url}/upload/storage/v1/b/b/o?uploadType=multipart",
        data=body,
        headers={"Content-Type": "multipart/related; boundary=e"},
    )
    assert answer.status_code == 400
    assert http.get(f"{server.url}/storage/v1/b/b/o/m").status_code == 404


def test_resumable_upload_goes_on_after_a_break(server: HttpServer, http: requests.Session) -> None:
    """A client that lost an answer asks how far it came, repeats some bytes and ends; asking for
    the result again gives the same object."""
    url = start_resumable(server, http, "r")

    def send(data: bytes, content_range: str) -> requests.Response:
        return http.put(url, data=data, headers={"Content-Range": content_range})

    assert send(b"", "bytes */*").status_code == 308
    first = send(b"a" * 100, "bytes 0-99/*")
    assert (first.status_code, first.headers["Range"]) == (308, "bytes=0-99")
    assert send(b"", "bytes */250").headers["Range"] == "bytes=0-99"
    assert send(b"c" * 10, "bytes 120-129/250").status_code == 503  # a hole
    assert send(b"a" * 50 + b"b" * 100, "bytes 50-199/250").headers["Range"] == "bytes=0-199"
    done = send(b"c" * 50, "bytes 200-249/250")
    assert (done.status_code, done.json()["size"]) == (200, "250")
    assert send(b"", "bytes */250").json()["generation"] == done.json()["generation"]
    content = http.get(f"{server.url}/storage/v1/b/b/o/r?alt=media").content
    assert content == b"a" * 100 + b"b" * 100 + b"c" * 50


def test_resumable_upload_keeps_its_precondition(
    server: HttpServer, http: requests.Session
) -> None:
    """Somebody was faster while the bytes flowed: 412 at the end, their object stays."""
    url = start_resumable(server, http, "r", ifGenerationMatch="0")
    put(server, http, "r", b"theirs")
    assert http.put(url, data=b"ours").status_code == 412
    assert http.get(f"{server.url}/storage/v1/b/b/o/r?alt=media").content == b"theirs"


def test_cancelled_uploads_are_gone(
    server: HttpServer, http: requests.Session, tmp_path: Path
) -> None:
    """Their bytes do not stay on disk, and continuing one is 404."""
    url = start_resumable(server, http, "r")
    http.put(url, data=b"x" * 200_000, headers={"Content-Range": "bytes 0-199999/*"})
    assert len(list((tmp_path / "staging").iterdir())) == 1
    assert http.delete(url).status_code == 499
    assert list((tmp_path / "staging").iterdir()) == []
    assert http.put(url, data=b"").status_code == 404


def test_old_generations_and_versions(server: HttpServer, http: requests.Session) -> None:
    """Every generation is listed and readable where versioning is on."""
    old, new = put(server, http, "v", b"1"), put(server, http, "v", b"2")
    one = f"{server.url}/storage/v1/b/b/o/v"
    query = {"generation": old["generation"], "alt": "media"}
    assert http.get(one, params=query).content == b"1"
    listed = http.get(f"{server.url}/storage/v1/b/b/o", params={"versions": "true"}).json()
    assert [item["generation"] for item in listed["items"]] == [
        old["generation"],
        new["generation"],
    ]
    assert "timeDeleted" in listed["items"][0]


def test_rewrite_compose_patch(server: HttpServer, http: requests.Session) -> None:
    """Copies go between buckets, joined objects have no md5, patches merge."""
    put(server, http, "a b", b"1")
    put(server, http, "c", b"2")
    base = f"{server.url}/storage/v1/b"
    copied = http.post(f"{base}/b/o/a%20b/rewriteTo/b/other/o/x%2Fy", json={}).json()
    assert (copied["done"], copied["resource"]["name"]) == (True, "x/y")
    body = {"sourceObjects": [{"name": "a b"}, {"name": "c"}], "destination": {}}
    joined = http.post(f"{base}/b/o/both/compose", json=body).json()
    assert ("md5Hash" in joined, joined["componentCount"]) == (False, 2)
    assert http.get(f"{base}/b/o/both?alt=media").content == b"12"
    http.patch(f"{base}/b/o/c", json={"metadata": {"k": "1", "l": "2"}})
    patched = http.patch(f"{base}/b/o/c", json={"metadata": {"k": None}}).json()
    assert (patched["metadata"], patched["metageneration"]) == ({"l": "2"}, "3")


def test_unread_bodies_do_not_confuse_the_next_request(
    server: HttpServer, http: requests.Session
) -> None:
    """An upload that is refused early leaves the connection in order."""
    for _ in range(3):
        refused = http.post(
            f"{server.url}/upload/storage/v1/b/none/o?uploadType=nope", data=b"x" * 999
        )
        assert refused.status_code == 400
    assert http.get(f"{server.url}/storage/v1/b/b").json()["versioning"] == {"enabled": True}


def test_chunked_uploads(server: HttpServer, http: requests.Session) -> None:
    """A body of unknown length arrives whole."""
    answer = http.post(
        f"{server.url}/upload/storage/v1/b/b/o?uploadType=media&name=stream",
        data=(b"x" * 10_000 for _ in range(30)),
    )
    assert answer.json()["size"] == "300000"
    assert http.get(f"{server.url}/storage/v1/b/b").status_code == 200
