"""Files, people, jobs, messages and time at once, woven call by call from a seed, while processes
die and services refuse, or do what they say they did not."""

from __future__ import annotations

import pytest

from tests.support.storm_promises import check_storm
from tests.support.storms import Storm


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_at_once_every_promise_holds(seed: int) -> None:
    """A random story ends with every upload accounted for, every run ended once, and one move of
    the champion for each decision; all its messages once more change nothing."""
    storm = Storm(seed)
    try:
        storm.tell(rounds=25)
        check_storm(storm)
    except BaseException as error:
        error.add_note("\n".join([*storm.told, *storm.weave.troubles]))
        raise
