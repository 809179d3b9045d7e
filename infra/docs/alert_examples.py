"""One example of everything that people are told: for the docs, and for the tests that hold what is
read in Slack and in mails to what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared import events, paths
from shared.events import Event, MonitorAlert
from shared.telling import turns
from shared.telling.blocks import message, message_of
from shared.telling.digest import digest_message
from shared.telling.draft import Where
from shared.telling.drafts import draft_of
from shared.telling.kinds import kind_of, model_of

VERSION, RUN = "20260101T080000-aaaaaaaa", "20260105T090000-bbbbbbbb"
CONSOLE = "https://console.cloud.google.com/storage/browser/_details"
DOCS = "https://github.com/example/millrace/blob/main/infra/docs"
WHERE = Where("lake", "production", CONSOLE, DOCS)
FOLDER = "20260105T000000Z_20260106T000000Z"


def alert(
    cls: type[MonitorAlert], kind: str, asks: str, sentence: str, *facts: str, **more: Any
) -> MonitorAlert:
    return cls(
        **more,
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
    opened_by="adult_income-batch-drift-20260103T000000Z_20260104T000000Z",
    since="2026-01-03T00:00:00Z",
    effect=4.12,
    findings=[
        {
            "what": "age",
            "value": 0.412,
            "reference": 0.0,
            "threshold": 0.1,
            "change": "mean 38.6 -> 52.1",
        },
        {
            "what": "workclass",
            "value": 0.2,
            "reference": 0.0,
            "threshold": 0.1,
            "change": "share of '<Private>' 69.4% -> 41.0%",
        },
    ],
)
DRIFT_TOO = replace(
    DRIFT,
    model="loan_default",
    incident_id=f"loan_default-batch-drift-{FOLDER}",
    sentence="What loan_default sees is not what it was trained on: 3 of 11 columns drifted (27%). "
    "Its performance alert (since 2026-01-05) decides what is done about both.",
    asks="know",
    opened_by=f"loan_default-batch-drift-{FOLDER}",
    decided_by=f"loan_default-batch-performance-{FOLDER}",
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
CANARY_STEP = events.AutomationNoted(
    model="adult_income",
    source="canary",
    subject="canary-20260105T090000-0a1b2c3d-step-2",
    sentence=f"Canary 20260105T090000-0a1b2c3d of adult_income: {RUN} answers 25 % of the "
    "predictions, at random (step 2 of 5 %, 25 %, 100 %), and the champion "
    "20260101T090000-0a1b2c3d the rest. Step 1 of 2 (5 %): 512 rows are judged and nothing speaks "
    "against it. 4.3 % get another label than from the champion (gate 4.1 %, tolerated 9.1 %); no "
    "failure.",
)
DEAD_LETTER = events.AutomationNoted(
    model="adult_income",
    source="deadletter",
    subject="dead-letters/launch/dt=2026-01-05/7.json",
    sentence="A message for launch could not be delivered and is parked in "
    "dead-letters/launch/dt=2026-01-05/7.json. Once the cause is fixed: "
    "millrace dead-letters replay dead-letters/launch/dt=2026-01-05/7.json",
    asks="act now",
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
        opened_by=f"adult_income-batch-data_quality-{FOLDER}",
        since="2026-01-05T00:00:00Z",
        effect=6.0,
        findings=[
            {
                "what": "hours missing",
                "value": 0.3,
                "reference": 0.0,
                "threshold": 0.05,
                "change": "",
            }
        ],
    ),
    alert(
        events.PerformanceDropped,
        "performance",
        "act now",
        "adult_income is worse than on its holdout: AUROC 0.81 on 3000 labelled rows (at most 0.82 "
        "with 95 % confidence), holdout 0.927, limit 0.907.",
        "AUROC 0.81 on 3000 labelled rows (at most 0.82 with 95 % confidence)",
        "3000 labelled rows, 100% of the predictions, 700 positive",
        "drifts, too: age: PSI 0.412 (threshold 0.1), mean 38.6 -> 52.1",
        "what is decided here holds for its drift alert as well",
        opened_by=f"adult_income-batch-performance-{FOLDER}",
        since="2026-01-05T00:00:00Z",
        effect=5.85,
        findings=[
            {
                "what": "auroc",
                "value": 0.81,
                "reference": 0.927,
                "threshold": 0.907,
                "change": "3000 labelled rows",
            }
        ],
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
        incident=DRIFT.opened_by,
        kind="drift",
        answer="note",
    ),
    EXPERIMENT_DUE,
    CANARY_STEP,
    NOT_LOADED,
    DEAD_LETTER,
]


WORSE = turns.worse(
    draft_of(DRIFT, WHERE),
    "4.12 times the allowed distance from the reference, 2.1 when it was told last; new: workclass",
)
REMINDER = turns.reminder(
    draft_of(next(one for one in EXAMPLES if one.type == "PerformanceDropped"), WHERE),
    "2026-01-06 01:15 UTC",
)


def _entry(event: Event, word: str = "know", mute: dict[str, str] | None = None) -> dict[str, Any]:
    name = paths.digest_entry(model_of(event), kind_of(event), event.id)
    body = json.loads(events.encode(event, datetime(2026, 1, 6, tzinfo=UTC)))
    return {"name": name, "event": body, "word": word, "mute": mute}


_TOLD = [
    *(
        _entry(replace(one, run_id=f"20260105T{hour:02}0000-bbbbbbbb"))
        for one in EXAMPLES
        for hour in range(6, 12)
        if isinstance(one, events.ScoringCompleted)
    ),
    *(_entry(one) for one in EXAMPLES if isinstance(one, events.LabelsRecorded)),
    _entry(DRIFT, "same"),
    _entry(DRIFT_TOO, "left"),
    *(
        _entry(one, "muted", {"by": "ada@example.org", "until": "2026-01-12T08:00:00Z"})
        for one in EXAMPLES
        if isinstance(one, events.DataQualityBroken)
    ),
]
DIGEST_PLAN = {"slot": "2026-01-06", "entries": [one["name"] for one in _TOLD], "told": _TOLD}


def name_of(event: Event) -> str:
    """The example's name: its file's, in tests and docs."""
    return next((name for name, one in _NAMED if one is event), event.type)


def messages() -> dict[str, dict[str, Any]]:
    """Every kind of message by its name."""
    return {
        **{name_of(event): message(event, WHERE) for event in EXAMPLES},
        "Worse": message_of(WORSE),
        "Reminder": message_of(REMINDER),
        "Digest": digest_message(DIGEST_PLAN, WHERE),
    }


_NAMED = (
    ("ExperimentDue", EXPERIMENT_DUE),
    ("CanaryStep", CANARY_STEP),
    ("VersionNotLoaded", NOT_LOADED),
    ("SpecApprovalRequested", SPEC_WAITS),
    ("DeadLetter", DEAD_LETTER),
)
