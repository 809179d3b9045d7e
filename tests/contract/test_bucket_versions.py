"""What every `ports.VersionedBucket` promises: old generations are seen, and go for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from shared.errors import ObjectNotFound
from shared.ports import VersionedBucket
from tests.contract.stores import kinds, open_store


@pytest.fixture(params=[kind for kind in kinds() if not kind.startswith("rest")])
def bucket(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VersionedBucket]:
    with open_store(request.param, tmp_path / "engine") as store:
        yield cast("VersionedBucket", store.versioned)


def test_generations_are_listed_whether_they_live_or_not(bucket: VersionedBucket) -> None:
    """Overwritten and deleted ones, by name and age, under a prefix."""
    first, second = bucket.write("a/x", b"1"), bucket.write("a/x", b"2")
    gone = bucket.write("a/y", b"3")
    bucket.delete("a/y")
    bucket.write("b/z", b"4")
    found = [(info.name, info.generation) for info in bucket.generations("a/")]
    assert found == [
        ("a/x", first.generation),
        ("a/x", second.generation),
        ("a/y", gone.generation),
    ]
    assert [info.name for info in bucket.list()] == ["a/x", "b/z"]


def test_a_generation_goes_for_good(bucket: VersionedBucket) -> None:
    """An old one, then the live one: no generation is left, and none comes back."""
    first, second = bucket.write("x", b"1"), bucket.write("x", b"2")
    bucket.delete_generation("x", first.generation)
    with pytest.raises(ObjectNotFound):
        bucket.read("x", generation=first.generation)
    assert bucket.read("x").data == b"2"
    bucket.delete_generation("x", second.generation)
    assert list(bucket.generations()) == []
    with pytest.raises(ObjectNotFound):
        bucket.stat("x")


def test_one_that_is_gone_is_fine(bucket: VersionedBucket) -> None:
    """Whoever repeats a deletion after a crash is done."""
    info = bucket.write("x", b"1")
    for _ in range(2):
        bucket.delete_generation("x", info.generation)
