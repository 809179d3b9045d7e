"""Where somebody's rows are: every input of every run is read once, and the prediction log.

Finds; changes nothing. Records are numbered by the reader that training and scoring use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from shared import paths, runs
from shared.errors import ObjectNotFound, Rejected
from shared.ports import Bucket, ObjectInfo
from shared.predicted import BATCH_ID, logged_days, read_log_day
from shared.runs import InputRef, RunRequest
from shared.spec.model import Source, Spec
from shared.spec.parts import JoinedSource
from shared.spec.registry import read_generation
from shared.tabular.reading.sheets import open_input
from shared.usecases.forgetting.subject import Subject

_AS_WRITTEN = Source()


def requests_of(model: str, lake: Bucket) -> Iterator[RunRequest]:
    """What was asked of the model, oldest first."""
    for folder in lake.folders(paths.run(model, "").rstrip("/") + "/"):
        try:
            yield runs.read_request(model, folder.split("/")[2], lake=lake)
        except ObjectNotFound:
            continue  # a run without a question never read anything


def search(subject: Subject, requests: Iterable[RunRequest], *, lake: Bucket) -> list[str]:
    """Fill in records and predictions; inputs that cannot be read come back."""
    unread = []
    for prediction_id in list(subject.ids):
        match = BATCH_ID.fullmatch(prediction_id)
        if match:
            subject.found(match[1], "", int(match[2]))
    for request in requests:
        for item in request.inputs:
            unread += _search_input(subject, request, item, lake)
    for run_id, role in list(subject.records):
        if not role:  # of a run that trains these are no predictions, and nothing has such an id
            subject.ids |= {f"{run_id}-{record}" for record in subject.at(run_id)}
    if subject.key:
        _search_log(subject, lake)
    return unread


def _search_input(subject: Subject, request: RunRequest, item: InputRef, lake: Bucket) -> list[str]:
    try:
        info = lake.stat(item.object)
    except ObjectNotFound:
        return []  # past its retention
    spec = read_generation(request.model, request.spec_generation, lake=lake)
    role = "" if item.role == spec.primary else item.role
    try:
        places = matching(
            subject, info, written(subject, spec, request.kind, item.role), bucket=lake
        )
    except Rejected:
        return [item.object]
    # What was mended, or is a label, has places of its own.
    if role != runs.CORRECTED and request.kind != "label":
        for record in places:
            subject.found(request.run_id, role, record)
    return []


@dataclass(frozen=True, slots=True)
class Written:
    """How a file is written, and what the key is called there. `names` where it has no header."""

    source: Source
    names: Sequence[Sequence[str]] | None
    column: str


def written(subject: Subject, spec: Spec, kind: str, role: str) -> Written:
    """As the spec of its run says; a joined source may have another word for the key."""
    if role == runs.CORRECTED:
        return Written(_AS_WRITTEN, None, subject.column)
    if kind == "label":
        return Written(_AS_WRITTEN, None, spec.labels.key or subject.column)
    source, main = spec.sources.get(role, spec.main_source), spec.sources.get(spec.primary)
    column = subject.column
    if main is not None and isinstance(source, JoinedSource) and column == main.key:
        column = source.key or column
    names = None
    if not source.header:
        names = [spec.file_columns(with_target=True), spec.file_columns(with_target=False)]
    return Written(source, names, column)


def matching(subject: Subject, info: ObjectInfo, how: Written, *, bucket: Bucket) -> list[int]:
    """Places of their rows in a file. Raises Rejected where it cannot be read."""
    found: list[int] = []
    checks: list[tuple[str, Callable[[str], bool]]] = [
        (how.column, subject.is_key),
        ("prediction_id", subject.ids.__contains__),
    ]
    with open_input(bucket, InputRef.of(info, ""), how.source, names=how.names) as sheet:
        for block in sheet.blocks:
            mask = np.zeros(len(block), bool)
            for name, owned in checks:
                if name in block.cells:
                    encoded = block.cells[name].dictionary_encode()
                    wanted = [owned(text) for text in encoded.dictionary.to_pylist()]
                    mask |= np.array(wanted, bool)[encoded.indices.to_numpy()]
            found += block.record[mask].tolist()
            found += [item.record for item in block.ragged if subject.is_in(item.cells)]
    return found


def _search_log(subject: Subject, lake: Bucket) -> None:
    """Predictions that were asked with the key."""
    for day in sorted(logged_days(lake=lake)):
        for line in read_log_day(day, lake=lake, about=subject.sign):
            asked = line.get("instance") or {}
            if line["model"] == subject.model and subject.is_key(asked.get(subject.column)):
                subject.ids.add(str(line["prediction_id"]))
