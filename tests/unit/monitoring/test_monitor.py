"""Judging windows: verdicts, revisions, alerts, duplicates, crashes, poison."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from shared import documents, paths
from shared.errors import InProgress, MalformedMessage, UnknownModel
from shared.events import (
    DataQualityBroken,
    DriftDetected,
    DriftResolved,
    MonitorAlert,
    PerformanceDropped,
    PerformanceRestored,
)
from shared.serving.columns import Columns
from shared.usecases.monitor import judge_window
from tests.support.crashing import Crash, Fuse
from tests.unit.monitoring.world import DAY, HOUR, MODEL, MONDAY, VERSION, World, spec_of, window


def no_drawing(*_: object, **__: object) -> None:
    """Evidently takes a second per page; one test below draws."""


def world(wrap: Callable[[str, Any], Any] = lambda _, port: port, **more: Any) -> World:
    made = World(spec_of(**more), wrap)
    made.ports = replace(made.ports, draw=no_drawing)
    return made


def hours(made: World, number: int) -> None:
    """Move to the end of the hour `number` after Monday's midnight."""
    made.clock.advance_to(MONDAY + HOUR * number)


def test_a_window_like_the_training_is_stable() -> None:
    """Nothing moved: the verdict is stable, the report says so and nobody is told."""
    made = world()
    made.score()
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "stable"
    assert made.alerts() == []
    report = made.report(window(MONDAY), "report-r0.json")
    assert report["rows"] == 1000
    assert report["versions"][0]["version"] == VERSION
    assert made.report(window(MONDAY))["revision"] == 0


def test_a_shifted_window_drifts_and_asks_for_a_decision() -> None:
    """The inputs moved: one DriftDetected with values against thresholds, HTML, CSV and JSON."""
    made = World()
    made.score(shift=1.0)
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "drifted"
    (alert,) = made.alerts()
    assert isinstance(alert, DriftDetected)
    assert alert.asks == "decide"
    assert alert.incident_id == f"{MODEL}-batch-drift-20260105T000000Z_20260105T010000Z"
    assert any(fact.startswith("age: PSI ") and "threshold 0.1" in fact for fact in alert.facts)
    (age,) = [item for item in alert.findings if item["what"] == "age"]
    assert (age["reference"], age["threshold"]) == (0.0, 0.1)
    assert alert.effect == pytest.approx(max(item["value"] for item in alert.findings) / 0.1, 1e-3)
    page = made.lake.read(alert.report).data.decode()
    assert "went far" in page or "columns drifted" in page
    assert "prediction score" in page  # Evidently drew it
    folder = alert.report.rpartition("/")[0]
    summary = made.lake.read(f"{folder}/drift_summary.csv").data.decode()
    assert f"{VERSION},age,number,1000," in summary


def test_too_few_rows_are_no_verdict() -> None:
    """Below min_rows nothing is judged, whatever the rows look like."""
    made = world()
    made.score(150, shift=3.0)
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "insufficient_data"
    assert made.alerts() == []


def test_persistence_waits_for_m_of_n_windows() -> None:
    """With 2 of 3, the first drifted window is silent and the second one alarms; the alarm says
    since when, and the page of each window whether people hear of it."""
    made = world(monitoring={"persistence": [2, 3]})
    for hour in range(3):
        made.score(shift=1.0, seed=hour)
        hours(made, hour + 1)
        assert judge_window(window(MONDAY + HOUR * hour), made.ports) == "drifted"
        assert len(made.alerts()) == hour
        name = made.report(window(MONDAY + HOUR * hour))["report"].replace("report-r0.json", "")
        page = made.lake.read(f"{name}report.html").data.decode()
        assert ("no alarm yet: it has to last (monitoring.persistence: 2 of 3" in page) == (
            not hour
        )
        assert ("Drift: alarm since 2026-01-05T01:00:00Z" in page) == bool(hour)
    first, second = made.alerts()
    assert first.since == second.since == "2026-01-05T01:00:00Z"
    assert first.opened_by == second.opened_by == first.incident_id != second.incident_id


def test_an_alarm_is_resolved_by_the_next_clean_window() -> None:
    """Drift, then none: the second window says that the first one's incident is over; a window in
    between that could not be judged says nothing."""
    made = world()
    made.score(shift=1.0)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    made.score(100)
    hours(made, 2)
    assert judge_window(window(MONDAY + HOUR), made.ports) == "insufficient_data"
    made.score(seed=2)
    hours(made, 3)
    judge_window(window(MONDAY + 2 * HOUR), made.ports)
    opened, resolved = made.alerts()
    assert isinstance(opened, DriftDetected)
    assert isinstance(resolved, DriftResolved)
    assert resolved.incident_id == opened.incident_id
    assert resolved.asks == "know"


def _burst(columns: Columns) -> None:
    columns["income"][:300] = np.nan


def _new_level(columns: Columns) -> None:
    columns["town"][:100] = "atlantis"


@pytest.mark.parametrize(
    ("change", "refused", "fact"),
    [
        (_burst, 0, "income: 30.0% missing"),
        (_new_level, 0, "town: 10.0% never seen in training ('atlantis')"),
        (lambda _: None, 100, "10.0% of the rows were refused"),
    ],
)
def test_broken_data_asks_to_act_now(
    change: Callable[[Columns], None], refused: int, fact: str
) -> None:
    """Missing bursts, new categories and refused rows are DataQualityBroken with their shares."""
    made = world()
    made.score(change=change, refused=refused)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    alert = next(item for item in made.alerts() if isinstance(item, DataQualityBroken))
    assert alert.asks == "act now"
    assert any(line.startswith(fact) for line in alert.facts)


# --- labels --------------------------------------------------------------------------------------


def test_labels_judge_a_window_again_and_tell_only_what_is_new() -> None:
    """A drifted window gets its labels: revision 1 of the same window tells the drop of
    performance, once, and not the drift again."""
    made = world()
    run_id, truths = made.score(3000, shift=1.0, blur=0.8)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    hours(made, 2)
    made.label(run_id, truths)
    judge_window(window(MONDAY), made.ports)
    drift, performance = made.alerts()
    assert isinstance(drift, DriftDetected)
    assert isinstance(performance, PerformanceDropped)
    assert (drift.revision, performance.revision) == (0, 1)
    assert performance.asks == "act now"
    assert performance.incident_id != drift.incident_id
    measured = made.report(window(MONDAY), "report-r1.json")["versions"][0]["performance"]
    assert measured["metric"] == "auroc"
    assert measured["bound"] < measured["limit"] < measured["reference"]
    assert (measured["labelled"], measured["coverage"]) == (3000, 1.0)
    assert judge_window(window(MONDAY), made.ports) == "already judged"


def test_labels_that_agree_with_the_model_raise_nothing() -> None:
    """Realised performance as on the holdout: judged, with numbers, and silent."""
    made = world()
    run_id, truths = made.score(3000)
    made.label(run_id, truths)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    assert made.alerts() == []
    performance = made.report(window(MONDAY), "report-r0.json")["versions"][0]["performance"]
    assert performance["breach"] is False


def test_corrected_labels_take_an_alarm_back() -> None:
    """Wrong labels raised an alarm; the corrected ones win and resolve the same incident."""
    made = world()
    run_id, truths = made.score(1000)
    made.label(run_id, np.random.default_rng(0).permutation(truths))
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    hours(made, 2)
    made.label(run_id, truths)
    judge_window(window(MONDAY), made.ports)
    dropped, restored = made.alerts()
    assert isinstance(dropped, PerformanceDropped)
    assert isinstance(restored, PerformanceRestored)
    assert restored.incident_id == dropped.incident_id


@pytest.mark.parametrize(
    ("labelled", "more", "sentence"),
    [
        (500, {}, "50% of the predictions have a label (80% needed)"),
        (0, {}, "no labels yet"),
        (1000, {"min_positives": 600}, "of the rarer class (600 needed)"),
        (1000, {"label_delay": "7d"}, "labels of this window count from 2026-01-12T01:00:00Z on"),
    ],
)
def test_too_little_evidence_is_no_judgement_on_performance(
    labelled: int, more: dict[str, Any], sentence: str
) -> None:
    """Coverage, positives and maturity are needed; the report says what lacks, with numbers."""
    made = world(monitoring=more)
    run_id, truths = made.score(1000, blur=1.0)
    if labelled:
        made.label(run_id, truths[:labelled])
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    assert made.alerts() == []
    performance = made.report(window(MONDAY), "report-r0.json")["versions"][0]["performance"]
    assert performance["breach"] is None
    assert sentence in performance["sentence"]


def test_regression_is_judged_by_rmse() -> None:
    """A regression whose errors grew beyond 5 % of the holdout's RMSE is told."""
    made = world(task="regression")
    run_id, _ = made.score(1000)
    scores = np.random.default_rng(0).uniform(0, 1, 1000)
    made.label(run_id, scores)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    (alert,) = made.alerts()
    assert isinstance(alert, PerformanceDropped)
    assert alert.facts[0].startswith("RMSE ")


def test_what_moved_is_told_by_the_statistic_that_the_spec_chose() -> None:
    """In the alert's lines and findings, and in drift_summary.csv."""
    statistics = {"number": "wasserstein", "category": "js", "columns": {"income": "ks"}}
    made = world(monitoring={"statistics": statistics})
    made.score(1000, shift=1.0)
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "drifted"
    (alert,) = made.alerts()
    assert isinstance(alert, DriftDetected)
    assert any(line.startswith("age: Wasserstein distance ") for line in alert.facts)
    assert any("JS distance" in line and line.startswith("job") for line in alert.facts)
    by = {item["what"]: item.get("statistic") for item in alert.findings}
    assert (by["age"], by["job"]) == ("wasserstein", "js")
    folder = alert.report.removesuffix("report.html")
    lines = made.lake.read(f"{folder}drift_summary.csv").data.decode().splitlines()
    table = {row["column"]: row for row in csv.DictReader(lines)}
    assert table["age"]["statistic"] == "wasserstein"
    assert float(table["age"]["value"]) > float(table["age"]["threshold"]) == 0.3162
    assert (table["income"]["statistic"], table["job"]["statistic"]) == ("ks", "js")


# --- channels and versions -----------------------------------------------------------------------


def test_online_answers_are_judged_once_each() -> None:
    """Log lines of the window, neighbouring export days included, without doubles and without
    other models' lines."""
    made = world()
    made.clock.advance_to(MONDAY + DAY - timedelta(minutes=1))
    made.ask_online(400, twice=True, exported_after=timedelta(minutes=2))
    made.ask_online(300, model="other", shift=9.0)
    made.clock.advance_to(MONDAY + 2 * DAY)
    event = window(MONDAY, DAY, "online")
    assert judge_window(event, made.ports) == "stable"
    assert made.report(event)["rows"] == 400


def test_refused_online_rows_are_counted_and_alarm() -> None:
    """Rows that got no answer are rows of the window; too many of them break data quality."""
    made = world()
    made.ask_online(400, refused=100)
    made.clock.advance_to(MONDAY + 2 * DAY)
    event = window(MONDAY, DAY, "online")
    judge_window(event, made.ports)
    (found,) = made.report(event, "report-r0.json")["versions"]
    assert (found["rows"], found["refused"]) == (400, 100)
    assert found["quality"]["broken"] is True
    assert "25.0% of the rows were refused" in found["quality"]["sentence"]


def test_a_window_of_refused_rows_alone_is_judged() -> None:
    """Where nobody got an answer there is no score to judge, and an alarm all the same."""
    made = world()
    made.ask_online(400, refused=400)
    made.clock.advance_to(MONDAY + 2 * DAY)
    event = window(MONDAY, DAY, "online")
    judge_window(event, made.ports)
    assert made.report(event, "report-r0.json")["versions"][0]["quality"]["broken"] is True


def test_redacted_columns_are_not_taken_for_missing_ones() -> None:
    """What nobody kept is no finding: the column is not looked at, the others are."""
    made = world()
    made.ask_online(400, redacted=("age", "town"))
    made.clock.advance_to(MONDAY + 2 * DAY)
    event = window(MONDAY, DAY, "online")
    assert judge_window(event, made.ports) == "stable"
    (found,) = made.report(event, "report-r0.json")["versions"]
    assert {item["column"] for item in found["drift"]["columns"]} == {"income", "job"}
    assert found["quality"]["broken"] is False


def test_each_version_is_held_against_its_own_reference() -> None:
    """Two versions answered in one window: both are judged, the one with more rows first."""
    made = world()
    other = "20260102T000000-bbbbbbbb"
    made.store_version(other)
    made.score(300, version=other)
    made.clock.advance(60)
    made.score(1000)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    versions = made.report(window(MONDAY), "report-r0.json")["versions"]
    assert [(item["version"], item["rows"]) for item in versions] == [(VERSION, 1000), (other, 300)]


# --- duplicates, crashes, order, poison ----------------------------------------------------------


def test_duplicates_of_a_due_window_judge_it_once() -> None:
    """The same WindowDue any number of times is one revision and one alert."""
    made = world()
    made.score(shift=1.0)
    hours(made, 1)
    for _ in range(10):
        judge_window(window(MONDAY), made.ports)
    assert len([item for item in made.cloud.publisher.published if item.topic == "alerts"]) == 1
    assert made.report(window(MONDAY))["revision"] == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_port_call_changes_nothing_in_the_end(after: bool) -> None:
    """Kill monitor at every port call of two judgements: the redelivery ends with the same two
    revisions and the same alerts."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        made = world(fuse.wrap)
        run_id, truths = made.score(600, shift=1.0, blur=1.0)
        hours(made, 1)
        _judge_to_the_end(made)
        made.clock.advance(60)
        made.label(run_id, truths)
        _judge_to_the_end(made)
        if not fuse.blown:
            break
        where = f"crash {'after' if after else 'before'} call {at}: {fuse.trail[at]}"
        assert [type(alert) for alert in made.alerts()] == [DriftDetected, PerformanceDropped], (
            where
        )
        assert made.report(window(MONDAY))["revision"] == 1, where
        at += 1
    assert at > 30


def _judge_to_the_end(made: World) -> None:
    try:
        judge_window(window(MONDAY), made.ports)
    except Crash:
        made.clock.advance(made.ports.claim_seconds + 1)
        judge_window(window(MONDAY), made.ports)


def test_a_window_held_by_another_delivery_is_left_to_it() -> None:
    """While one delivery judges, another one comes back later."""
    fuse = Fuse(12, after=True)
    made = world(fuse.wrap)
    made.score()
    hours(made, 1)
    with pytest.raises(Crash):
        judge_window(window(MONDAY), made.ports)
    with pytest.raises(InProgress):
        judge_window(window(MONDAY), made.ports)


def test_windows_judged_out_of_order_keep_their_own_past() -> None:
    """The later window first, then the earlier one: the earlier does not resolve the later."""
    made = world()
    made.score(seed=1)
    hours(made, 1)
    made.score(shift=1.0)
    hours(made, 2)
    judge_window(window(MONDAY + HOUR), made.ports)
    judge_window(window(MONDAY), made.ports)
    assert [type(alert) for alert in made.alerts()] == [DriftDetected]


def test_poison_is_refused_and_an_open_window_waits() -> None:
    """Impossible windows and unknown models can never work; one that is still open can, later."""
    made = world()
    hours(made, 1)
    with pytest.raises(UnknownModel):
        judge_window(replace(window(MONDAY), model="nobody"), made.ports)
    with pytest.raises(UnknownModel):
        judge_window(replace(window(MONDAY), model="../m"), made.ports)
    with pytest.raises(MalformedMessage):
        judge_window(replace(window(MONDAY), channel="carrier pigeon"), made.ports)
    with pytest.raises(MalformedMessage):
        judge_window(window(MONDAY, timedelta(0)), made.ports)
    with pytest.raises(MalformedMessage):
        judge_window(window(MONDAY, timedelta(days=400)), made.ports)
    with pytest.raises(InProgress):
        judge_window(window(MONDAY, 2 * HOUR), made.ports)


def test_a_window_without_predictions_is_reported_as_such() -> None:
    """Somebody asks for an empty window: a report that says so, and no alarm."""
    made = world()
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "insufficient_data"
    assert made.report(window(MONDAY))["rows"] == 0


def test_a_version_without_reference_is_not_judged() -> None:
    """Without a reference there is nothing to compare with; the report says that."""
    made = world()
    made.lake.delete(paths.dataset(MODEL, VERSION, "reference.json"))
    made.score(shift=3.0)
    hours(made, 1)
    assert judge_window(window(MONDAY), made.ports) == "insufficient_data"
    drift = made.report(window(MONDAY), "report-r0.json")["versions"][0]["drift"]
    assert "has no reference" in drift["sentence"]


def test_names_from_files_are_escaped_in_the_report() -> None:
    """A category that is markup stays text in every part of the page."""
    evil = "</script><script>alert(1)</script>"

    def poison(columns: Columns) -> None:
        columns["town"][:200] = evil

    made = World()
    made.score(change=poison)
    hours(made, 1)
    judge_window(window(MONDAY), made.ports)
    alert = made.alerts()[0]
    assert isinstance(alert, MonitorAlert)
    page = made.lake.read(alert.report).data.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert documents.read(made.lake, paths.manifest(MODEL)).exists
