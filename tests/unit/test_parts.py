"""Large objects in parts: the same bytes whatever happened before, and nothing left behind."""

from __future__ import annotations

import gzip
import hashlib
import random

import pytest

from shared.adapters.memory import BucketConfig, MemoryCloud
from shared.errors import Retryable
from shared.parts import Parts, Written
from shared.ports import Bucket
from shared.tabular.dataset import Packer, unpack
from tests.support.crashing import Crash, Fuse

NAME, FOLDER = "datasets/m/r/data", "datasets/m/r/parts/"


def _lake() -> Bucket:
    return MemoryCloud(buckets=[BucketConfig("lake")]).lake


def _pieces(size: int) -> list[bytes]:
    noise = random.Random(size)
    data = noise.randbytes(size)
    cuts = sorted(noise.randrange(size + 1) for _ in range(7))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, size], strict=True)]


def _write(lake: Bucket, size: int, part_bytes: int = 10) -> Written:
    parts = Parts(lake, NAME, FOLDER, part_bytes=part_bytes)
    for piece in _pieces(size):
        parts.write(piece)
    return parts.close()


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 319, 320, 321, 330, 10_500])
def test_an_object_is_what_was_written(size: int) -> None:
    """From nothing to more parts than two levels of composing take; no part stays."""
    lake = _lake()
    written = _write(lake, size)
    data = b"".join(_pieces(size))
    assert lake.read(NAME).data == data
    assert written == Written(NAME, size, hashlib.sha256(data).hexdigest())
    assert [info.name for info in lake.list()] == [NAME]


@pytest.mark.parametrize("after", [False, True])
def test_dying_between_any_two_steps_and_doing_it_again_gives_the_object(after: bool) -> None:
    """Composites of an earlier attempt are overwritten, its parts are gone."""
    at = 0
    while True:
        lake = _lake()
        fuse = Fuse(at, after=after)
        try:
            _write(fuse.wrap("lake", lake), 345)
        except Crash:
            written = _write(lake, 345)
            assert lake.read(NAME).data == b"".join(_pieces(345)), fuse.where
            assert written.size_bytes == 345
            assert [info.name for info in lake.list()] == [NAME], fuse.where
            at += 1
            continue
        break
    assert at > 70


def test_two_at_once_end_with_the_object_or_try_again() -> None:
    """The one whose parts the other took away asks for another try; the object is whole."""
    lake = _lake()
    slow = Parts(lake, NAME, FOLDER, part_bytes=10)
    for piece in _pieces(100):
        slow.write(piece)
    _write(lake, 100)
    with pytest.raises(Retryable, match="another execution"):
        slow.close()
    assert lake.read(NAME).data == b"".join(_pieces(100))


def test_what_was_begun_can_be_given_up() -> None:
    """Nothing stays of it."""
    lake = _lake()
    parts = Parts(lake, NAME, FOLDER, part_bytes=10)
    parts.write(b"x" * 100)
    parts.discard()
    assert list(lake.list()) == []


def test_a_dataset_in_parts_is_a_gzip_file() -> None:
    """Cut anywhere, it is read by anybody."""
    lake = _lake()
    packer, parts = Packer(), Parts(lake, NAME, FOLDER, part_bytes=16)
    parts.write(packer.header(["a"]))
    parts.write(packer.end())
    data = lake.read(parts.close().name).data
    assert gzip.decompress(data) == b"record,origin,prediction_id,side,a\n"
    assert len(unpack(data)) == 0
