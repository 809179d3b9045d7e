"""What labels say beyond performance: the target itself moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shared.events import DriftDetected
from shared.usecases.monitor import judge_window
from tests.unit.monitoring.world import HOUR, MONDAY, World, window


def quiet() -> World:
    made = World()
    made.ports = replace(made.ports, draw=lambda *_, **__: None)
    return made


def test_a_target_that_moved_is_drift_once_there_are_labels() -> None:
    """The features are as they were, so the window is stable; its labels tell that "yes" became
    rare, so the window is judged again and asks for a decision, with both shares."""
    made = quiet()
    run_id, truths = made.score()
    made.clock.advance_to(MONDAY + HOUR)
    assert judge_window(window(MONDAY), made.ports) == "stable"
    rare = np.where(np.arange(len(truths)) % 5 == 0, truths, "no")
    made.label(run_id, rare)
    assert judge_window(window(MONDAY), made.ports) == "drifted"
    (alert,) = [item for item in made.alerts() if isinstance(item, DriftDetected)]
    assert "the target drifted" in alert.sentence
    (target,) = [item for item in alert.findings if item["what"] == "target"]
    assert target["value"] > target["threshold"]
    assert "share of 'yes' 50" in target["change"]


def test_labels_of_few_rows_do_not_speak_for_the_target() -> None:
    """Below min_coverage the labels may be a choice of somebody's: no word about the target."""
    made = quiet()
    run_id, truths = made.score()
    made.label(run_id, ["no" for _ in truths[:300]])
    made.clock.advance_to(MONDAY + HOUR)
    assert judge_window(window(MONDAY), made.ports) == "stable"
    report = made.report(window(MONDAY), "report-r0.json")
    assert report["versions"][0]["drift"]["target"] is None
