"""Changing a document that others change, too."""

from __future__ import annotations

import pytest

from shared import documents
from shared.adapters.memory import BucketConfig, MemoryCloud
from shared.documents import Document
from shared.errors import Retryable
from shared.ports import Bucket

NAME = "counters/a.json"


@pytest.fixture
def lake() -> Bucket:
    return MemoryCloud(buckets=[BucketConfig("lake")]).lake


def count(found: Document) -> dict[str, int]:
    return {"count": found.body.get("count", 0) + 1}


def test_a_change_that_was_overtaken_starts_again(lake: Bucket) -> None:
    """Nothing that somebody else wrote meanwhile is lost."""
    rivals = iter([1, 1])

    def overtaken(found: Document) -> dict[str, int]:
        for _ in range(next(rivals, 0)):
            documents.change(lake, NAME, count)
        return count(found)

    documents.change(lake, NAME, overtaken)
    assert documents.require(lake, NAME) == {"count": 3}


def test_a_document_that_never_holds_still_is_for_later(lake: Bucket) -> None:
    """Retryable, and only what the others wrote is there."""

    def always_overtaken(found: Document) -> dict[str, int]:
        documents.swap(lake, NAME, {"count": -1}, generation=found.generation)
        return count(found)

    with pytest.raises(Retryable, match="changes faster"):
        documents.change(lake, NAME, always_overtaken)
    assert documents.require(lake, NAME) == {"count": -1}


def test_nothing_to_change_writes_nothing(lake: Bucket) -> None:
    """The generation stays."""
    documents.change(lake, NAME, count)
    before = documents.read(lake, NAME)
    documents.change(lake, NAME, lambda _: None)
    assert documents.read(lake, NAME) == before
