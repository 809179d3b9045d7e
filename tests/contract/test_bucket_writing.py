"""What every `ports.Bucket` promises about writing: generations, preconditions, copies."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import google_crc32c
import pytest

from shared.errors import ObjectNotFound, PreconditionFailed
from shared.ports import Bucket
from tests.contract.stores import Store

MIB = 1024 * 1024


def crc32c(data: bytes) -> str:
    """Base64 of the big-endian checksum, as Google gives it."""
    checksum: Any = google_crc32c.value  # untyped
    return base64.b64encode(checksum(data).to_bytes(4, "big")).decode()


def test_create_only_writes_once(store: Store) -> None:
    """`if_generation=0` creates; the second one fails and changes nothing."""
    first = store.plain.write("a", b"first", if_generation=0)
    with pytest.raises(PreconditionFailed) as lost:
        store.plain.write("a", b"second", if_generation=0)
    assert (lost.value.bucket, lost.value.name) == (store.plain.name, "a")
    blob = store.plain.read("a")
    assert (blob.data, blob.info.generation) == (b"first", first.generation)


def test_create_only_works_again_after_a_delete(store: Store) -> None:
    """Create-only looks at the live object, also where old generations are kept."""
    for bucket in (store.plain, store.versioned):
        old = bucket.write("a", b"1", if_generation=0)
        bucket.delete("a")
        assert bucket.write("a", b"2", if_generation=0).generation > old.generation


def test_compare_and_swap(store: Store) -> None:
    """A swap wins with the live generation; with an older or invented one it is lost."""
    one = store.plain.write("a", b"1")
    two = store.plain.write("a", b"2", if_generation=one.generation)
    for wrong in (one.generation, two.generation + 1):
        with pytest.raises(PreconditionFailed):
            store.plain.write("a", b"3", if_generation=wrong)
    assert store.plain.read("a").data == b"2"


def test_compare_and_swap_of_nothing(store: Store) -> None:
    """A swap of an object that does not exist is lost."""
    with pytest.raises(PreconditionFailed):
        store.plain.write("a", b"1", if_generation=12345)
    with pytest.raises(ObjectNotFound):
        store.plain.stat("a")


def test_generations_grow(store: Store) -> None:
    """Every write gives a larger generation, also after a delete; metageneration starts at 1."""
    seen = []
    for step in range(5):
        info = store.plain.write("a", str(step).encode())
        assert info.metageneration == 1
        seen.append(info.generation)
        if step == 2:
            store.plain.delete("a")
    assert seen == sorted(set(seen))


def test_hundred_writers_one_winner(store: Store) -> None:
    """Of 100 concurrent create-only writers exactly one wins, and its bytes are there."""
    ready = threading.Barrier(100)

    def write(number: int) -> int | None:
        ready.wait()
        try:
            store.plain.write("race", str(number).encode(), if_generation=0)
        except PreconditionFailed:
            return None
        return number

    with ThreadPoolExecutor(100) as pool:
        winners = [each for each in pool.map(write, range(100)) if each is not None]
    assert len(winners) == 1
    assert store.plain.read("race").data == str(winners[0]).encode()


def test_hundred_increments_by_swap(store: Store) -> None:
    """Read, add one, swap, again when lost: no increment disappears."""
    store.plain.write("count", b"0")

    def add(_: int) -> None:
        while True:
            blob = store.plain.read("count")
            more = str(int(blob.data) + 1).encode()
            try:
                store.plain.write("count", more, if_generation=blob.info.generation)
            except PreconditionFailed:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert store.plain.read("count").data == b"40"


def test_info_is_true(store: Store) -> None:
    """Size, md5, crc32c, type, time and metadata are those of what was written, in the answer of
    the write, of stat and of read."""
    data = "naïve,1\n".encode() * 1000
    metadata = {"produced-by": "a test", "umlaut": "größe"}
    written = store.plain.write("a.csv", data, content_type="text/csv", metadata=metadata)
    assert written.size_bytes == len(data)
    assert (
        written.md5 == base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    )
    assert written.crc32c == crc32c(data)
    assert (written.content_type, written.content_encoding) == ("text/csv", None)
    assert dict(written.metadata) == metadata
    assert (written.bucket, written.name) == (store.plain.name, "a.csv")
    assert written.created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - written.created) < timedelta(minutes=5)
    assert store.plain.stat("a.csv") == written
    assert store.plain.read("a.csv").info == written
    assert list(store.plain.list()) == [written]


def test_metadata_is_replaced_with_the_object(store: Store) -> None:
    """A new generation does not inherit metadata or type."""
    store.plain.write("a", b"1", metadata={"old": "yes"}, content_type="text/csv")
    info = store.plain.write("a", b"2")
    assert (dict(info.metadata), info.content_type) == ({}, "application/octet-stream")


def test_empty_object(store: Store, tmp_path: Path) -> None:
    """Zero bytes are an object like any other."""
    store.plain.write("empty", b"")
    (tmp_path / "nothing").write_bytes(b"")
    store.plain.upload("empty2", tmp_path / "nothing")
    for name in ("empty", "empty2"):
        assert store.plain.read(name).data == b""
        assert store.plain.stat(name).size_bytes == 0
        assert store.plain.download(name, tmp_path / "out").size_bytes == 0
        assert (tmp_path / "out").read_bytes() == b""


@pytest.mark.parametrize("size", [1, 8 * MIB, 8 * MIB + 1, 20 * MIB])
def test_upload_and_download(store: Store, tmp_path: Path, size: int) -> None:
    """Files of any size arrive whole, with type, metadata and preconditions kept."""
    source, target = tmp_path / "in.bin", tmp_path / "out.bin"
    source.write_bytes(os.urandom(size))
    info = store.plain.upload(
        "big", source, if_generation=0, content_type="text/csv", metadata={"a": "b"}
    )
    assert (info.size_bytes, info.content_type, dict(info.metadata)) == (
        size,
        "text/csv",
        {"a": "b"},
    )
    assert store.plain.download("big", target, generation=info.generation) == info
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(PreconditionFailed):
        store.plain.upload("big", source, if_generation=0)
    assert store.plain.stat("big").generation == info.generation


def test_copy_between_buckets(store: Store) -> None:
    """A copy takes the pinned generation with its type and metadata, whatever is live by then."""
    old = store.versioned.write("in.csv", b"old", content_type="text/csv", metadata={"k": "v"})
    store.versioned.write("in.csv", b"new")
    copied = store.plain.copy(
        store.versioned.name, "in.csv", "kept/in.csv", source_generation=old.generation
    )
    assert (copied.bucket, copied.name, copied.md5) == (store.plain.name, "kept/in.csv", old.md5)
    assert (copied.content_type, dict(copied.metadata)) == ("text/csv", {"k": "v"})
    assert store.plain.read("kept/in.csv").data == b"old"
    store.plain.copy(store.versioned.name, "in.csv", "live.csv")
    assert store.plain.read("live.csv").data == b"new"


def test_copy_with_precondition(store: Store) -> None:
    """`if_generation` guards the destination: 0 refuses an existing one, n swaps it."""
    store.plain.write("source", b"new")
    there = store.plain.write("target", b"old")
    with pytest.raises(PreconditionFailed) as lost:
        store.plain.copy(store.plain.name, "source", "target", if_generation=0)
    assert (lost.value.bucket, lost.value.name) == (store.plain.name, "target")
    assert store.plain.read("target").data == b"old"
    store.plain.copy(store.plain.name, "source", "target", if_generation=there.generation)
    assert store.plain.read("target").data == b"new"


def test_copy_of_nothing(store: Store) -> None:
    """A missing source is named, and nothing is created."""
    with pytest.raises(ObjectNotFound) as missing:
        store.plain.copy(store.versioned.name, "nowhere", "target")
    assert (missing.value.bucket, missing.value.name) == (store.versioned.name, "nowhere")
    store.plain.write("source", b"x")
    with pytest.raises(ObjectNotFound):
        store.plain.copy(store.plain.name, "source", "target", source_generation=4711)
    with pytest.raises(ObjectNotFound):
        store.plain.stat("target")


def test_compose_keeps_order(store: Store) -> None:
    """Sources are joined in the given order, up to 32, repeats included; the result has the type
    of the first source, no md5 and a true crc32c."""
    names = [f"part-{number:02d}" for number in range(32)]
    for number, name in enumerate(names):
        store.plain.write(name, f"{number}\n".encode(), content_type="text/csv")
    wanted = [*reversed(names[1:]), names[5]]
    info = store.plain.compose(wanted, "whole")
    data = b"".join(f"{int(name[-2:])}\n".encode() for name in wanted)
    assert store.plain.read("whole").data == data
    assert (info.size_bytes, info.md5, info.content_type) == (len(data), None, "text/csv")
    assert info.crc32c == crc32c(data)
    assert dict(info.metadata) == {}


def test_compose_limits(store: Store) -> None:
    """None and more than 32 sources are refused before anything happens."""
    store.plain.write("a", b"x")
    for count in (0, 33):
        with pytest.raises(ValueError, match="1 to 32"):
            store.plain.compose(["a"] * count, "whole")
    with pytest.raises(ObjectNotFound):
        store.plain.stat("whole")


def test_compose_with_precondition(store: Store) -> None:
    """Create-only compose happens once; a missing source is named."""
    store.plain.write("a", b"1")
    store.plain.write("b", b"2")
    first = store.plain.compose(["a", "b"], "whole", if_generation=0)
    with pytest.raises(PreconditionFailed):
        store.plain.compose(["b", "a"], "whole", if_generation=0)
    assert store.plain.read("whole").info.generation == first.generation
    for sources in (["a", "gone"], ["gone", "a"]):
        with pytest.raises(ObjectNotFound) as missing:
            store.plain.compose(sources, "other")
        assert missing.value.name == "gone"


def test_delete(store: Store) -> None:
    """Delete removes; with a precondition only that generation; what is not there is said."""
    info = store.plain.write("a", b"1")
    with pytest.raises(PreconditionFailed):
        store.plain.delete("a", if_generation=info.generation - 1)
    assert store.plain.read("a").data == b"1"
    store.plain.delete("a", if_generation=info.generation)
    with pytest.raises(ObjectNotFound):
        store.plain.delete("a")
    with pytest.raises(ObjectNotFound):
        store.plain.read("a")
    assert list(store.plain.list()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 1025, "ü" * 513, "a\nb", "a\rb"])
def test_impossible_names(store: Store, name: str) -> None:
    """Names Cloud Storage refuses are refused here, before they can hit something else."""
    store.plain.write("a", b"1")
    attempts: tuple[Callable[[Bucket], object], ...] = (
        lambda bucket: bucket.write(name, b"x"),
        lambda bucket: bucket.copy(bucket.name, "a", name),
        lambda bucket: bucket.compose(["a"], name),
    )
    for attempt in attempts:
        with pytest.raises(ValueError, match="object name"):
            attempt(store.plain)
    assert [info.name for info in store.plain.list()] == ["a"]
