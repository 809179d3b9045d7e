"""What a labels file changes: which labels are late, corrected, repeated or outdated, and how many
predictions of the same scoring runs are still without one. Reads earlier files about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from shared.errors import ObjectNotFound
from shared.events import parse_time
from shared.labelled import LabelFile, label_objects, last_words, open_summary
from shared.ports import Bucket
from shared.predicted import find_batch_run
from shared.spec.model import Monitoring
from shared.usecases.label_places import Placed

COUNTED = ("late", "corrected", "repeated", "outdated", "missing")


def count(
    model: str,
    placed: Sequence[Placed],
    score_runs: Collection[str],
    hours: Collection[str],
    *,
    settings: Monitoring,
    own: str,
    arrived: datetime,
    lake: Bucket,
) -> dict[str, int]:
    """Of each of COUNTED. `own` is the object that this file's labels are stored under."""
    earlier = list(_earlier(model, score_runs, hours, own, lake))
    known = last_words(earlier, lake=lake)
    found = dict.fromkeys(COUNTED, 0)
    judged_after = settings.window + settings.label_delay
    labelled = {name for name, row in known.items() if row["run_id"] in set(score_runs)}
    for item in placed:
        if item.match.time is None:
            continue
        found["late"] += arrived - item.match.time > judged_after
        if item.match.run_id:
            labelled.add(item.prediction_id)
        word = known.get(item.prediction_id)
        if word is None:
            continue
        if parse_time(word["label_time"]) > (item.row.label_time or arrived):
            found["outdated"] += 1
        else:
            found["repeated" if word["label"] == item.row.label else "corrected"] += 1
    answered = 0
    for run_id in score_runs:
        run = find_batch_run(model, run_id, lake=lake)
        answered += run.rows - run.errors if run else 0
    found["missing"] = max(0, answered - len(labelled))
    return found


def _earlier(
    model: str, score_runs: Collection[str], hours: Collection[str], own: str, lake: Bucket
) -> Iterator[LabelFile]:
    for info in label_objects(model, lake=lake):
        if info.name == own:
            continue
        try:
            file = open_summary(model, info, lake=lake)
        except ObjectNotFound:
            continue  # put there by hand: nobody checked it
        if file.summary.is_about(score_runs, hours):
            yield file
