"""What a labels file changes is counted: late, corrected, repeated, outdated, still missing."""

from __future__ import annotations

import json
from typing import Any

from shared import documents, paths
from shared.boundary import Task
from shared.decoding import decode
from shared.events import LabelsRecorded, encode
from shared.labelled import LabelSummary
from shared.telling.draft import Where
from shared.telling.drafts import draft_of
from shared.usecases.monitor import judge_window
from tests.unit.monitoring.world import DAY, HOUR, MODEL, World, spec_of, window


def summary(world: World, task: Task) -> dict[str, Any]:
    return documents.require(world.lake, paths.run_stage(MODEL, task.run_id, "labels.json"))


def label(world: World, *rows: str) -> dict[str, Any]:
    task = world.request_labels("\n".join(["prediction_id,label,label_time", *rows]) + "\n")
    world.run_labels(task)
    world.clock.advance(60)
    return summary(world, task)


def test_corrections_and_repeats_are_told_apart() -> None:
    """Against the last word of all earlier files; an earlier time than that changes nothing."""
    world = World()
    run_id, _ = world.score(10)
    world.clock.advance(HOUR)
    first = label(world, f"{run_id}-1,yes,", f"{run_id}-2,yes,", f"{run_id}-3,yes,")
    assert (first["corrected"], first["repeated"], first["missing"]) == (0, 0, 7)
    again = label(
        world, f"{run_id}-1,no,", f"{run_id}-2,yes,", f"{run_id}-3,no,2026-01-05", f"{run_id}-4,no,"
    )
    counts = ("corrected", "repeated", "outdated", "missing", "late")
    assert [again[name] for name in counts] == [1, 1, 1, 6, 0]


def test_labels_after_their_window_was_judged_are_late() -> None:
    """A window's length and `label_delay` after the prediction at the latest."""
    world = World(spec_of(monitoring={"label_delay": "3d", "window": "1d"}))
    run_id, _ = world.score(10)
    world.clock.advance(4 * DAY)
    assert label(world, f"{run_id}-1,yes,")["late"] == 0
    assert label(world, f"{run_id}-2,yes,")["late"] == 1


def test_the_event_and_the_message_say_it() -> None:
    """All counts, and sentences about those that are not zero."""
    world = World()
    run_id, _ = world.score(10)
    world.clock.advance(HOUR)
    label(world, f"{run_id}-1,yes,")
    label(world, f"{run_id}-1,no,", "nobody-1,no,", f"{run_id}-2,maybe,")
    event = world.events(LabelsRecorded)[-1]
    assert isinstance(event, LabelsRecorded)
    assert (event.corrected, event.unknown, event.quarantined, event.missing) == (1, 1, 1, 9)
    where = Where(lake="lake", context="local")
    sentence = draft_of(event, where).sentence
    assert sentence == (
        "2 labels are recorded, 1 of them for predictions that we made; 1 name no prediction that "
        "we made; 1 rows are in quarantine; 1 correct an earlier label; 9 predictions of the same "
        "scoring runs have no label yet."
    )


def test_what_older_versions_wrote_is_read() -> None:
    """Summaries and events from before it was counted."""
    old = {
        "object": "x",
        **dict.fromkeys(("rows", "matched", "unknown", "quarantined", "duplicates"), 1),
        "score_runs": [],
        "online_hours": [],
    }
    assert LabelSummary.from_json(old).corrected is None
    world = World()
    event = LabelsRecorded(model=MODEL, run_id="r", rows=1, matched=1, unknown=0)
    body = json.loads(encode(event, world.clock.now()))
    kept = {"type", "model", "run_id", "rows", "matched", "unknown"}
    assert decode({key: body[key] for key in kept}) == event


def test_a_correction_gives_the_window_a_new_report() -> None:
    """With the corrected label in it, in another revision."""
    world = World()
    run_id, truths = world.score(400)
    world.clock.advance(2 * HOUR)
    world.label(run_id, truths)
    due = window(world.clock.now() - 2 * HOUR)
    judge_window(due, world.ports)
    before = world.report(due, "report-r0.json")["versions"][0]["performance"]
    world.clock.advance(60)
    world.label(run_id, ["no" if truth == "yes" else "yes" for truth in truths])
    judge_window(due, world.ports)
    after = world.report(due, "report-r1.json")["versions"][0]["performance"]
    assert before["value"] > 0.8
    assert after["value"] < 0.2
    assert world.report(due)["revision"] == 1


def test_an_outdated_label_changes_no_metric() -> None:
    """The report is issued again and says the same: retraining and `trace` go by the same word."""
    world = World()
    run_id, truths = world.score(400)
    world.clock.advance(2 * HOUR)
    world.label(run_id, truths)
    due = window(world.clock.now() - 2 * HOUR)
    judge_window(due, world.ports)
    world.clock.advance(60)
    wrong = [
        f"{run_id}-{number},{'no' if truth == 'yes' else 'yes'},2026-01-05T00:30:00"
        for number, truth in enumerate(truths, start=1)
    ]
    assert label(world, *wrong)["outdated"] == 400
    judge_window(due, world.ports)
    first, second = (
        world.report(due, f"report-r{revision}.json")["versions"][0]["performance"]
        for revision in (0, 1)
    )
    assert first == second


def test_metrics_of_acted_on_predictions_are_marked() -> None:
    """In the report and in the alert's sentence."""
    world = World(spec_of(labels={"selection": "only_acted_on"}))
    run_id, truths = world.score(2000, blur=0.9)
    world.clock.advance(2 * HOUR)
    world.label(run_id, truths)
    due = window(world.clock.now() - 2 * HOUR)
    judge_window(due, world.ports)
    found = world.report(due, "report-r0.json")["versions"][0]["performance"]
    assert found["biased"]
    assert found["breach"]
    (alert,) = [item for item in world.alerts() if item.type == "PerformanceDropped"]
    assert "biased: only predictions that somebody acted on get a label" in alert.sentence
    clean = World(spec_of())
    run_id, truths = clean.score(2000, blur=0.9)
    clean.clock.advance(2 * HOUR)
    clean.label(run_id, truths)
    judge_window(due, clean.ports)
    assert not clean.report(due, "report-r0.json")["versions"][0]["performance"]["biased"]
