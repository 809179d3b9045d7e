"""The storage engine: generations, preconditions, versions, notifications, bytes on disk."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.adapters.memory import (
    BucketConfig,
    Engine,
    FixedClock,
    MemoryBucket,
    SubscriptionConfig,
)
from shared.adapters.memory.listing import Query
from shared.adapters.memory.preconditions import Preconditions, decide
from shared.adapters.memory.staging import INLINE_BYTES
from shared.errors import ObjectNotFound, PreconditionFailed

TOPIC = "projects/p/topics/uploads"
EVERYTHING = SubscriptionConfig("projects/p/subscriptions/all", TOPIC)
BIG = b"0123456789abcdef" * (INLINE_BYTES // 8)


def make(directory: Path | None = None) -> Engine:
    engine = Engine(FixedClock(), directory)
    engine.create(
        buckets=[BucketConfig("kept", versioning=True, notify_topic=TOPIC), BucketConfig("plain")],
        topics=[TOPIC],
        subscriptions=[EVERYTHING],
    )
    return engine


@pytest.fixture(params=["memory", "disk"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return make(tmp_path if request.param == "disk" else None)


def events(engine: Engine) -> list[tuple[str, str, str]]:
    return [
        (
            item.attributes["eventType"],
            item.attributes["objectId"],
            item.attributes["objectGeneration"],
        )
        for item in engine.pubsub.waiting(EVERYTHING.name)
    ]


@pytest.mark.parametrize(
    ("wanted", "generation", "metageneration", "verdict"),
    [
        (Preconditions(), 0, 0, "holds"),
        (Preconditions(if_generation=0), 0, 0, "holds"),
        (Preconditions(if_generation=0), 7, 1, "failed"),
        (Preconditions(if_generation=7), 7, 1, "holds"),
        (Preconditions(if_generation=7), 8, 1, "failed"),
        (Preconditions(if_generation=7), 0, 0, "failed"),
        (Preconditions(if_generation_not=7), 7, 1, "not_modified"),
        (Preconditions(if_generation_not=7), 8, 1, "holds"),
        (Preconditions(if_generation_not=0), 0, 0, "not_modified"),
        (Preconditions(if_metageneration=2), 7, 1, "failed"),
        (Preconditions(if_metageneration_not=1), 7, 1, "not_modified"),
        (Preconditions(if_generation=8, if_generation_not=7), 7, 1, "failed"),
    ],
)
def test_preconditions(
    wanted: Preconditions, generation: int, metageneration: int, verdict: str
) -> None:
    """One function decides all of them; generation 0 is "nothing there"."""
    assert decide(wanted, generation, metageneration) == verdict


def test_generations_only_grow(engine: Engine) -> None:
    """Also when the clock stands still, and across objects, deletes and names."""
    bucket = MemoryBucket(engine.storage, "plain")
    first = bucket.write("a", b"1").generation
    second = bucket.write("b", b"2").generation
    bucket.delete("a")
    assert first < second < bucket.write("a", b"3").generation


def test_one_of_many_creates(engine: Engine) -> None:
    """Of concurrent create-only writes exactly one wins, and its bytes are there."""
    bucket = MemoryBucket(engine.storage, "plain")

    def create(number: int) -> int | None:
        try:
            bucket.write("claim", b"%d" % number, if_generation=0)
        except PreconditionFailed:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(create, range(40)) if number is not None]
    assert len(winners) == 1
    assert bucket.read("claim").data == b"%d" % winners[0]


def test_object_and_event_commit_together(engine: Engine) -> None:
    """Every new generation has its event, a refused write has none and leaves nothing."""
    bucket = MemoryBucket(engine.storage, "kept")
    first = bucket.write("a", b"1", if_generation=0)
    with pytest.raises(PreconditionFailed):
        bucket.write("a", BIG, if_generation=0)
    second = bucket.write("a", BIG)
    assert events(engine) == [
        ("OBJECT_FINALIZE", "a", str(first.generation)),
        ("OBJECT_ARCHIVE", "a", str(first.generation)),
        ("OBJECT_FINALIZE", "a", str(second.generation)),
    ]
    body = json.loads(engine.pubsub.waiting(EVERYTHING.name)[2].data)
    assert (body["bucket"], body["name"], body["generation"]) == (
        "kept",
        "a",
        str(second.generation),
    )
    assert (body["size"], body["md5Hash"]) == (str(len(BIG)), second.md5)


def test_versioning(engine: Engine) -> None:
    """With versioning every generation stays readable; without it only the live one exists."""
    kept, plain = (MemoryBucket(engine.storage, name) for name in ("kept", "plain"))
    for bucket in (kept, plain):
        bucket.write("a", b"1")
        bucket.write("a", BIG)
    old = engine.storage.page("kept", Query(versions=True)).items
    assert [(item.live, item.info.size_bytes) for item in old] == [(False, 1), (True, len(BIG))]
    assert kept.read("a", generation=old[0].info.generation).data == b"1"
    assert len(engine.storage.page("plain", Query(versions=True)).items) == 1
    kept.delete("a")
    with pytest.raises(ObjectNotFound):
        kept.stat("a")
    assert kept.read("a", generation=old[1].info.generation).data == BIG


def test_metadata_changes_keep_the_generation(engine: Engine) -> None:
    """A patch counts the metageneration, merges the metadata and is told as such."""
    bucket = MemoryBucket(engine.storage, "kept")
    before = bucket.write("a", b"1", metadata={"x": "1", "y": "2"})
    changes = {"metadata": {"x": None, "z": "3"}, "contentType": "text/csv"}
    after = engine.storage.patch("kept", "a", changes=changes).info
    assert (after.generation, after.metageneration) == (before.generation, 2)
    assert (after.metadata, after.content_type) == ({"y": "2", "z": "3"}, "text/csv")
    assert events(engine)[-1][0] == "OBJECT_METADATA_UPDATE"
    with pytest.raises(PreconditionFailed):
        engine.storage.patch("kept", "a", changes={}, when=Preconditions(if_metageneration=1))


def test_composed_objects_have_no_md5(engine: Engine) -> None:
    """As at Google; their crc32c is that of the same bytes written at once."""
    bucket = MemoryBucket(engine.storage, "plain")
    bucket.write("a", b"12")
    bucket.write("b", BIG)
    joined = bucket.compose(["a", "b", "a"], "joined")
    assert joined.md5 is None
    assert joined.crc32c == bucket.write("at-once", b"12" + BIG + b"12").crc32c
    assert bucket.read("joined").data == b"12" + BIG + b"12"


def test_a_reader_is_not_torn_by_a_writer(engine: Engine) -> None:
    """Who opened an object reads that generation to its end, whatever replaces it."""
    bucket = MemoryBucket(engine.storage, "plain")
    bucket.write("a", BIG)
    with bucket.open_reader("a") as reader:
        head = reader.read(10)
        bucket.write("a", b"new")
        bucket.delete("a")
        assert head + reader.read() == BIG


def test_listing_pages_and_folders(engine: Engine) -> None:
    """Names and folders come in name order, page by page, and a page counts both."""
    bucket = MemoryBucket(engine.storage, "plain")
    names = ["a", "b/1", "b/2", "b/3/x", "c", "d/1", "é", "\U0001f600/x"]
    for name in names:
        bucket.write(name, b"")
    assert [info.name for info in bucket.list()] == names
    assert [info.name for info in bucket.list("b/")] == ["b/1", "b/2", "b/3/x"]
    assert list(bucket.folders()) == ["b/", "d/", "\U0001f600/"]
    assert list(bucket.folders("b/")) == ["b/3/"]
    found: list[str] = []
    at: tuple[str, int] | None = ("", 0)
    while at is not None:
        page = engine.storage.page("plain", Query(delimiter="/", limit=2, start=at[0]))
        assert len(page.items) + len(page.prefixes) <= 2
        found += [item.info.name for item in page.items] + page.prefixes
        at = page.next
    assert sorted(found) == sorted(["a", "b/", "c", "d/", "é", "\U0001f600/"])


def test_disk_survives_and_is_tidied(tmp_path: Path) -> None:
    """A new process finds everything that was committed; files nobody refers to are gone."""
    engine = make(tmp_path)
    bucket = MemoryBucket(engine.storage, "kept")
    info = bucket.write("a", BIG)
    copied = MemoryBucket(engine.storage, "plain").copy("kept", "a", "copy")
    assert len(list((tmp_path / "blobs").iterdir())) == 1  # copies share their bytes
    (tmp_path / "blobs" / "orphan").write_bytes(b"no row")
    (tmp_path / "staging" / "half").write_bytes(b"half an upload")
    engine.close()

    again = make(tmp_path)
    assert MemoryBucket(again.storage, "kept").read("a").data == BIG
    assert MemoryBucket(again.storage, "plain").stat("copy") == copied
    assert events(again) == [("OBJECT_FINALIZE", "a", str(info.generation))]
    assert len(list((tmp_path / "blobs").iterdir())) == 1
    assert list((tmp_path / "staging").iterdir()) == []
    MemoryBucket(again.storage, "plain").delete("copy")
    again.storage.delete("kept", "a", generation=info.generation)
    assert list((tmp_path / "blobs").iterdir()) == []
