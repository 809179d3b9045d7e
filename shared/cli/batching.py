"""Batches on the command line: several files dropped together, the one run they make followed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from shared.batch import OPEN, Batch, Outlook, arrivals, outlook_of
from shared.cli.contexts import Context
from shared.cli.following import (
    INTAKE_SECONDS,
    TIMED_OUT,
    WAITING,
    Followed,
    StackStopped,
    follow,
    wait_for_run,
)
from shared.cli.peeking import folder_of
from shared.errors import ServiceUnavailable
from shared.ports import Bucket, ObjectInfo
from shared.routes import ENDINGS, FOLDERS, source_of_file
from shared.spec.model import Spec
from shared.spec.registry import find_spec
from shared.uploads import name_of, source_of

Show = Callable[[dict[str, Any]], None]


# --- before the upload ---------------------------------------------------------------------------


def files_by_source(files: tuple[Path, ...], named: Mapping[str, Path]) -> dict[str, Path]:
    """Each source's file: as named, else by the file's own name. Raises ClickException."""
    found = dict(named)
    for file in (*named.values(), *files):
        if not source_of_file(file.name):
            raise click.ClickException(
                f"{file} does not end like data ({', '.join(ENDINGS)}, each also with .gz)"
            )
    for file in files:
        source = source_of_file(file.name)
        if source in found:
            raise click.ClickException(
                f"{file} and {found[source]} are both for the source {source}; "
                f"name another with --as SOURCE=FILE"
            )
        found[source] = file
    return found


def object_names(
    context: Context, model: str, batch: str, found: Mapping[str, Path], folder: str | None
) -> dict[str, Path]:
    """Where in the inbox each file goes. Raises ClickException for what intake would refuse."""
    registered = find_spec(model, lake=context.lake)
    spec = registered.spec if registered else None
    if spec is not None:
        _check_sources(model, spec, found)
    if folder is None:
        folder = _folder(model, spec, found)
    return {
        f"{model}/{folder}/{batch}/{source}{_ending(file)}": file for source, file in found.items()
    }


def _check_sources(model: str, spec: Spec, found: Mapping[str, Path]) -> None:
    if not spec.sources:
        raise click.ClickException(
            f"{model} is made of single files; drop them one by one, without --batch"
        )
    unknown = [source for source in found if source not in spec.sources]
    if unknown:
        raise click.ClickException(
            f"{model} has no source {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(spec.sources)}. Say which file is which with --as SOURCE=FILE"
        )


def _folder(model: str, spec: Spec | None, found: Mapping[str, Path]) -> str:
    if spec is not None and spec.primary in found:
        folder = folder_of(found[spec.primary], spec)
        if FOLDERS[folder] != "label":
            return folder
    raise click.ClickException(
        f"whether this batch of {model} is to train or to score is seen in the file of the primary "
        f"source only; say it with --as train or --as score"
    )


def _ending(file: Path) -> str:
    return file.name.removeprefix(source_of_file(file.name))


# --- following -----------------------------------------------------------------------------------


def follow_batch(
    context: Context, model: str, uploads: list[ObjectInfo], *, seconds: float, show: Show
) -> Followed:
    """The one run of these files; or the file that was refused, or what the batch still waits
    for. Raises StackStopped."""
    end = time.monotonic() + seconds
    try:
        files = [_taken_in(context, model, upload, end) for upload in uploads]
        if bad := next((item for item in files if item.exit_code == TIMED_OUT), None):
            return bad
        for item in files:
            _show_end(item, show)
        if bad := next((item for item in files if item.state in ("rejected", "superseded")), None):
            return bad
        joined = _joined(context, model, files, end)
        if joined.state != "joined":
            return joined
        run_id = str(joined.facts["run_id"])
        left = end - time.monotonic()
        return follow(model, run_id, lake=context.lake, seconds=left, on_event=show)
    except ServiceUnavailable as error:
        raise StackStopped(context.name, model, None) from error


def _taken_in(context: Context, model: str, upload: ObjectInfo, end: float) -> Followed:
    """Where an upload stands once intake has seen it."""
    left = min(end - time.monotonic(), INTAKE_SECONDS)
    run_id = wait_for_run(source_of(upload), lake=context.lake, seconds=left)
    if run_id is None:
        return Followed(model, "", "not seen by intake yet", TIMED_OUT)
    return follow(
        model,
        run_id,
        lake=context.lake,
        seconds=end - time.monotonic(),
        until=frozenset({"waiting-sources", "waiting-spec"}),
    )


def _show_end(item: Followed, show: Show) -> None:
    if item.events and item.state != "waiting_for_sources":
        show(item.events[-1])


def _joined(context: Context, model: str, files: list[Followed], end: float) -> Followed:
    """The last file once it belongs to a run, or as it waits where nothing more was dropped."""
    last = files[-1]
    batch = next(filter(None, (batch_of(item.events) for item in files)), None)
    if last.state == "waiting_for_spec":
        return Followed(model, last.run_id, last.state, WAITING, last.facts, last.events)
    if batch is not None and (missing := outlook(batch, lake=context.lake).missing):
        facts = {**last.facts, "missing": list(missing), "batch": batch.name}
        return Followed(model, last.run_id, "waiting_for_sources", WAITING, facts, last.events)
    return follow(model, last.run_id, lake=context.lake, seconds=end - time.monotonic())


# --- looking -------------------------------------------------------------------------------------


def batch_of(events: tuple[dict[str, Any], ...] | list[dict[str, Any]]) -> Batch | None:
    """The batch that a history of an upload speaks of."""
    for event in events:
        if event["name"] == "waiting-sources":
            model, folder, batch = name_of(str(event["facts"]["source"])).split("/")[:3]
            return Batch(model, FOLDERS[folder], batch)
    return None


def outlook(batch: Batch, *, lake: Bucket) -> Outlook:
    """Where a batch stands under the spec in force; one that is closed misses nothing."""
    registered = find_spec(batch.model, lake=lake)
    closed = next(iter(lake.list(batch.closed_name)), None)
    if registered is None or closed is not None:
        return Outlook({})
    return outlook_of(arrivals(batch, lake=lake), registered.spec.sources)


def open_batches(model: str, *, lake: Bucket) -> list[str]:
    """One line per batch that waits for a source."""
    found = []
    for info in lake.list(f"{OPEN}{model}/"):
        batch = Batch.of_marker(info.name)
        if missing := outlook(batch, lake=lake).missing:
            found.append(f"{batch.intent} batch {batch.name} for {', '.join(missing)}")
    return found


def waits_for(events: list[dict[str, Any]], *, lake: Bucket) -> str:
    """What the batch of an upload waits for, until when, and what then; empty when nothing."""
    batch = batch_of(events)
    found = outlook(batch, lake=lake) if batch else Outlook({})
    if not found.missing or found.due is None:
        return ""
    then = "it goes on without" if found.goes_on else "it is refused"
    until = f"{found.due:%Y-%m-%d %H:%M}Z"
    return f"The batch waits for {', '.join(found.missing)} until {until}; then {then}."
