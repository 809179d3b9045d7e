"""A service that keeps everybody waiting is left alone, and asked again by one."""

from __future__ import annotations

from shared.serving.resting import PATIENCE_SECONDS, REST_SECONDS, Resting
from tests.support.predictor import Seconds


def test_a_service_that_refuses_at_once_is_asked_each_time() -> None:
    """That costs nobody anything, and it may be well again."""
    resting = Resting(Seconds())
    for _ in range(5):
        assert resting.may_ask()
        resting.asked(PATIENCE_SECONDS / 2, accepted=False)


def test_one_asks_when_the_rest_is_over() -> None:
    """The others do not, until that one had an answer; without one the rest begins again, however
    soon the refusal came."""
    resting = Resting(seconds := Seconds())
    resting.asked(PATIENCE_SECONDS, accepted=False)
    assert not resting.may_ask()
    seconds.now += REST_SECONDS
    assert [resting.may_ask() for _ in range(3)] == [True, False, False]
    resting.asked(0.0, accepted=False)
    assert not resting.may_ask()
    seconds.now += REST_SECONDS
    assert resting.may_ask()
    resting.asked(PATIENCE_SECONDS, accepted=True)
    assert [resting.may_ask() for _ in range(3)] == [True, True, True]


def test_one_who_asked_and_never_came_back_does_not_close_it_for_good() -> None:
    """After another rest somebody else asks."""
    resting = Resting(seconds := Seconds())
    resting.asked(PATIENCE_SECONDS, accepted=False)
    for _ in range(3):
        seconds.now += REST_SECONDS
        assert resting.may_ask()
        assert not resting.may_ask()
