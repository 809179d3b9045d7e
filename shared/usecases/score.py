"""Score a file in batch: the original columns come back, in order, with what the champion says.

    input --records--> blocks --champion--> predictions.csv -> summary.json -> latest.json
                                                                            -> outcome

Rows out are rows in: a record that cannot be scored keeps its place and gets an `error`. Each step
is create-only or moves forward, so a retry after a crash between any two of them ends the same.
The scored file is UTF-8, comma separated, with a header, however the input was written. It is a
temporary file before it is uploaded, which on Cloud Run is memory: about the size of the input.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from shared import documents, guards, paths, runs
from shared.errors import AliasMoved, EmptyFile, HeaderMismatch, NotServed, PreconditionFailed
from shared.events import ScoringCompleted, parse_time
from shared.ports import Bucket, Clock, Publisher
from shared.runs import RunRequest
from shared.serving.package import LoadedModel, load
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.tabular.answers import written_names
from shared.tabular.records import column_names, read_records, record_writer

BLOCK_ROWS = 20_000
_FILE, _SUMMARY = "predictions.csv", "summary.json"
_TEXT = "text/csv; charset=utf-8"
_SWAPS = 5


@dataclass(frozen=True, slots=True)
class _Sheet:
    """An opened input: column names and the records below them."""

    names: Sequence[str]
    records: Iterator[list[str]]


@dataclass(slots=True)
class _Block:
    """Records of equal width, and by position why one of them cannot be scored."""

    rows: list[list[str]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def score_file(
    request: RunRequest,
    *,
    lake: Bucket,
    publisher: Publisher,
    clock: Clock,
    threads: int = 1,
    block_rows: int = BLOCK_ROWS,
) -> ScoringCompleted:
    """Score the run's input with the champion that launch resolved, in bounded memory.

    Raises Rejected (EmptyFile, BinaryFile, UnreadableText, HeaderMismatch) for a file that can
    never be scored, NotServed when launch found no champion.
    """
    model, run_id = request.model, request.run_id
    version = runs.read_launch(model, run_id, lake=lake)["champion"]
    if version is None:
        raise NotServed(f"{model} has no champion; launch should have let {run_id} wait")
    summary = documents.read(lake, paths.predictions(model, run_id, _SUMMARY)).body
    if not summary:
        started = documents.timestamp(clock.now())
        rows, errors = _score(request, version, lake=lake, threads=threads, block_rows=block_rows)
        summary = {
            "run_id": run_id,
            "version": version,
            "rows": rows,
            "errors": errors,
            "started": started,
            "finished": documents.timestamp(clock.now()),
            "channel": "batch",
            "object": paths.predictions(model, run_id, _FILE),
        }
        documents.create(lake, paths.predictions(model, run_id, _SUMMARY), summary)
    _point_latest(model, summary, lake)
    event = ScoringCompleted(
        model=model,
        run_id=run_id,
        version=version,
        rows=summary["rows"],
        errors=summary["errors"],
        output=summary["object"],
    )
    runs.finish(event, lake=lake, publisher=publisher, clock=clock)
    return event


def _score(
    request: RunRequest, version: str, *, lake: Bucket, threads: int, block_rows: int
) -> tuple[int, int]:
    """Write predictions.csv once; rows and errors come back."""
    spec = read_generation(request.model, request.spec_generation, lake=lake)
    champion = load_version(request.model, version, lake=lake, threads=threads)
    (source,) = request.inputs
    head = lake.read(source.object, generation=source.generation, end=guards.HEAD_BYTES).data
    guards.check_head(head, source.size_bytes, spec, "score")
    name = paths.predictions(request.model, request.run_id, _FILE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _FILE
        with lake.open_reader(source.object, generation=source.generation) as stream:
            sheet = _open_sheet(read_records(stream, spec.source), spec, champion)
            counts = _write(path, _blocks(sheet, block_rows), sheet.names, champion, request.run_id)
        # There already: an attempt that died after this wrote the same bytes.
        with suppress(PreconditionFailed):
            lake.upload(name, path, if_generation=0, content_type=_TEXT)
    return counts


def load_version(model: str, version: str, *, lake: Bucket, threads: int = 1) -> LoadedModel:
    """A stored version, ready to answer, whatever the manifest says now. Raises ObjectNotFound,
    PackageInvalid."""
    about = documents.require(lake, paths.version(model, version, "version.json"))

    def read(name: str) -> bytes:
        return lake.read(paths.package(model, version, name)).data

    return load(read, about["package"]["files"], threads=threads)


def _write(
    path: Path, blocks: Iterator[_Block], names: Sequence[str], champion: LoadedModel, run_id: str
) -> tuple[int, int]:
    """The scored file; rows and errors come back. Raises EmptyFile."""
    rows = errors = 0
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = record_writer(text)
        writer.writerow(written_names(names, champion.task))
        for block in blocks:
            writer.writerows(_answers(block, names, champion, run_id, rows))
            rows += len(block.rows)
            errors += len(block.errors)
    if not rows:
        raise EmptyFile("the file has a header and no rows")
    return rows, errors


def _open_sheet(records: Iterator[list[str]], spec: Spec, champion: LoadedModel) -> _Sheet:
    """Column names from the header or the spec. Raises EmptyFile, HeaderMismatch."""
    first = next(records, None)
    if first is None:
        raise EmptyFile("the file holds only blank lines")
    if spec.source.header:
        names = column_names(first)
    else:
        # Both widths may fit the spec; the file's own says whether the target is in it.
        without = spec.file_columns(with_target=False)
        names = without if len(first) == len(without) else spec.file_columns(with_target=True)
        records = chain([first], records)
    missing = [name for name in champion.schema.names if name not in names]
    extra = [name for name in names if spec.columns and name not in spec.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    parts = [
        f"{what}: {', '.join(found)}"
        for what, found in (
            (f"missing for version {champion.version}", missing),
            ("not in the spec", extra),
            ("more than once", twice),
        )
        if found
    ]
    if parts:
        raise HeaderMismatch(f"the columns do not fit ({'; '.join(parts)})")
    return _Sheet(names, records)


def _blocks(sheet: _Sheet, block_rows: int) -> Iterator[_Block]:
    """Records in blocks; one of another width is padded or cut, and has its error."""
    width = len(sheet.names)
    while rows := list(islice(sheet.records, block_rows)):
        block = _Block(rows)
        for position, row in enumerate(rows):
            if len(row) != width:
                block.errors[position] = f"has {len(row)} fields, expected {width}"
                rows[position] = [*row, *[""] * width][:width]
        yield block


def _answers(
    block: _Block, names: Sequence[str], champion: LoadedModel, run_id: str, done: int
) -> Iterable[tuple[Any, ...]]:
    """The rows of the block with their answers; every problem of a row is in its `error`."""
    cells = list(zip(*block.rows, strict=True))
    by_name = dict(zip(names, cells, strict=True))
    columns, problems = champion.schema.from_cells(by_name)
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        position = cast(int, problem["row"])
        rule = f"{problem['column']} {problem['rule']} (it is {problem['value']!r})"
        reasons.setdefault(position, []).append(rule)
    for position, rules in reasons.items():
        block.errors.setdefault(position, "; ".join(rules))
    found = champion.predict(columns)
    count = len(block.rows)
    scores = [repr(score) for score in found.score.tolist()]
    labels = list(found.label) if found.label is not None else None
    errors = [""] * count
    for position, reason in block.errors.items():
        scores[position], errors[position] = "", reason
        if labels is not None:
            labels[position] = ""
    ids = [f"{run_id}-{number}" for number in range(done + 1, done + count + 1)]
    answers = [scores, *([labels] if labels is not None else []), [champion.version] * count]
    return zip(*cells, *answers, ids, errors, strict=True)


def _point_latest(model: str, summary: dict[str, Any], lake: Bucket) -> None:
    """Let latest.json name this run, unless a run that finished later is there already."""
    name = paths.latest_predictions(model)
    for _ in range(_SWAPS):
        found = documents.read(lake, name)
        if found.exists:
            there = parse_time(found.body["finished"])
            if there >= parse_time(summary["finished"]):
                return
        try:
            documents.swap(lake, name, summary, generation=found.generation)
        except PreconditionFailed:
            continue
        return
    raise AliasMoved(f"{name} changes faster than it can be written")
