"""Who waits for whom between a request's bytes and its answer."""

from __future__ import annotations

import threading

import pytest

from shared.serving.load import Load

ROW, BATCH, LARGE = b"x" * 300, b"x" * 30_000, b"x" * 2_000_000


def asked(load: Load, body: bytes) -> threading.Event:
    """A request with this body in another thread; set once it is worked on."""
    worked = threading.Event()

    def work() -> None:
        with load.turn(body):
            worked.set()

    threading.Thread(target=work, daemon=True).start()
    return worked


def test_a_batch_waits_for_the_batch_before_it() -> None:
    """And has its turn then."""
    load = Load()
    with load.turn(BATCH):
        worked = asked(load, BATCH)
        assert not worked.wait(0.05)
    assert worked.wait(10)


@pytest.mark.parametrize("body", [ROW, LARGE])
def test_a_row_and_a_very_large_batch_wait_for_nobody(body: bytes) -> None:
    """They are worked on while a batch is; nor does a batch wait for them."""
    load = Load()
    with load.turn(BATCH):
        assert asked(load, body).wait(10)
    with load.turn(body):
        assert asked(load, BATCH).wait(10)
