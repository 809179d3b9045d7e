"""Slack messages: one golden file per kind of event, posted once, escaped, retried.

After an intended change: `python -m tests.unit.test_notify` writes the golden files again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared import events
from shared.adapters.memory import FixedClock, MemoryCloud
from shared.drafts import DRAFTS, Where
from shared.errors import InProgress, Retryable
from shared.events import Event, MonitorAlert
from shared.messages import message
from shared.usecases.notify import Notify, notify
from tests.support.crashing import Crash, Fuse
from tests.support.system import memory_cloud

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "slack"
VERSION, RUN = "20260101T080000-aaaaaaaa", "20260105T090000-bbbbbbbb"
CONSOLE = "https://console.cloud.google.com/storage/browser/_details"
WHERE = Where("lake", "production", CONSOLE)
FOLDER = "20260105T000000Z_20260106T000000Z"


def alert(
    cls: type[MonitorAlert], kind: str, asks: str, sentence: str, *facts: str
) -> MonitorAlert:
    return cls(
        model="adult_income",
        version=VERSION,
        incident_id=f"adult_income-batch-{kind}-{FOLDER}",
        revision=1 if kind == "performance" else 0,
        channel="batch",
        window_start=datetime(2026, 1, 5, tzinfo=UTC),
        window_end=datetime(2026, 1, 6, tzinfo=UTC),
        sentence=sentence,
        facts=list(facts),
        report=f"reports/adult_income/batch/{FOLDER}/report.html",
        asks=asks,
    )


DRIFT = alert(
    events.DriftDetected,
    "drift",
    "decide",
    "What adult_income sees is not what it was trained on: 4 of 14 columns drifted (29%).",
    "age: PSI 0.412 (threshold 0.1), mean 38.6 -> 52.1",
    "workclass: PSI 0.2 (threshold 0.1), share of '<Private>' 69.4% -> 41.0%",
    "so since 2026-01-04T00:00:00Z",
)
FIRST_PROMOTED = events.ModelPromoted(
    model="adult_income",
    run_id=RUN,
    version=RUN,
    previous=None,
    revision=1,
    by="ada",
    sentence="It is the first version.",
)
EXPERIMENT_DUE = events.AutomationNoted(
    model="adult_income",
    source="experiment",
    subject="experiment-20260105T090000-0a1b2c3d-due",
    sentence="Experiment 20260105T090000-0a1b2c3d of adult_income reached its planned end.",
    asks="decide",
)
NOT_LOADED = events.AutomationNoted(
    model="adult_income",
    source="predict",
    subject=f"{RUN} (revision 3)",
    sentence=f"{RUN} (revision 3) does not load: a file of the package is missing: "
    f"gs://lake/models/adult_income/{RUN}/package/package.json does not exist. "
    f"{VERSION} answers instead.",
    asks="act now",
)
SPEC_WAITS = events.ApprovalRequested(
    model="adult_income",
    run_id="spec-3",
    version="spec-3",
    against="2",
    sentence="Spec generation 3 changes what needs an approval: promotion.approval: first -> auto. "
    "Until somebody approves all of it, generation 2 stays in force.",
    facts=[f"columns.<c{number}> added" for number in range(24)],
)
EXAMPLES: list[Event] = [
    DRIFT,
    alert(
        events.DataQualityBroken,
        "data_quality",
        "act now",
        "The data of adult_income is broken: hours: 30.0% missing (reference 0.0%, limit 5.0%).",
        "hours: 30.0% missing (reference 0.0%, limit 5.0%)",
    ),
    alert(
        events.PerformanceDropped,
        "performance",
        "act now",
        "adult_income is worse than on its holdout: AUROC 0.81 on 3000 labelled rows (at most 0.82 "
        "with 95 % confidence), holdout 0.927, limit 0.907.",
        "AUROC 0.81 on 3000 labelled rows (at most 0.82 with 95 % confidence)",
        "3000 labelled rows, 100% of the predictions, 700 positive",
    ),
    alert(
        events.DataQualityRestored,
        "data_quality",
        "know",
        "The data of adult_income is in order again: nothing out of the ordinary.",
    ),
    alert(
        events.DriftResolved,
        "drift",
        "know",
        "adult_income no longer drifts: 0 of 14 columns drifted (25% needed).",
    ),
    alert(
        events.PerformanceRestored,
        "performance",
        "know",
        "adult_income is as good as on its holdout again: AUROC 0.93 on 900 labelled rows.",
    ),
    events.DataRejected(
        model="adult_income",
        run_id=RUN,
        source="gs://inbox/adult_income/train/<!channel> & co.csv#7",
        reason="HeaderMismatch",
        message="the header does not fit the spec (missing: age). Fix the file",
    ),
    events.RunRejected(
        model="adult_income", run_id=RUN, reason="TooManyBadRows", message="9 of 10 rows are bad"
    ),
    events.RunFailed(
        model="adult_income", run_id=RUN, message="3 executions of train-s ended without a result"
    ),
    events.ModelPromoted(
        model="adult_income",
        run_id=RUN,
        version=RUN,
        previous=VERSION,
        revision=2,
        by="policy",
        sentence="The challenger's AUROC is 0.931, the champion's 0.927, on 6512 rows.",
    ),
    events.ModelNotPromoted(
        model="adult_income",
        run_id=RUN,
        version=RUN,
        by="policy",
        sentence="The challenger is not better than the champion.",
    ),
    events.ApprovalRequested(
        model="adult_income",
        run_id=RUN,
        version=RUN,
        sentence="It is the first version of adult_income.",
    ),
    SPEC_WAITS,
    events.ScoringCompleted(
        model="adult_income",
        run_id=RUN,
        version=VERSION,
        rows=3000,
        errors=2,
        output=f"predictions/adult_income/{RUN}/predictions.csv",
    ),
    events.LabelsRecorded(model="adult_income", run_id=RUN, rows=3000, matched=2998, unknown=2),
    events.AutomationNoted(
        model="adult_income",
        source="retrain",
        subject=DRIFT.incident_id,
        sentence="0 new labelled rows (500 needed); drift asks a person. Nothing to retrain on "
        "yet: drop labels into gs://inbox/adult_income/labels/.",
    ),
    EXPERIMENT_DUE,
    NOT_LOADED,
]


def golden(event: Event) -> Path:
    if event is NOT_LOADED:
        return GOLDEN / "VersionNotLoaded.json"
    if event is EXPERIMENT_DUE:
        return GOLDEN / "ExperimentDue.json"
    return GOLDEN / ("SpecApprovalRequested.json" if event is SPEC_WAITS else f"{event.type}.json")


def ports_of(cloud: MemoryCloud, **more: Any) -> Notify:
    given = {"lake": cloud.lake, "messenger": cloud.messenger, "clock": cloud.clock}
    return Notify(**{**given, "claim_seconds": 90, "context": "local", **more})


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_each_kind_has_its_golden_message(event: Event) -> None:
    """What people read changes only on purpose."""
    expected = json.loads(golden(event).read_text())
    assert message(event, WHERE) == expected


def test_every_event_that_notify_takes_has_a_golden_message() -> None:
    """No kind is formatted untested."""
    covered = {cls for event in EXAMPLES for cls in type(event).__mro__}
    assert set(DRAFTS) <= covered
    assert {cls for cls in events.TYPES.values() if issubclass(cls, MonitorAlert)} <= covered


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.type)
def test_messages_keep_to_slacks_limits_whatever_comes(event: Event) -> None:
    """Texts of any length and content: block sizes are kept and nothing can mention a channel."""
    nasty = "<!channel> & <https://evil.example|here> " * 400
    fields = {
        name: nasty
        for name in ("sentence", "message", "reason", "subject", "source")
        if hasattr(event, name)
    }
    made = message(replace(event, **fields), Where("lake", "local"))
    assert len(made["blocks"]) <= 50
    header, *others = made["blocks"]
    assert len(header["text"]["text"]) <= 150  # plain text: Slack reads no mentions there
    assert "<!channel>" not in json.dumps([made["text"], others])
    for block in others:
        text = block["text"] if block["type"] == "section" else block["elements"][0]
        assert 0 < len(text["text"]) <= 3000


def test_commands_name_the_context_unless_it_is_local() -> None:
    """A copied command speaks to the installation that the message came from."""
    assert "--context production" in json.dumps(message(DRIFT, WHERE))
    assert "--context" not in json.dumps(message(DRIFT, Where("lake", "local")))


def test_a_first_version_offers_nothing_to_go_back_to() -> None:
    """Nothing served before it, and nothing serves after a first version that was declined."""
    assert "previous version back" not in json.dumps(message(FIRST_PROMOTED, WHERE))
    declined = events.ModelNotPromoted(
        model="m", run_id=RUN, version=RUN, by="policy", sentence="Too weak.", serves=False
    )
    assert "Nothing serves yet" in json.dumps(message(declined, WHERE))


def test_an_event_is_posted_once() -> None:
    """Duplicates, also of the same event published twice with different times, post nothing."""
    cloud = memory_cloud(FixedClock())
    assert notify(DRIFT, ports_of(cloud)) == "posted"
    assert notify(replace(DRIFT), ports_of(cloud)) == "posted before"
    assert len(cloud.messenger.posted) == 1
    assert notify(replace(DRIFT, revision=1), ports_of(cloud)) == "posted"


def test_a_service_that_is_down_is_tried_again() -> None:
    """Retryable comes out, the claim runs out, the next delivery posts."""
    cloud = memory_cloud(clock := FixedClock())
    cloud.messenger.failing = True
    with pytest.raises(Retryable):
        notify(DRIFT, ports_of(cloud))
    cloud.messenger.failing = False
    with pytest.raises(InProgress):
        notify(DRIFT, ports_of(cloud))
    clock.advance(91)
    assert notify(DRIFT, ports_of(cloud)) == "posted"


def test_without_a_channel_nothing_is_posted_and_nothing_waits() -> None:
    """No webhook is a supported choice."""
    cloud = memory_cloud(FixedClock())
    assert notify(DRIFT, ports_of(cloud, messenger=None)) == "no channel is configured"
    assert cloud.messenger.posted == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_doubles_a_message_at_most(after: bool) -> None:
    """Kill notify at every port call: after the redelivery the message is there, twice only when
    the crash came between the post and its record, and then both are the same."""
    at = 0
    while True:
        fuse = Fuse(at, after=after)
        cloud = memory_cloud(clock := FixedClock())
        ports = ports_of(
            cloud,
            lake=fuse.wrap("lake", cloud.lake),
            messenger=fuse.wrap("messenger", cloud.messenger),
        )
        try:
            notify(DRIFT, ports)
        except Crash:
            clock.advance(91)
            notify(DRIFT, ports)
        if not fuse.blown:
            break
        posted = cloud.messenger.posted
        assert 1 <= len(posted) <= 2
        assert all(item == posted[0] for item in posted)
        at += 1
    assert at >= 3


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        text = json.dumps(message(example, WHERE), indent=1, ensure_ascii=False)
        golden(example).write_text(text + "\n")
