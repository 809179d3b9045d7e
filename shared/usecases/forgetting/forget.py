"""Forget a person: find their rows, empty them place by place, prove it.

    search (reads) -> report begun -> datasets, predictions, quarantine, labels, refusals, features
                   -> label files -> inbox -> prediction log -> training and scoring files -> report

What others are found by goes last: whoever dies on the way runs it again, and finds what is left.
Each object is swapped for the generation that was read, and says in its metadata how many rows of
it were emptied under which id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from shared import lane
from shared.errors import InProgress
from shared.ports import Bucket, Clock, VersionedBucket
from shared.usecases.forgetting import places, report
from shared.usecases.forgetting.rewriting import MARK
from shared.usecases.forgetting.searching import requests_of, search
from shared.usecases.forgetting.subject import Subject
from shared.usecases.forgetting.work import Forgetting

# Where rows may have been emptied, with the model's part of the name or without.
PLACES = (
    *("datasets/{}/", "predictions/{}/", "quarantine/{}/", "labels/{}/", "inputs/{}/"),
    "inference-log/",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """By whom and why."""

    by: str
    reason: str


def forget(
    subject: Subject,
    asked: Asked,
    *,
    lake: Bucket,
    inbox: VersionedBucket,
    clock: Clock,
    dry: bool = False,
) -> dict[str, Any]:
    """The finished report (of a dry run: what it would say). Raises InProgress while runs of the
    model are at work, or where one began meanwhile: it may have read what was not yet emptied.
    Raises Retryable where an object changed. All want it run again."""
    _check_quiet(subject.model, lake)
    known = _runs(subject.model, lake)
    text = subject.key or min(subject.ids)
    requests = list(requests_of(subject.model, lake))
    unread = search(subject, requests, lake=lake)
    facts = {
        "model": subject.model,
        "by_column": subject.column or "prediction_id",
        "by": asked.by,
        "reason": asked.reason,
    }
    body: dict[str, Any] = {"id": "dry-run", "state": "dry run", **facts}
    body |= {"inbox_generations": [], "deleted": []}
    if not dry:
        body = report.begin(facts, text, lake=lake, clock=clock)
    work = Forgetting(subject, lake, inbox, clock, body, requests, dry)
    work.remains += [
        f"{_folder(name)}: a file there cannot be read; look yourself" for name in unread
    ]
    for place in places.IN_ORDER:
        place(work)
    if not dry:
        _check_quiet(subject.model, lake)
        if began := sorted(_runs(subject.model, lake) - known):
            raise InProgress(f"{', '.join(began)} began meanwhile; run this again")
        work.emptied = _marked(work)
    body["erased"] = work.places()
    body["found"] = bool(work.emptied or body["inbox_generations"] or body["deleted"])
    body["remains"] = sorted({*work.remains, *ALWAYS})
    if not dry:
        body["state"] = "done"
        report.keep(body, lake=lake)
    return body


# What no command can do.
ALWAYS = (
    "Models that were fitted on the rows: shaped by them until one without them is promoted.",
    "Google's soft delete keeps what was replaced for buckets.*.soft_delete_days (7).",
    "Copies that were made of the buckets, and files that people took home.",
    "Messages in Slack and mails: one about a refused file may quote a cell.",
    "Cards, reports and MLflow's artifacts are aggregates; levels of categories are named in them.",
)


def _check_quiet(model: str, lake: Bucket) -> None:
    found, _ = lane.read_lane(model, lake=lake)
    if found.slots or found.waiting or any(True for _ in lake.list(f"waiting/{model}/")):
        at_work = ", ".join(sorted(found.run_ids)) or "a file that waits for its spec"
        raise InProgress(f"{model} is at work ({at_work}); run this again once that has ended")


def _runs(model: str, lake: Bucket) -> set[str]:
    return {folder.split("/")[2] for folder in lake.folders(f"runs/{model}/")}


def _marked(work: Forgetting) -> Counter[str]:
    """All objects that say they were emptied under this id, by whichever try."""
    found: Counter[str] = Counter()
    for prefix in PLACES:
        for info in work.lake.list(prefix.format(work.subject.model)):
            if rows := int(info.metadata.get(MARK + work.id, 0)):
                found[info.name] = rows
    return found


def _folder(name: str) -> str:
    return name.rpartition("/")[0] + "/"
