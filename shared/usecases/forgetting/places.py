"""Every place of the lake and the inbox that may hold somebody's row, in the order of emptying."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from shared import documents, paths, runs
from shared.errors import Rejected
from shared.manifests import Manifest, read_manifest
from shared.ports import ObjectInfo
from shared.runs import InputRef, RunRequest
from shared.spec.registry import find_spec, read_generation
from shared.usecases.forgetting import emptying, report
from shared.usecases.forgetting.datasets import empty_dataset
from shared.usecases.forgetting.quoted import SAID, without
from shared.usecases.forgetting.searching import Written, matching, written
from shared.usecases.forgetting.subject import pattern_of
from shared.usecases.forgetting.work import Forgetting

# What a run was refused for may quote a cell.
_ENDS = ("/outcome.json", "/events/rejected.json", "/events/failed.json")


def datasets(work: Forgetting) -> None:
    for request in work.requests:
        if request.kind == "train":
            empty_dataset(work, request)


def predictions(work: Forgetting) -> None:
    """Scored files; what a killed task left of one that is complete goes altogether."""
    subject = work.subject
    for info in work.lake.list(f"predictions/{subject.model}/"):
        parts = info.name.split("/")
        if len(parts) == 4 and parts[3] == "predictions.csv":
            work.rewrite(info, emptying.scored_csv_change(subject, info.name))
        elif len(parts) == 4 and parts[3] == "predictions.jsonl":
            work.rewrite(info, emptying.scored_lines_change(subject))
        elif info.name.endswith(".parquet"):
            work.rewrite(info, emptying.scored_parquet_change(subject))
        elif len(parts) == 5 and _is_over(work, parts[2]):
            work.delete(info)


def quarantine(work: Forgetting) -> None:
    subject = work.subject
    for info in work.lake.list(f"quarantine/{subject.model}/"):
        _, _, run_id, file, *rest = info.name.split("/")
        if rest:
            if _is_over(work, run_id):
                work.delete(info)
        elif file == "labels.csv":
            work.rewrite(info, emptying.label_quarantine_change(subject, info.name))
        elif file == "summary.json":
            everywhere = [places for (run, _), places in subject.records.items() if run == run_id]
            step = emptying.summary_step(subject, set().union(*everywhere))
            _change(work, info, step)
        elif file.startswith("rows"):
            role = file.removeprefix("rows").removeprefix("-").removesuffix(".csv")
            records = subject.at(run_id, role)
            work.rewrite(info, emptying.quarantine_change(subject, info.name, records))


def labels(work: Forgetting) -> None:
    for info in work.lake.list(paths.labels(work.subject.model)):
        if info.name.endswith(".jsonl"):
            work.rewrite(info, emptying.labels_change(work.subject, work.id))


def refusals(work: Forgetting) -> None:
    """Reasons that quote a cell, messages that were parked."""
    pattern = pattern_of(work.subject.texts)
    if pattern is None:
        work.remains.append(
            "rejections/, dead-letters/ and reasons in runs/: the key is too short to be looked "
            "for as a word in them"
        )
        return
    for prefix in (f"rejections/{work.subject.model}/", "rejections/_messages/", "dead-letters/"):
        for info in work.lake.list(prefix):
            _change(work, info, lambda body: without(body, pattern))
    for info in work.lake.list(f"runs/{work.subject.model}/"):
        if info.name.endswith(_ENDS):
            _change(work, info, lambda body: without(body, pattern, only=SAID))


def features(work: Forgetting) -> None:
    """What joined sources say about the key. A package promises the bytes of its snapshot, so of a
    version that may serve it stays."""
    subject, manifest = work.subject, read_manifest(work.subject.model, lake=work.lake)
    for info in work.lake.list(f"features/{subject.model}/"):
        if not subject.key or not _has_key(work, info):
            continue
        version = info.name.split("/")[2]
        if _may_serve(version, manifest):
            work.remains.append(
                f"features/{subject.model}/{version}/: this version may serve and looks keys up "
                "there; drop the files without the person, promote, and forget again"
            )
        else:
            work.delete(info)


def _may_serve(version: str, manifest: Manifest | None) -> bool:
    """Whether a version serves, is where a rollback leads, a second one, or younger than the
    champion: such a one may wait for a person."""
    if manifest is None or version > manifest.version:
        return True
    named = {manifest.version, manifest.previous, manifest.replaced}
    return version in named or (manifest.beside is not None and manifest.beside.version == version)


def label_files(work: Forgetting) -> None:
    _inputs(work, lambda request: request.kind == "label")


def drops(work: Forgetting) -> None:
    """Drops in the inbox, whichever generation: an emptied one would start a run, so they go. What
    is left of the accepted ones is in `inputs/`."""
    subject, spec = work.subject, find_spec(work.subject.model, lake=work.lake)
    if spec is None:
        return
    sources = {
        item.source
        for request in work.requests
        for item in request.inputs
        if subject.at(request.run_id, "" if item.role == spec.spec.primary else item.role)
    }
    for info in list(work.inbox.generations(f"{subject.model}/")):
        name, parts = f"gs://{info.bucket}/{info.name}#{info.generation}", info.name.split("/")
        role = parts[3].partition(".")[0] if len(parts) == 4 else ""
        kind = "label" if parts[1] == "labels" else "train"
        how = written(subject, spec.spec, kind, role)
        if name in sources or _holds(work, info, how):
            _delete_drop(work, info)


def _holds(work: Forgetting, info: ObjectInfo, how: Written) -> bool:
    try:
        return bool(matching(work.subject, info, how, bucket=work.inbox))
    except Rejected:
        return _mentions(work, info)


def _mentions(work: Forgetting, info: ObjectInfo) -> bool:
    """Of a file that nobody can read: whether the key stands in its bytes."""
    pattern = pattern_of(work.subject.texts)
    if pattern is None:
        work.remains.append(
            f"inbox, generation {info.generation}: it cannot be read; look yourself"
        )
        return False
    with work.inbox.open_reader(info.name, generation=info.generation) as stream:
        before = ""
        while piece := stream.read(1 << 20):
            text = before + piece.decode("utf-8", "replace")
            if pattern.search(text):
                return True
            before = text[-1000:]
    return False


def _delete_drop(work: Forgetting, info: ObjectInfo) -> None:
    if info.generation not in work.report["inbox_generations"]:
        work.report["inbox_generations"].append(info.generation)
        if not work.dry:
            report.keep(work.report, lake=work.lake)
    if not work.dry:
        work.inbox.delete_generation(info.name, info.generation)


def log(work: Forgetting) -> None:
    for info in work.lake.list("inference-log/"):
        work.rewrite(info, emptying.log_change(work.subject, info.name, work.id))


def files(work: Forgetting) -> None:
    _inputs(work, lambda request: request.kind != "label")


def _inputs(work: Forgetting, wanted: Callable[[RunRequest], bool]) -> None:
    done: set[str] = set()
    for request in filter(wanted, work.requests):
        for item in request.inputs:
            if item.object not in done:
                done.add(item.object)
                _input(work, request, item)


def _input(work: Forgetting, request: RunRequest, item: InputRef) -> None:
    subject, found = work.subject, next(iter(work.lake.list(item.object)), None)
    if found is None or found.name != item.object:
        return
    spec = read_generation(request.model, request.spec_generation, lake=work.lake)
    role = "" if item.role == spec.primary else item.role
    how = written(subject, spec, request.kind, item.role)
    try:
        records = set(matching(subject, found, how, bucket=work.lake))
    except Rejected:
        return  # the search told
    if request.kind != "label" and item.role != runs.CORRECTED:
        records |= subject.at(request.run_id, role)
    if not records:
        return
    form = _form(work, found, how)
    if form == "json":
        work.delete(found)
        return
    change = emptying.input_change(how.source, found.name, records, form=form, column=how.column)
    work.rewrite(found, change)


def _form(work: Forgetting, info: ObjectInfo, how: Written) -> str:
    from shared.files import dialect
    from shared.files.content import PARQUET

    head = work.lake.read(info.name, generation=info.generation, end=dialect.HEAD_BYTES).data
    if head.startswith(PARQUET):
        return "parquet"
    with work.lake.open_reader(info.name, generation=info.generation) as stream:
        unpacked = dialect.unzip(stream).read(dialect.HEAD_BYTES)
    return str(dialect.settle(how.source, unpacked, info.name).format)


# --- helpers -------------------------------------------------------------------------------------


def _is_over(work: Forgetting, run_id: str) -> bool:
    return runs.state(work.subject.model, run_id, lake=work.lake).terminal


def _change(work: Forgetting, info: ObjectInfo, step: Callable[[object], object]) -> None:
    """A document for what `step` makes of it."""
    body = documents.require(work.lake, info.name)
    changed = step(body)
    if changed == body:
        return
    folder = info.name.rpartition("/")[0] + "/"
    if folder not in work.report["deleted"]:
        work.report["deleted"].append(folder)
    if not work.dry:
        assert isinstance(changed, dict)  # noqa: S101 - of a document
        documents.swap(work.lake, info.name, changed, generation=info.generation)


def _has_key(work: Forgetting, info: ObjectInfo) -> bool:
    with tempfile.TemporaryDirectory(prefix="millrace-forget-") as folder:
        path = Path(folder) / "snapshot.sqlite"
        work.lake.download(info.name, path, generation=info.generation)
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            keys = connection.execute("SELECT key FROM features")
            return any(work.subject.is_key(key) for (key,) in keys)


IN_ORDER: tuple[Callable[[Forgetting], None], ...] = (
    *(datasets, predictions, quarantine, labels, refusals, features),
    *(label_files, drops, log, files),
)
