"""The canary's judge: what goes on, what goes back, and how seldom either is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shared.beside.anytime import at_least, evidence
from shared.beside.tally import MOST_ROWS, Tally, add
from shared.beside.verdict import Judged, Terms, judge
from tests.bench.simulate_canary import World, play

GATE = {
    "rows": 2000,
    "labels": {"differ": 100, "share": 0.05, "upper": 0.063},
    "scores": {"differ": 100, "share": 0.05, "upper": 0.063, "far": 0.1},
}
TERMS = Terms(0, (0.05, 0.25), 500, 0.05, GATE)


def line(number: int, **mark: Any) -> dict[str, Any]:
    """A row of its own request that both answer alike, if nothing else is said."""
    said = {"score": 0.2, "label": "no"}
    about = {
        "arm": "challenger",
        "unit": f"u{number}",
        "left_out": None,
        "champion": said,
        "challenger": said,
        **mark,
    }
    if about["left_out"]:
        del about["champion"], about["challenger"]
    time = f"2026-01-01T00:00:{number:09d}Z"
    return {"prediction_id": f"p{number}", "time": time, "canary": about}


def lines(count: int, start: int = 0, **mark: Any) -> list[dict[str, Any]]:
    return [line(number, **mark) for number in range(start, start + count)]


OTHER: dict[str, Any] = {"challenger": {"score": 0.25, "label": "yes"}}
AWAY: dict[str, Any] = {"challenger": {"score": 0.35, "label": "no"}}


def tally_of(
    found: list[dict[str, Any]], *, sticky: bool = False, far: float | None = 0.1
) -> Tally:
    tally = Tally()
    add(tally, found, sticky=sticky, far=far)
    return tally


def judged(found: list[dict[str, Any]], terms: Terms = TERMS) -> Judged:
    return judge(tally_of(found, far=terms.far), terms)


# --- verdicts ------------------------------------------------------------------------------------


def test_a_step_is_passed_with_its_rows_and_nothing_against_it() -> None:
    """One row fewer waits, and says how many there are."""
    assert judged(lines(500)).verdict == "go_on"
    waits = judged(lines(499))
    assert waits.verdict == "wait"
    assert "499 of 500 rows are judged" in waits.sentence
    assert "gate 5 %, tolerated 10 %" in waits.sentence


@pytest.mark.parametrize(("other", "what"), [(OTHER, "another label"), (AWAY, "a score further")])
def test_what_differs_certainly_more_than_is_tolerated_goes_back(
    other: dict[str, Any], what: str
) -> None:
    """Labels, and scores where the labels stay; the sentence has what was seen, what is certain,
    what the gate measured and what is tolerated."""
    found = judged([*lines(400), *lines(200, start=400, **other)])
    assert found.verdict == "back"
    assert f"33.3 % of 600 rows get {what}" in found.sentence
    assert "the gate measured 5 %, at most 6.3 %, and 5 % more are tolerated" in found.sentence


def test_more_than_is_tolerated_by_what_may_be_chance_waits() -> None:
    """It neither grows on a bad sign nor goes back on one."""
    found = judged([*lines(440), *lines(60, start=440, **OTHER)])
    assert found.verdict == "wait"
    assert "may still be chance" in found.sentence


@pytest.mark.parametrize(
    "reason",
    ["challenger_failed", "challenger_slow", "challenger_refuses", "challenger_not_loaded"],
)
def test_a_challenger_that_fails_goes_back(reason: str) -> None:
    """Though every row that it answers is as the champion's; a few failures do not matter."""
    failing = lines(40, start=1000, left_out=reason)
    found = judged([*lines(500), *failing])
    assert found.verdict == "back"
    assert "40, of 540 rows that were its to answer" in found.sentence
    assert judged([*lines(500), *failing[:5]]).verdict == "go_on"


def test_what_fails_at_its_very_first_requests_may_be_a_cold_start() -> None:
    """Nothing is decided on fewer than 20 requests, unless an instance gave it up long ago or they
    are as many rows as a step needs; a row that is not asked about is no failure more."""
    few = lines(3, left_out="challenger_failed")
    assert judged(few).verdict == "wait"
    stopped = lines(30, start=3, left_out="challenger_stopped")
    found = judged([*few, *stopped])
    assert found.verdict == "back"
    assert "it failed on 3, an instance no longer asked it about 30" in found.sentence
    assert judged([*few[:1], *stopped]).verdict == "wait"
    assert judged([*lines(500), *lines(300, 500, left_out="challenger_stopped")]).verdict == "go_on"


def test_what_is_given_up_everywhere_goes_back() -> None:
    """An instance that gave it up asks it nothing more, so there are no failures to count, maybe
    in a whole step. Where others still ask it, those are what counts."""
    stopped = lines(500, 1, left_out="challenger_stopped")
    found = judged([*lines(1, left_out="challenger_slow"), *stopped])
    assert found.verdict == "back"
    assert "given up: it took too long for 1, an instance no longer asked it about 500" in (
        found.sentence
    )
    assert judged(stopped).verdict == "back"
    assert judged(stopped[1:]).verdict == "wait"
    assert judged([*stopped, *lines(600, 600)]).verdict == "go_on"


def test_a_handful_of_key_values_is_no_reason_to_go_on() -> None:
    """One busy caller (or one who wants it to pass) sends any number of rows."""
    terms = replace(TERMS, sticky=True)

    def by(values: int) -> Judged:
        found = [line(number, unit=f"u{number % values}") for number in range(600)]
        return judge(tally_of(found, sticky=True), terms)

    assert by(19).verdict == "wait"
    assert "600 rows are judged, but of 19 values of the key" in by(19).sentence
    assert by(20).verdict == "go_on"


def test_rows_of_one_request_fail_together() -> None:
    """A request of a thousand rows that an instance was too slow for is one failure."""
    time = "2026-01-01T00:01:00Z"
    slow = [{**one, "time": time} for one in lines(1000, 5000, left_out="challenger_slow")]
    found = judged([*lines(500), *slow])
    assert found.verdict == "wait"
    assert "may still be chance" in found.sentence


@pytest.mark.parametrize("gate", [None, {"rows": 9, "labels": None, "scores": None}])
def test_without_the_gates_measure_failures_alone_count(gate: dict[str, Any] | None) -> None:
    """Comparisons of before it was measured, and those that could not be; it is said."""
    terms = Terms(0, (0.05, 0.25), 500, 0.05, gate)
    found = judged([*lines(200), *lines(300, 200, **OTHER)], terms)
    assert found.verdict == "go_on"
    assert "failures alone count" in found.sentence
    assert judged(lines(500, left_out="challenger_failed"), terms).verdict == "back"


def test_a_sample_is_called_one() -> None:
    """Where the log was too large to be read as a whole."""
    tally = tally_of(lines(500))
    tally.skipped_bytes = 3 * 2**20
    found = judge(tally, TERMS)
    assert found.sentence.endswith(
        "This is a sample: 3 MiB of the log were more than a look reads."
    )
    assert found.to_json()["sampled"] is True


# --- counting ------------------------------------------------------------------------------------


def test_a_line_counts_once_however_often_it_comes() -> None:
    """In one look or in two, also after the counts were stored and read back."""
    tally = tally_of([*lines(10), *lines(10)])
    stored = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    add(stored, lines(15), sticky=False, far=0.1)
    assert (stored.dealt, stored.compared) == (15, 15)
    assert (stored.labels.rows, stored.labels.count) == (15, 15)


def test_rows_of_one_key_value_are_one_piece_of_evidence() -> None:
    """A customer who gets another label a hundred times is one customer."""
    found = tally_of([*lines(300), *lines(100, 300, unit="one", **OTHER)], sticky=True)
    assert (found.labels.rows, found.labels.differ) == (301, 1)
    assert (found.labels.count, found.labels.total) == (301, 1)
    assert found.compared == 400


def test_the_champions_rows_and_those_without_a_key_are_no_part_of_it() -> None:
    """Only what was dealt to the challenger is judged; rows without the key are no failure."""
    found = tally_of([*lines(5, arm="champion"), *lines(3, 5, arm="champion", left_out="no_key")])
    assert (found.dealt, found.compared, found.failed.count) == (0, 0, 0)
    assert "3 rows had no value of the key" in judge(found, TERMS).sentence


def test_a_step_has_an_end() -> None:
    """The counts stay small enough to be stored."""
    tally = tally_of(lines(MOST_ROWS + 10))
    assert tally.full
    assert tally.dealt == MOST_ROWS
    assert len(json.dumps(tally.to_json())) < 500_000


def test_one_busy_key_value_does_not_hide_the_others() -> None:
    """It fills a step with its rows; of those that come later, as many count as it takes."""
    terms = replace(TERMS, sticky=True)
    busy = tally_of(lines(MOST_ROWS, unit="busy"), sticky=True)
    assert judge(busy, terms).verdict == "wait"
    for number in range(30):
        add(busy, lines(3, MOST_ROWS + 3 * number, unit=f"u{number}"), sticky=True, far=0.1)
    assert judge(busy, terms).verdict == "go_on"
    assert (busy.dealt, busy.labels.count) == (MOST_ROWS + 19, 20)


# --- certainty -----------------------------------------------------------------------------------


def test_evidence_is_seldom_large_where_the_limit_holds() -> None:
    """Looked at after every trial: 500 streams exactly at the limit reach 1 / alpha in no more than
    alpha of cases, for trials of 0 and 1 and for trials between."""
    random = np.random.default_rng(0)
    for draw in (lambda n: random.random(n) < 0.1, lambda n: random.uniform(0, 0.2, n)):
        reached = 0
        for _ in range(500):
            sums = np.cumsum(draw(1000))
            reached += any(evidence(float(sums[at]), at + 1, 0.1) >= 20 for at in range(4, 1000, 5))
        assert reached <= 0.05 * 500


def test_a_lower_bound_says_what_the_evidence_says() -> None:
    """A limit below it is certainly exceeded, one above it is not."""
    bound = at_least(75, 500, 0.005)
    assert 0.09 < bound < 0.15
    assert evidence(75, 500, bound - 0.001) >= 200
    assert evidence(75, 500, bound + 0.001) < 200
    assert at_least(0, 100, 0.05) == 0
    assert evidence(1, 1, 1.0) == 0


@pytest.mark.parametrize(
    ("world", "ends"),
    [
        (World("as at the gate", 0.05, 0.05), {"go_on": 1.0}),
        (World("as much as is tolerated", 0.05, 0.10), {"back": 0.05}),
        (World("10 % more", 0.05, 0.15), {"back": 0.95}),
    ],
    ids=lambda item: item.name if isinstance(item, World) else "",
)
def test_simulated_canaries_end_as_they_should(world: World, ends: dict[str, float]) -> None:
    """Looked at every 60 rows: an equal challenger goes on, one that differs as much as is
    tolerated is sent back in at most 5 % of cases, and one with a label flipped on 10 % more rows
    in nearly all, before it gets a larger share."""
    random = np.random.default_rng(2)
    found = [play(world, random) for _ in range(60)]
    back = [one for one in found if one.verdict == "back"]
    if "go_on" in ends:
        assert sum(one.verdict == "go_on" for one in found) >= 0.95 * len(found)
    elif ends["back"] < 0.5:
        assert len(back) <= ends["back"] * len(found)
    else:
        assert len(back) >= ends["back"] * len(found)
        assert all(one.step == 0 for one in back)
