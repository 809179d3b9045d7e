"""What both storage clients promise when the network or the service fails in between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.api_core.exceptions import Forbidden

from infra.local import storage_server
from shared.adapters.google_storage import GoogleBucket
from shared.adapters.memory import BucketConfig, Engine, MemoryBucket
from shared.adapters.memory.listing import Query
from shared.adapters.rest import Http, Retries, UnexpectedAnswer
from shared.adapters.rest_storage import RestBucket
from shared.adapters.system_clock import SystemClock
from shared.errors import ObjectNotFound, PreconditionFailed, ServiceUnavailable
from shared.ports import Bucket
from tests.contract.faulty import Fault, FaultyProxy, faulty
from tests.contract.stores import config

LOSE = Fault(lose=True)
MIB = 1024 * 1024


@dataclass
class Line:
    """`bucket` speaks through `proxy`; `direct` is the same bucket, seen from the other side."""

    bucket: Bucket
    direct: MemoryBucket
    proxy: FaultyProxy
    engine: Engine

    def generations(self) -> int:
        return len(self.engine.storage.page("b", Query(versions=True)).items)


@pytest.fixture(params=["rest", "google"])
def line(request: pytest.FixtureRequest) -> Iterator[Line]:
    engine = Engine(SystemClock())
    engine.create(buckets=[BucketConfig("b", versioning=True)])
    server = storage_server.serve(engine)
    with faulty(server.url) as proxy:
        settings = config(storage=proxy.url)
        bucket: Bucket = (
            RestBucket(settings, "b", Http(settings, retries=Retries(first_seconds=0.01)))
            if request.param == "rest"
            else GoogleBucket(settings, "b")
        )
        yield Line(bucket, MemoryBucket(engine.storage, "b"), proxy, engine)
    server.close()
    engine.close()


def test_won_create_with_lost_answer(line: Line) -> None:
    """A create-only write whose answer is lost has won: it says so, and is stored once."""
    line.proxy.plan("POST", "/upload/", LOSE)
    info = line.bucket.write("a", b"mine", if_generation=0, metadata={"k": "v"})
    assert line.proxy.left == 0
    assert line.generations() == 1
    assert (info.generation, dict(info.metadata)) == (
        line.direct.stat("a").generation,
        {"k": "v"},
    )


def test_lost_create_after_a_fault(line: Line) -> None:
    """A rival who wins between two attempts has won, even with the same bytes."""
    rival = Fault(status=503, before=lambda: line.direct.write("a", b"same", if_generation=0))
    line.proxy.plan("POST", "/upload/", rival)
    with pytest.raises(PreconditionFailed):
        line.bucket.write("a", b"same", if_generation=0)
    assert line.generations() == 1


FORBIDDEN = Fault(status=403)


def test_a_name_that_is_taken_reads_the_same_with_fewer_rights(line: Line, tmp_path: Path) -> None:
    """Whoever may create but not replace can be answered 403 where something is there: for us the
    race is lost as with 412, however the object was sent."""
    line.direct.write("a", b"theirs")
    line.direct.write("source", b"x")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (9 * MIB))
    line.proxy.plan("POST", "/upload/", FORBIDDEN)
    with pytest.raises(PreconditionFailed):
        line.bucket.write("a", b"mine", if_generation=0)
    line.proxy.plan("POST", "uploadType=resumable", FORBIDDEN)
    with pytest.raises(PreconditionFailed):
        line.bucket.upload("a", large, if_generation=0)
    line.proxy.plan("PUT", "/upload/", FORBIDDEN)
    with pytest.raises(PreconditionFailed):
        line.bucket.upload("a", large, if_generation=0)
    line.proxy.plan("POST", "/rewriteTo/", FORBIDDEN)
    with pytest.raises(PreconditionFailed):
        line.bucket.copy("b", "source", "a", if_generation=0)
    assert line.direct.read("a").data == b"theirs"


def test_our_own_create_is_found_with_fewer_rights(line: Line) -> None:
    """The answer to a create is lost and its repeat refused, because ours is there: it has won."""
    line.direct.write("source", b"x")
    line.proxy.plan("POST", "/upload/", LOSE, FORBIDDEN)
    info = line.bucket.write("a", b"mine", if_generation=0)
    assert info.generation == line.direct.stat("a").generation
    line.proxy.plan("POST", "/rewriteTo/", LOSE, FORBIDDEN)
    copied = line.bucket.copy("b", "source", "c", if_generation=0)
    assert copied.generation == line.direct.stat("c").generation


def test_what_is_forbidden_stays_forbidden(line: Line) -> None:
    """A 403 where nothing is, or to a write that may replace, is no lost race."""
    line.direct.write("a", b"theirs")
    line.direct.write("source", b"x")
    there = line.direct.stat("a").generation
    for name, if_generation in (("free", 0), ("a", None), ("a", there)):
        line.proxy.plan("POST", "/upload/", FORBIDDEN)
        with pytest.raises((UnexpectedAnswer, Forbidden), match="planned"):
            line.bucket.write(name, b"mine", if_generation=if_generation)
    line.proxy.plan("POST", "/rewriteTo/", FORBIDDEN)
    with pytest.raises((UnexpectedAnswer, Forbidden), match="planned"):
        line.bucket.copy("b", "source", "free", if_generation=0)
    assert line.proxy.left == 0


def test_won_swap_with_lost_answers(line: Line) -> None:
    """A compare-and-swap survives a lost answer and a 503 on the way."""
    known = line.direct.write("a", b"1")
    line.proxy.plan("POST", "/upload/", Fault(status=503), LOSE)
    info = line.bucket.write("a", b"2", if_generation=known.generation)
    assert line.direct.read("a").info.generation == info.generation
    assert line.generations() == 2


def test_lost_swap_that_vanished(line: Line) -> None:
    """Deleted between two attempts: the swap is lost, not a crash."""
    known = line.direct.write("a", b"1")
    gone = Fault(status=503, before=lambda: line.direct.delete("a"))
    line.proxy.plan("POST", "/upload/", gone)
    with pytest.raises(PreconditionFailed):
        line.bucket.write("a", b"2", if_generation=known.generation)


def test_unconditional_write_is_not_repeated(line: Line) -> None:
    """Without a precondition a lost answer is a fault: a repeat could bury somebody's write."""
    line.proxy.plan("POST", "/upload/", LOSE)
    with pytest.raises(ServiceUnavailable):
        line.bucket.write("a", b"1")
    assert line.generations() == 1


def test_refused_write_is_repeated(line: Line) -> None:
    """429 says that nothing happened, so even a plain write is sent again."""
    line.proxy.plan("POST", "/upload/", Fault(status=429))
    line.bucket.write("a", b"1")
    assert line.generations() == 1


def test_copy_with_lost_answer(line: Line) -> None:
    """A create-only copy whose answer is lost is found; another content there is a lost race."""
    line.direct.write("source", b"x")
    line.direct.write("other", b"y")
    line.proxy.plan("POST", "/rewriteTo/", LOSE)
    copied = line.bucket.copy("b", "source", "target", if_generation=0)
    assert copied.generation == line.direct.stat("target").generation
    rival = Fault(status=503, before=lambda: line.direct.write("target2", b"rival"))
    line.proxy.plan("POST", "/rewriteTo/", rival)
    with pytest.raises(PreconditionFailed) as lost:
        line.bucket.copy("b", "other", "target2", if_generation=0)
    assert lost.value.name == "target2"


def test_compose_with_lost_answer(line: Line) -> None:
    """A create-only compose whose answer is lost has won."""
    line.direct.write("p", b"x")
    line.proxy.plan("POST", "/compose", LOSE)
    info = line.bucket.compose(["p", "p"], "whole", if_generation=0)
    assert (info.size_bytes, line.generations()) == (2, 2)
    assert dict(info.metadata) == {}


def test_delete_with_lost_answer(line: Line) -> None:
    """A guarded delete is repeated and finds its aim reached; a plain one is not repeated."""
    info = line.direct.write("a", b"1")
    line.proxy.plan("DELETE", "/o/a", LOSE)
    line.bucket.delete("a", if_generation=info.generation)
    line.direct.write("a", b"2")
    line.proxy.plan("DELETE", "/o/a", LOSE)
    with pytest.raises(ServiceUnavailable):
        line.bucket.delete("a")
    with pytest.raises(ObjectNotFound):
        line.bucket.delete("a")


def test_reads_are_repeated(line: Line) -> None:
    """Looking, reading and listing survive lost answers and 5xx."""
    line.direct.write("a", b"1")
    line.proxy.plan("GET", "/o/a", LOSE, Fault(status=502), Fault(status=408))
    assert line.bucket.read("a").data == b"1"
    line.proxy.plan("GET", "/o?", Fault(status=500), LOSE)
    assert [info.name for info in line.bucket.list()] == ["a"]
    assert line.proxy.left == 0


def test_download_through_broken_connections(line: Line, tmp_path: Path) -> None:
    """A body that breaks off goes on where it broke off, or starts again; the file is whole."""
    data = os.urandom(5 * MIB)
    line.direct.write("a", data)
    line.proxy.plan("GET", "alt=media", Fault(keep=MIB + 7), Fault(keep=0), Fault(keep=2 * MIB))
    line.bucket.download("a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data
    assert line.proxy.left == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_reader_through_broken_connections(line: Line) -> None:
    """The same for a streaming reader."""
    data = os.urandom(5 * MIB)
    line.direct.write("a", data)
    line.proxy.plan("GET", "alt=media", Fault(keep=MIB + 7), Fault(keep=2 * MIB))
    with line.bucket.open_reader("a") as reader:
        parts = list(iter(lambda: reader.read(MIB), b""))
    assert b"".join(parts) == data
    assert line.proxy.left == 0


def test_upload_through_lost_chunks(line: Line, tmp_path: Path) -> None:
    """A chunk whose answer is lost, the last one too, is asked for; the object is stored once,
    even without a precondition."""
    data = os.urandom(20 * MIB)
    (tmp_path / "in").write_bytes(data)
    line.proxy.plan("PUT", "/upload/", LOSE, Fault(status=503))
    line.bucket.upload("a", tmp_path / "in")
    assert line.direct.read("a").data == data
    line.proxy.plan("PUT", "/upload/", Fault(), Fault(), LOSE)
    line.bucket.upload("last", tmp_path / "in", if_generation=0)
    assert line.direct.read("last").data == data
    assert (line.generations(), line.proxy.left) == (2, 0)


def test_nobody_there(tmp_path: Path) -> None:
    """A service that does not answer at all is a fault that may pass."""
    settings = config(storage="http://127.0.0.1:1")
    waits: list[float] = []
    bucket = RestBucket(settings, "b", Http(settings, retries=Retries(sleep=waits.append)))
    with pytest.raises(ServiceUnavailable, match="6 attempt"):
        bucket.write("a", b"1")
    assert len(waits) == 5
    assert max(waits) <= 4.0


def test_waits_as_asked_but_not_longer_than_it_may() -> None:
    """`Retry-After` is obeyed; more patience than the call has is left to the next delivery."""
    engine = Engine(SystemClock())
    engine.create(buckets=[BucketConfig("b")])
    server = storage_server.serve(engine)
    waits: list[float] = []
    with faulty(server.url) as proxy:
        settings = config(storage=proxy.url)
        bucket = RestBucket(settings, "b", Http(settings, retries=Retries(sleep=waits.append)))
        proxy.plan("POST", "/upload/", Fault(status=429, retry_after="7"))
        bucket.write("a", b"1")
        assert waits == [7.0]
        proxy.plan("GET", "/o/", Fault(status=503, retry_after="120"))
        with pytest.raises(ServiceUnavailable, match="503"):
            bucket.stat("a")
        assert waits == [7.0]
        proxy.plan("GET", "/o/", Fault(status=403))
        with pytest.raises(UnexpectedAnswer, match="answered 403: planned"):
            bucket.stat("a")
    server.close()
    engine.close()
