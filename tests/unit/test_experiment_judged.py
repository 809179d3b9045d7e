"""A whole experiment: predictions dealt, labels recorded, the arms judged, the end recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.documents import timestamp
from shared.events import PerformanceDropped
from shared.manifests import read_manifest
from shared.usecases.beside.experiment_look import Seen
from shared.usecases.monitor import judge_window
from tests.unit.experiment_world import CHALLENGER, MIXED, Trial, trial_spec
from tests.unit.monitoring.world import HOUR, MODEL, VERSION, window

BETTER = {"age": 1.5}
EQUAL = MIXED


def judged(trial: Trial, rows: int = 2000) -> Seen:
    trial.ask(rows)
    trial.label_all()
    return trial.look()


def test_a_truly_better_challenger_is_shown() -> None:
    """2,000 predictions and their labels: the share is kept, the verdict has bounds on the side of
    the challenger, and says so in words."""
    trial = Trial(BETTER)
    trial.start()
    look = judged(trial).look
    assert look.verdict == "challenger_better"
    rows = look.champion.rows, look.challenger.rows
    assert sum(rows) == 2000
    assert abs(rows[0] - 1000) < 90  # four standard errors
    assert look.warnings == []
    assert look.lower is not None
    assert look.difference is not None
    assert 0 < look.lower < look.difference
    assert look.challenger.version == CHALLENGER
    assert look.challenger.coverage == look.champion.coverage == 1.0
    assert "The challenger is better: AUROC" in look.sentence


def test_a_worse_challenger_is_shown_as_well() -> None:
    """The champion is named as the better one."""
    trial = Trial({"town=x": 1.0})
    trial.start(share=0.3)
    look = judged(trial).look
    assert look.verdict == "champion_better"
    assert look.upper is not None
    assert look.upper < 0


def test_equal_versions_show_no_difference() -> None:
    """The sentence says how large a difference there may still be."""
    trial = Trial(EQUAL)
    trial.start()
    look = judged(trial).look
    assert look.verdict == "no_difference_shown"
    assert look.lower is not None
    assert look.upper is not None
    assert look.lower < 0 < look.upper
    assert "no more than" in look.sentence


@pytest.mark.parametrize("trouble", ["none yet", "few", "coverage", "young"])
def test_too_little_is_no_verdict(trouble: str) -> None:
    """No labels, few rows, a small part labelled, or labels that do not count yet: the sentence
    says what is missing, of how much."""
    trial = Trial(BETTER, trial_spec(label_delay="7d" if trouble == "young" else "0s"))
    trial.start()
    trial.ask(200 if trouble == "few" else 600)
    if trouble != "none yet":
        trial.label_all(keep=0.3 if trouble == "coverage" else 1.0)
    look = trial.look().look
    assert look.verdict == "insufficient_data"
    reason = {
        "none yet": "0% of the champion's predictions have a label",
        "few": "labelled rows (150 needed)",
        "coverage": "have a label (80% needed)",
        "young": "no prediction of the champion is old enough",
    }
    assert reason[trouble] in look.sentence
    if trouble == "young":
        trial.clock.advance(timedelta(days=8))
        assert trial.look().look.verdict == "challenger_better"


def test_a_customer_of_many_rows_has_one_version_and_counts_as_one() -> None:
    """Rows of one key value go together, and the bounds know that they are not independent."""
    trial = Trial(BETTER)
    trial.start()
    trial.ask(1500, customers=60)
    trial.label_all()
    seen = trial.look()
    wide = seen.look
    many = Trial(BETTER)
    many.start()
    narrow = judged(many, 1500).look
    assert wide.lower is not None
    assert wide.difference is not None
    assert narrow.lower is not None
    assert narrow.difference is not None
    assert wide.difference - wide.lower > narrow.difference - narrow.lower


def test_rows_lost_on_one_side_are_noticed() -> None:
    """A split that chance does not make is said, whatever the verdict."""
    trial = Trial(BETTER)
    trial.start(key="prediction_id")
    lake, publisher = trial.lake, trial.cloud.publisher
    answers = trial.ask(1200)
    mine = {item["prediction_id"] for item in answers if item["model_version"] == CHALLENGER}
    lost = set(sorted(mine)[:200])
    lines = [
        line
        for item in publisher.published
        for line in item.data.split(b"\n")
        if item.topic == "predictions" and not lost & {json.loads(line)["prediction_id"]}
    ]
    (info,) = lake.list("inference-log/")
    lake.write(info.name, b"\n".join(lines) + b"\n")
    trial.label_all()
    (warning,) = trial.look().look.warnings
    assert "the split is not what was asked for" in warning


def test_a_planned_end_is_one_test_and_looks_before_are_wider() -> None:
    """Before the end bounds are wider than at it; rows after it do not count."""
    trial = Trial(EQUAL)
    end = trial.clock.now() + timedelta(hours=1)
    trial.start(until=timestamp(end))
    early = judged(trial).look
    trial.clock.advance(timedelta(hours=2))
    last = trial.look().look
    assert (early.final, last.final) == (False, True)
    assert early.lower is not None
    assert last.lower is not None
    assert early.difference == last.difference
    assert early.lower < last.lower
    later = trial.ask(100)
    assert {item["model_version"] for item in later} == {VERSION}
    assert trial.look().look.champion.rows == last.champion.rows


def test_the_end_is_recorded_with_what_was_found() -> None:
    """A stopped experiment keeps its verdict; a look at it afterwards is of its own rows only."""
    trial = Trial(BETTER)
    trial.start()
    found = judged(trial)
    record = trial.stop()
    assert record.ended is not None
    assert record.ended.verdict is not None
    assert record.ended.verdict["sentence"] == found.look.sentence
    manifest = read_manifest(MODEL, lake=trial.lake)
    assert manifest is not None
    assert manifest.experiment is None
    trial.ask(300)
    again = trial.look()
    assert again.look.champion.rows == found.look.champion.rows
    assert again.look.verdict == "challenger_better"


def test_a_losing_challenger_raises_no_alarm() -> None:
    """Monitoring shows its performance and says why nobody is called; a champion that does as badly
    calls people."""
    for champion, alarms in (({"age": 1.5}, 0), ({"town=x": 1.0}, 1)):
        trial = Trial({"town=x": 1.0}, champion=champion)
        start = trial.clock.now()
        trial.start()
        judged(trial, 1200)
        trial.clock.advance_to(start + HOUR)
        event = window(start, channel="online")
        judge_window(event, replace(trial.ports, draw=lambda *_, **__: None))
        assert len(trial.events(PerformanceDropped)) == alarms
        versions = {
            item["version"]: item for item in trial.report(event, "report-r0.json")["versions"]
        }
        assert "no alarm" in versions[CHALLENGER]["performance"]["sentence"]
