"""Replay: quarantined rows come back mended, and a new run is made of old and new rows.

    header begins with quarantine_run -> that run's request -> its inputs + this file -> new run

The file is `quarantine/<model>/<run>/rows.csv` as a person has corrected it. Which records it mends
is the job's business; here only what first bytes tell: which run, and that the columns fit.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import Any

from shared import runs
from shared.documents import timestamp
from shared.errors import BadReplay, EmptyFile, ObjectNotFound
from shared.files import dialect
from shared.files.headers import check_columns, wanted_columns
from shared.ports import Blob, Bucket
from shared.routes import DataUpload
from shared.runs import CORRECTED, InputRef, RunRequest
from shared.spec.model import RegisteredSpec, Source, Spec
from shared.uploads import source_of
from shared.usecases.starting import (
    Intake,
    ask,
    content_of,
    copy_input,
    end_as_duplicate,
    end_as_superseded,
    is_forced,
    question,
    same_content,
)

MARK = "quarantine_run"
NEEDED = (MARK, "quarantine_source", "quarantine_record")
ADDED = (*NEEDED, "quarantine_reasons")
RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Corrected:
    """What the first bytes of a corrected file say: the run its rows come from, its own columns
    without those that quarantine added, and which files the rows come from."""

    run_id: str
    columns: tuple[str, ...]
    sources: tuple[str, ...]


def replay(
    destination: DataUpload, head: Blob, run_id: str, registered: RegisteredSpec, ports: Intake
) -> dict[str, Any]:
    """The run that learns from the original files with these rows mended. Raises Rejected."""
    model, upload, lake = destination.model, head.info, ports.lake
    corrected, original = check(
        head.data, upload.size_bytes, destination.file_name, model, registered.spec, lake=lake
    )
    contents = [f"replays:{corrected.run_id}", content_of(upload)]
    key = question(model, "train", contents, registered.generation, lake)
    first = None if is_forced(upload) else same_content(key, model, run_id, ports)
    if first is not None:
        return end_as_duplicate(model, run_id, first, source_of(upload), ports)
    copy = copy_input(destination, upload, run_id, lake)
    if copy is None:
        return end_as_superseded(model, run_id, upload, ports)
    request = RunRequest(
        model=model,
        run_id=run_id,
        kind="train",
        requested_at=timestamp(ports.clock.now()),
        requested_by="replay",
        spec_generation=registered.generation,
        content_key=key,
        size=registered.spec.size,
        inputs=(*original.inputs, InputRef.of(copy, source_of(upload), CORRECTED)),
        replays=original.run_id,
    )
    return ask(request, ports)


def check(
    head: bytes, size_bytes: int, name: str, model: str, spec: Spec, *, lake: Bucket
) -> tuple[Corrected, RunRequest]:
    """The corrected file and the run it belongs to. `head` is up to HEAD_BYTES of the file as it
    is stored. Raises Rejected."""
    corrected = read_corrected(head, size_bytes, name)
    original = original_of(model, corrected.run_id, lake=lake)
    _check_sources(original, spec)
    _check_columns(corrected, original, spec)
    return corrected, original


# --- first bytes ---------------------------------------------------------------------------------


def is_replay(head: Blob) -> bool:
    """True when the header begins with `quarantine_run`. Raises UnreadableText."""
    content, _ = dialect.unzip_head(head.data, head.info.size_bytes)
    start = content.removeprefix(dialect.BOM).removeprefix(b'"')
    return re.match(rb"quarantine_run\s*([\"',;|\t\r\n]|$)", start) is not None


def read_corrected(head: bytes, size_bytes: int, name: str) -> Corrected:
    """Raises BadReplay, EmptyFile, UnreadableText."""
    content, whole = dialect.unzip_head(head, size_bytes)
    source = dialect.settle(Source(), content, name, ADDED)
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    text = io.StringIO(content.decode(encoding, errors="replace"), newline="")
    try:
        rows = [row for row in csv.reader(text, delimiter=source.delimiter) if any(row)]
    except csv.Error as error:
        raise BadReplay(f"the corrected rows are not CSV: {error}") from error
    header = tuple(cell.strip() for cell in rows[0]) if rows else ()
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise BadReplay(
            f"corrected rows need the columns {', '.join(NEEDED)}, which say what each row mends; "
            f"missing: {', '.join(missing)}. Export them anew and leave these columns as they are"
        )
    if header[0] != MARK:
        raise BadReplay(
            f"the first column must be {MARK}, but it is {header[0]!r}; leave the first columns as "
            "they were exported (pandas: to_csv(..., index=False))"
        )
    records = rows[1:]
    if not whole and len(records) > 1:
        records = records[:-1]  # cut off in the middle
    if not records:
        raise EmptyFile("the file of corrected rows has a header and no rows")
    origin = header.index("quarantine_source")
    return Corrected(
        run_id=_one_run(records),
        columns=tuple(column for column in header if column not in ADDED),
        sources=tuple(dict.fromkeys(row[origin] for row in records if len(row) > origin)),
    )


def _one_run(records: list[list[str]]) -> str:
    """The run that all these rows name."""
    named = list(dict.fromkeys(row[0] for row in records))
    if len(named) > 1:
        raise BadReplay(
            f"the file has rows of several runs ({', '.join(map(repr, named[:3]))}); replay the "
            f"rows of one run at a time"
        )
    if not RUN_ID.fullmatch(named[0]):
        raise BadReplay(
            f"{named[0]!r} in the column {MARK} is no run id; leave that column as it was exported"
        )
    return named[0]


# --- the run behind it ---------------------------------------------------------------------------


def original_of(model: str, run_id: str, *, lake: Bucket) -> RunRequest:
    """The training whose rows were mended. Raises BadReplay."""
    try:
        original = runs.read_request(model, run_id, lake=lake)
    except ObjectNotFound as error:
        raise BadReplay(_no_such_run(model, run_id, lake)) from error
    if original.kind != "train":
        raise BadReplay(
            f"{run_id} is a {original.kind} run; only the rows that a training put in quarantine "
            f"can be replayed"
        )
    if not original.inputs:
        raise BadReplay(f"{run_id} learned from no files of its own; there is nothing to replay")
    return original


def _no_such_run(model: str, run_id: str, lake: Bucket) -> str:
    others = [folder.split("/")[1] for folder in lake.folders("runs/")]
    for other in others:
        if other != model and runs.has_request(other, run_id, lake=lake):
            return (
                f"run {run_id} is one of {other}, not of {model}; drop the corrected rows into "
                f"{other}/train/"
            )
    return (
        f"{model} has no run {run_id}; leave the column {MARK} as it was exported, or drop the "
        f"rows without the columns {', '.join(ADDED)} as a file of their own"
    )


def _check_sources(original: RunRequest, spec: Spec) -> None:
    """The files of the original run must be those that the spec asks for now: a training goes on
    without a source only where the spec lets it. Raises BadReplay."""
    roles = {item.role for item in original.inputs}
    needed = [
        name for name, item in spec.sources.items() if item.primary or item.on_timeout != "without"
    ]
    missing = [name for name in needed or [""] if name not in roles]
    if missing:
        names = ", ".join(missing) or "a single file"
        raise BadReplay(
            f"the sources of {original.model} were changed since run {original.run_id}: a training "
            f"needs {names} now, which that run did not have. Drop all files again, with these "
            f"rows mended in them"
        )


def _check_columns(corrected: Corrected, original: RunRequest, spec: Spec) -> None:
    """Without what quarantine added the header must be that of the files the rows come from.
    Raises HeaderMismatch."""
    roles = {item.source: item.role for item in original.inputs}
    of = {roles.get(source, "") for source in corrected.sources}
    role = of.pop() if len(of) == 1 else ""
    wanted = wanted_columns(spec, "train", role)
    hint = f", besides {', '.join(ADDED)}"
    check_columns(corrected.columns, wanted, strict=True, hint=hint)
