"""What every `ports.Bucket` promises about reading: generations, ranges, listings, names."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import pytest

from shared.errors import ObjectNotFound
from tests.contract.stores import Store

MIB = 1024 * 1024

NASTY = [
    "with space",
    "plus+and&amp=equals?question#hash",
    "100%",
    "%2F",
    "a%2Fb",
    "a/../b",
    "../up",
    "./here",
    "a/./b",
    "/leading",
    "//two",
    "trailing/",
    "double//slash",
    "ünïcödé/数据/🚂",
    "quote'\"back\\slash",
    "semi;colon:at@comma,",
    "[brackets]{braces}|pipe^`tilde~",
    "tab\there",
    "x" * 1024,
    "ü" * 512,
]


def test_missing(store: Store, tmp_path: Path) -> None:
    """Whatever is asked of an object that is not there: ObjectNotFound, naming it."""
    bucket = store.plain
    for ask in (
        lambda: bucket.stat("no"),
        lambda: bucket.read("no"),
        lambda: bucket.read("no", start=3, end=5),
        lambda: bucket.read_if_changed("no", 1),
        lambda: bucket.download("no", tmp_path / "out"),
        lambda: bucket.open_reader("no").read(),
        lambda: bucket.delete("no"),
    ):
        with pytest.raises(ObjectNotFound) as missing:
            ask()
        assert (missing.value.bucket, missing.value.name) == (bucket.name, "no")
    assert list(tmp_path.glob("out*")) == []


def test_old_generations(store: Store, tmp_path: Path) -> None:
    """Where versioning is on, an overwritten and even a deleted generation stays readable."""
    bucket = store.versioned
    one = bucket.write("a", b"one", metadata={"n": "1"})
    two = bucket.write("a", b"two")
    assert bucket.read("a", generation=one.generation).data == b"one"
    assert bucket.stat("a", generation=one.generation) == one
    bucket.delete("a")
    with pytest.raises(ObjectNotFound):
        bucket.read("a")
    assert bucket.read("a", generation=two.generation, start=1).data == b"wo"
    bucket.download("a", tmp_path / "out", generation=one.generation)
    assert (tmp_path / "out").read_bytes() == b"one"
    assert bucket.open_reader("a", generation=one.generation).read() == b"one"


def test_old_generations_go_without_versioning(store: Store, tmp_path: Path) -> None:
    """Where versioning is off, only the live generation is there; others are said to be missing."""
    one = store.plain.write("a", b"one")
    two = store.plain.write("a", b"two")
    assert store.plain.read("a", generation=two.generation).data == b"two"
    for ask in (
        lambda: store.plain.read("a", generation=one.generation),
        lambda: store.plain.stat("a", generation=one.generation),
        lambda: store.plain.download("a", tmp_path / "out", generation=one.generation),
        lambda: store.plain.open_reader("a", generation=one.generation).read(),
    ):
        with pytest.raises(ObjectNotFound) as missing:
            ask()
        assert missing.value.generation == one.generation


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (0, 10, b"0123456789"),
        (0, 1, b"0"),
        (3, 5, b"34"),
        (3, None, b"3456789"),
        (9, None, b"9"),
        (8, 99, b"89"),
        (10, None, b""),
        (99, None, b""),
        (99, 120, b""),
        (4, 4, b""),
        (0, 0, b""),
        (5, 3, b""),
    ],
)
def test_ranges(store: Store, start: int, end: int | None, expected: bytes) -> None:
    """Start inclusive, end exclusive; past the end gives what there is; info is the object's."""
    info = store.plain.write("digits", b"0123456789")
    blob = store.plain.read("digits", start=start, end=end)
    assert (blob.data, blob.info) == (expected, info)


def test_ranges_of_nothing(store: Store) -> None:
    """An empty object has an empty range."""
    store.plain.write("empty", b"")
    assert store.plain.read("empty", start=0, end=100).data == b""
    assert store.plain.read("empty", start=7).data == b""


def test_read_if_changed(store: Store) -> None:
    """None while the live generation is the known one, then the whole object; an object that
    has gone is said to be missing."""
    one = store.plain.write("a", b"1")
    assert store.plain.read_if_changed("a", one.generation) is None
    two = store.plain.write("a", b"2")
    blob = store.plain.read_if_changed("a", one.generation)
    assert blob is not None
    assert (blob.data, blob.info) == (b"2", two)
    assert store.plain.read_if_changed("a", two.generation) is None
    store.plain.delete("a")
    with pytest.raises(ObjectNotFound):
        store.plain.read_if_changed("a", two.generation)


def test_gzip_comes_as_stored(store: Store, tmp_path: Path) -> None:
    """Bytes are never packed or unpacked on the way, not even with `Content-Encoding: gzip`."""
    packed = gzip.compress(b"a,b\n1,2\n" * 500, mtime=0)
    store.plain.write("a.csv.gz", packed, content_type="application/gzip")
    store.put_encoded(store.plain, "encoded.csv", packed)
    assert store.plain.stat("encoded.csv").content_encoding == "gzip"
    for name in ("a.csv.gz", "encoded.csv"):
        assert store.plain.stat(name).size_bytes == len(packed)
        assert store.plain.read(name).data == packed
        assert store.plain.read(name, start=2, end=9).data == packed[2:9]
        store.plain.download(name, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == packed
        with store.plain.open_reader(name) as reader, gzip.open(reader) as lines:
            assert sum(1 for _ in lines) == 1000


def test_open_reader_streams(store: Store) -> None:
    """A reader gives the bytes in order, in any portions, to text and csv readers alike."""
    data = os.urandom(20 * MIB)
    store.plain.write("big", data)
    with store.plain.open_reader("big") as reader:
        head = reader.read(10)
        parts = [head, reader.read(3 * MIB), reader.read(1)]
        parts += iter(lambda: reader.read(MIB), b"")
        assert reader.read(5) == b""
    assert b"".join(parts) == data
    assert store.plain.open_reader("big").read() == data
    store.plain.write("rows.csv", "näme,n\r\nå,1\r\nß,2\r\n".encode())
    with store.plain.open_reader("rows.csv") as reader:
        rows = list(csv.reader(io.TextIOWrapper(reader, encoding="utf-8", newline="")))
    assert rows == [["näme", "n"], ["å", "1"], ["ß", "2"]]


def test_open_reader_stays_with_its_generation(store: Store) -> None:
    """On a versioned bucket an overwrite during reading changes nothing for the reader."""
    data = os.urandom(3 * MIB)
    store.versioned.write("a", data)
    with store.versioned.open_reader("a") as reader:
        head = reader.read(1000)
        store.versioned.write("a", b"new")
        assert head + reader.read() == data


def test_list_in_name_order(store: Store) -> None:
    """Live objects under a prefix, by the order of their bytes, each once."""
    names = ["b", "a/2", "a/10", "a/1", "a0", "a", "Z", "é", "zz", "a/é"]
    for name in names:
        store.versioned.write(name, b"1")
    store.versioned.write("a/1", b"again")
    store.versioned.write("a/gone", b"1")
    store.versioned.delete("a/gone")
    everything = [info.name for info in store.versioned.list()]
    assert everything == sorted(names, key=str.encode)
    assert [info.name for info in store.versioned.list("a/")] == ["a/1", "a/10", "a/2", "a/é"]
    assert [info.size_bytes for info in store.versioned.list("a/1")] == [5, 1]
    assert list(store.versioned.list("nothing/")) == []


def test_more_than_a_page(store: Store) -> None:
    """Listings and folders longer than a page of the service are whole, ordered and lazy."""
    names = [f"p/{number:05d}/x" for number in range(1030)]
    first = store.plain.write(names[0], b"x")
    for name in names[1:]:
        store.plain.copy(store.plain.name, names[0], name)
    assert [info.name for info in store.plain.list("p/")] == names
    assert list(store.plain.folders("p/")) == [name.removesuffix("x") for name in names]
    assert next(iter(store.plain.list("p/"))) == first


def test_folders(store: Store) -> None:
    """The next level below a prefix, each once and in order, files not among them."""
    for name in ["m/a/1", "m/a/2", "m/b/c/1", "m/file", "n/1", "m//1", "m/é/1", "top"]:
        store.plain.write(name, b"1")
    assert list(store.plain.folders()) == ["m/", "n/"]
    assert list(store.plain.folders("m/")) == ["m//", "m/a/", "m/b/", "m/é/"]
    assert list(store.plain.folders("m")) == ["m/"]
    assert list(store.plain.folders("m/b/c/")) == []


@pytest.mark.parametrize("name", NASTY, ids=lambda name: name[:20])
def test_nasty_names(store: Store, name: str, tmp_path: Path) -> None:
    """Any name Cloud Storage takes works in every operation, and means only itself."""
    bucket = store.plain
    info = bucket.write(name, b"body", if_generation=0)
    assert info.name == name
    assert bucket.stat(name) == info
    assert bucket.read(name, generation=info.generation).data == b"body"
    assert bucket.read_if_changed(name, info.generation) is None
    assert bucket.open_reader(name).read() == b"body"
    bucket.download(name, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"body"
    assert [each.name for each in bucket.list(name)] == [name]
    store.versioned.copy(bucket.name, name, name)
    assert store.versioned.compose([name, name], name).size_bytes == 8
    with pytest.raises(ObjectNotFound):
        bucket.stat("b")
    bucket.delete(name, if_generation=info.generation)
    assert list(bucket.list()) == []
