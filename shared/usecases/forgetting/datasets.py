"""Rows that versions were made from: they go, and the record of the stage says so.

good rows + quarantined + forgotten = rows of the file. The record holds the SHA-256 of the file,
which whoever continues these rows checks: file first, record second, and a run that died in between
is put right by the next.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections import Counter
from typing import Any

from shared import documents, paths
from shared.documents import Document
from shared.errors import ObjectNotFound
from shared.ports import Bucket
from shared.runs import RunRequest
from shared.tabular.reading.records import allow_long_fields
from shared.usecases.forgetting.emptying import dataset_change
from shared.usecases.forgetting.rewriting import MARK
from shared.usecases.forgetting.work import Forgetting, by_id

_SIDE = 3


def empty_dataset(work: Forgetting, request: RunRequest) -> None:
    """The rows of one training, and what only its own steps needed."""
    model, run_id = request.model, request.run_id
    name = paths.run_stage(model, run_id, "prepared.json")
    found = documents.read(work.lake, name)
    if not found.exists:
        return
    try:
        info = work.lake.stat(found.body["dataset"])
    except ObjectNotFound:
        return  # past its retention
    split, marks = found.body.get("split", {}), found.body.get("marks", ())
    group = split.get("column") or "" if "group" in marks else ""
    records = work.subject.at(_base(work, request))
    change = dataset_change(work.subject, info.name, records, marks, group)
    emptied = work.rewrite(info, change)
    if work.dry or not (emptied or any(key.startswith(MARK) for key in info.metadata)):
        return
    documents.change(work.lake, name, lambda record: _settled(record, info.name, work.lake))
    for rest in work.lake.list(paths.dataset(model, run_id)):
        # Answers for each row in order, and what a killed attempt left.
        if rest.name.endswith(".npy") or "/parts/" in rest.name:
            work.delete(rest)


def _base(work: Forgetting, request: RunRequest) -> str:
    """The run whose file the rows are of that a chain of retrainings continues."""
    known, at, seen = by_id(work.requests), request, {request.run_id}
    while at.retrain is not None and at.retrain.champion in known:
        at = known[at.retrain.champion]
        if at.run_id in seen:
            break
        seen.add(at.run_id)
    return at.run_id


def _settled(record: Document, name: str, lake: Bucket) -> dict[str, Any] | None:
    """The record as its file is now; None where it says so already."""
    info = lake.stat(name)
    with lake.open_reader(name, generation=info.generation) as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    if record.body["sha256"] == sha256:
        return None
    allow_long_fields()
    with (
        lake.open_reader(name, generation=info.generation) as stream,
        gzip.open(stream, "rt", encoding="utf-8", newline="") as unpacked,
    ):
        rows = csv.reader(unpacked)
        next(rows)
        sides = Counter(row[_SIDE] for row in rows)
    facts = dict(record.body["facts"])
    facts |= {side: sides[side] for side in ("fit", "holdout", "reserved") if side in facts}
    gone = sum(int(value) for key, value in info.metadata.items() if key.startswith(MARK))
    facts |= {"rows": sides.total(), "forgotten": gone}
    return {**record.body, "sha256": sha256, "facts": facts}
