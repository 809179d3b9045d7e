"""Score a file in batch: the original columns come back, in order, with what the champion says.

    input --sheet--> blocks --champion--> predictions.csv (in parts) -> summary.json -> latest.json
                                                                                     -> outcome

Rows out are rows in: a record that cannot be scored keeps its place and gets an `error`. Each step
is create-only or moves forward, so a retry after a crash between any two of them ends the same.
The scored file is UTF-8, comma separated, with a header, however the input was written.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

from shared import documents, paths, runs
from shared.errors import AliasMoved, NotServed, PreconditionFailed, Rejected
from shared.events import ScoringCompleted, parse_time
from shared.files import guards
from shared.files.headers import Served, Wanted, check_columns, scored_columns, scored_layouts
from shared.parts import Parts
from shared.ports import Bucket, Clock, Publisher
from shared.runs import RunRequest
from shared.served import learned_by
from shared.serving.package import LoadedModel, load
from shared.spec.model import Spec
from shared.spec.registry import read_generation
from shared.tabular.answers import written_names
from shared.tabular.reading.records import record_writer
from shared.tabular.reading.sheets import Block, Sheet, open_input

BLOCK_ROWS = 20_000
_FILE, _SUMMARY = "predictions.csv", "summary.json"
_TEXT = "text/csv; charset=utf-8"
_SWAPS = 5


@dataclass(slots=True)
class _Rows:
    """Rows of a block in file order, by column, and by position why one cannot be scored."""

    columns: list[list[str]]
    record: list[int]
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
    served = learned_by(request.model, version, lake=lake)
    champion = load_version(request.model, version, lake=lake, threads=threads)
    parts = Parts(
        lake,
        paths.predictions(request.model, request.run_id, _FILE),
        paths.predictions(request.model, request.run_id, "parts/"),
        content_type=_TEXT,
        if_generation=0,
    )
    try:
        with _open_sheet(
            request, spec, served, champion, lake=lake, block_rows=block_rows
        ) as sheet:
            _check_names(sheet, spec, served, champion)
            counts = _write(parts, sheet, champion, request.run_id)
    except Rejected:
        parts.discard()
        raise
    # There already: an attempt that died after this wrote the same bytes.
    with suppress(PreconditionFailed):
        parts.close()
    parts.discard()
    return counts


@contextmanager
def _open_sheet(
    request: RunRequest,
    spec: Spec,
    served: Served | None,
    champion: LoadedModel,
    *,
    lake: Bucket,
    block_rows: int,
) -> Iterator[Sheet]:
    """The rows to score, of one file or joined. Raises Rejected for what can never be scored."""
    if spec.sources or champion.package.sources:
        from shared.usecases.scoring_join import open_batch

        with open_batch(
            request, spec, served, champion, lake=lake, block_rows=block_rows
        ) as joined:
            yield joined
        return
    (ref,) = request.inputs
    head = lake.read(ref.object, generation=ref.generation, end=guards.HEAD_BYTES).data
    guards.check_head(head, ref.size_bytes, spec, "score", name=ref.object, served=served)
    names = scored_layouts(spec, served)
    expected = scored_columns(spec, served).expected
    with open_input(
        lake, ref, spec.source, names=names, expected=expected, block_rows=block_rows
    ) as sheet:
        yield sheet


def load_version(model: str, version: str, *, lake: Bucket, threads: int = 1) -> LoadedModel:
    """A stored version, ready to answer, whatever the manifest says now. Raises ObjectNotFound,
    PackageInvalid."""
    about = documents.require(lake, paths.version(model, version, "version.json"))

    def read(name: str) -> bytes:
        return lake.read(paths.package(model, version, name)).data

    return load(read, about["package"]["files"], threads=threads)


def _check_names(sheet: Sheet, spec: Spec, served: Served | None, champion: LoadedModel) -> None:
    """The package has the last word on what it needs. Raises HeaderMismatch."""
    known = scored_columns(spec, served).known if sheet.source.format == "csv" else None
    by = str(served or f"version {champion.version}, which serves")
    check_columns(sheet.names, Wanted(tuple(champion.schema.names), known, by), strict=True)


def _write(parts: Parts, sheet: Sheet, champion: LoadedModel, run_id: str) -> tuple[int, int]:
    """The scored file; rows and errors come back. Raises EmptyFile, UnreadableText."""
    rows = errors = 0
    parts.write(_csv([written_names(sheet.names, champion.task)]))
    for block in sheet.blocks:
        found = _rows(block, sheet.names)
        parts.write(_csv(_answers(found, sheet.names, champion, run_id)))
        rows += len(found.record)
        errors += len(found.errors)
    return rows, errors


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    record_writer(text).writerows(rows)
    return text.getvalue().encode()


def _rows(block: Block, names: Sequence[str]) -> _Rows:
    """All records of a block in order; a ragged one is padded or cut, and has its error."""
    columns = [block.cells[name].to_pylist() for name in names]
    record = block.record.tolist()
    if not block.ragged:
        return _Rows(columns, record)
    width = len(names)
    padded = [(*item.cells, *[""] * width)[:width] for item in block.ragged]
    reasons = {item.record: item.reason for item in block.ragged}
    record += [item.record for item in block.ragged]
    order = sorted(range(len(record)), key=record.__getitem__)
    longer = [
        [*column, *more] for column, more in zip(columns, zip(*padded, strict=True), strict=True)
    ]
    columns = [[column[place] for place in order] for column in longer]
    record = [record[place] for place in order]
    errors = {place: reasons[number] for place, number in enumerate(record) if number in reasons}
    return _Rows(columns, record, errors)


def _answers(
    rows: _Rows, names: Sequence[str], champion: LoadedModel, run_id: str
) -> Iterable[tuple[Any, ...]]:
    """The rows with their answers; every problem of a row is in its `error`."""
    by_name = dict(zip(names, rows.columns, strict=True))
    columns, problems = champion.schema.from_cells(by_name)
    reasons: dict[int, list[str]] = {}
    for problem in problems:
        position = cast(int, problem["row"])
        rule = f"{problem['column'] or 'row'} {problem['rule']} (it is {problem['value']!r})"
        reasons.setdefault(position, []).append(rule)
    for position, rules in reasons.items():
        rows.errors.setdefault(position, "; ".join(rules))
    found = champion.predict(columns)
    count = len(rows.record)
    scores = [repr(score) for score in found.score.tolist()]
    labels = list(found.label) if found.label is not None else None
    errors = [""] * count
    for position, reason in rows.errors.items():
        scores[position], errors[position] = "", reason
        if labels is not None:
            labels[position] = ""
    ids = [f"{run_id}-{number}" for number in rows.record]
    answers = [scores, *([labels] if labels is not None else []), [champion.version] * count]
    return zip(*rows.columns, *answers, ids, errors, strict=True)


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
