"""Fan-in: a batch is complete when every source of its model has a file, then it is one run.

    guard -> copy -> arrival (create-only) -> open marker -> list -> complete? -> closed.json
                                                                                (create-only)
    closed.json -> request.json -> note -> publish -> tell every arrival -> delete the open marker

An arrival looks for closed.json after it is written, and whoever closes lists the arrivals before:
so of two at once one at least sees both, and create-only lets one decide. Whatever comes later
belongs to no run and is told so. Everything after closed.json is repeatable by anybody who sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared import claims, documents, paths, runs
from shared.batch import REFUSED, RUN, Arrival, Batch, Outlook, arrivals, hours, outlook_of
from shared.documents import timestamp
from shared.errors import (
    BatchClosed,
    ObjectNotFound,
    PreconditionFailed,
    SourceMissing,
    UnknownIntent,
    UnknownSource,
)
from shared.events import AutomationNoted, parse_time
from shared.ports import ObjectInfo
from shared.routes import DataUpload
from shared.runs import InputRef, RunRequest
from shared.spec.model import RegisteredSpec
from shared.spec.registry import find_spec, read_generation
from shared.uploads import source_of
from shared.usecases.starting import (
    Intake,
    announce_again,
    ask,
    content_of,
    copy_input,
    end_as_duplicate,
    end_as_superseded,
    first_bytes,
    guard,
    is_forced,
    question,
    record_refusal,
    same_content,
)

# --- arriving ------------------------------------------------------------------------------------


def arrive(
    destination: DataUpload,
    upload: ObjectInfo,
    run_id: str,
    registered: RegisteredSpec,
    ports: Intake,
) -> dict[str, Any]:
    """Add a file to its batch, and close the batch if that completes it. Raises Rejected."""
    batch = Batch.of(destination)
    key = source_of(upload)
    name = paths.batch_arrival(batch.model, batch.intent, batch.name, destination.source, key)
    # Before the arrival: another delivery may bring this very file while we look, and what the
    # batch was closed with has arrived before.
    closed = documents.read(ports.lake, batch.closed_name).body
    # An accepted file stays accepted, whatever becomes of object and spec.
    if not documents.read(ports.lake, name).exists:
        copy = _accept(destination, upload, run_id, registered, ports, closed=closed)
        if copy is None:
            return end_as_superseded(batch.model, run_id, upload, ports)
        arrival = Arrival(destination.source, upload, run_id, ports.clock.now(), copy)
        documents.create(ports.lake, name, arrival.body())
    # After the arrival: an open marker never stands for a batch without files.
    documents.create(ports.lake, batch.open_marker, {"since": timestamp(ports.clock.now())})
    facts = {"source": key, "kind": batch.intent, "batch": batch.name}
    ports.note(batch.model, run_id, "waiting-sources", **facts)
    _settle(batch, registered, ports)
    state = runs.state(batch.model, run_id, lake=ports.lake).state
    return {"state": state, "model": batch.model, "batch": batch.name}


def _accept(
    destination: DataUpload,
    upload: ObjectInfo,
    run_id: str,
    registered: RegisteredSpec,
    ports: Intake,
    *,
    closed: Mapping[str, Any],
) -> InputRef | None:
    """The copy of a file that may take part, None when the file is gone or was replaced in time.
    Copied now: a batch may wait for days. Raises Rejected."""
    _check_place(destination, registered)
    if closed and _has_newer(closed, destination.source, upload):
        return None
    if closed:
        raise _late(Batch.of(destination), closed)
    head = first_bytes(upload, ports)
    if head is None:
        return None
    guard(destination, head, registered, ports.lake)
    copy = copy_input(destination, upload, run_id, ports.lake)
    return InputRef.of(copy, source_of(upload), destination.source) if copy else None


def _check_place(destination: DataUpload, registered: RegisteredSpec) -> None:
    """A batch is for models of several sources, and its files are named after them."""
    model, intent, sources = destination.model, destination.intent, registered.spec.sources
    if not sources:
        raise UnknownIntent(
            f"{model}/{intent}/{destination.batch}/{destination.file_name} has a folder below "
            f"{intent}/, and the spec of {model} has no sources; drop the file directly in "
            f"{model}/{intent}/"
        )
    if destination.source not in sources:
        raise UnknownSource(
            f"{model} has no source {destination.source!r}; a file in a batch is named after its "
            f"source: {', '.join(sources)}"
        )


def look_after(name: str, ports: Intake) -> int:
    """Close the batch of this open marker if it is complete or has waited long enough, finish one
    whose closing somebody did not live to finish, remind people of one that waits. Returns 1 when
    it is settled."""
    batch = Batch.of_marker(name)
    registered = find_spec(batch.model, lake=ports.lake)
    return 0 if registered is None else _settle(batch, registered, ports, sweeping=True)


def _settle(
    batch: Batch, registered: RegisteredSpec, ports: Intake, *, sweeping: bool = False
) -> int:
    closed = documents.read(ports.lake, batch.closed_name)
    if not closed.exists:
        outlook = outlook_of(arrivals(batch, lake=ports.lake), registered.spec.sources)
        over = sweeping and outlook.is_over(ports.clock.now())
        if outlook.missing and not over:
            if sweeping:
                _remind(batch, outlook, ports)
            return 0
        body = _decision(batch, outlook, registered, ports)
        documents.create(ports.lake, batch.closed_name, body)
        closed = documents.read(ports.lake, batch.closed_name)
    _carry_out(batch, closed.body, ports)
    return 1


# --- deciding ------------------------------------------------------------------------------------


def _decision(
    batch: Batch, outlook: Outlook, registered: RegisteredSpec, ports: Intake
) -> dict[str, Any]:
    """The body of closed.json. A model whose spec has lost its sources meanwhile has no batch."""
    now = ports.clock.now()
    goes_on = outlook.goes_on and bool(outlook.chosen)
    key = f"batch|{batch.model}|{batch.intent}|{batch.name}"
    return {
        "decision": RUN if goes_on else REFUSED,
        "at": timestamp(now),
        "run_id": claims.run_id_for(key, now),
        "spec_generation": registered.generation,
        "missing": list(outlook.missing),
        "since": timestamp(outlook.since) if outlook.since else timestamp(now),
        "chosen": [item.body() for item in outlook.chosen.values()],
    }


def _remind(batch: Batch, outlook: Outlook, ports: Intake) -> None:
    """Say once, when half of the wait is over, what the batch waits for."""
    now, since, due = ports.clock.now(), outlook.since, outlook.due
    if since is None or due is None or now < since + (due - since) / 2:
        return
    marker = documents.read(ports.lake, batch.open_marker)
    if marker.body.get("reminded") or not marker.exists:
        return  # it was said, or the batch closed after we looked
    then = "it goes on without" if outlook.goes_on else "it is refused"
    ports.say(
        AutomationNoted(
            model=batch.model,
            source="sweep",
            subject=f"{batch.intent}-{batch.name}-waits",
            sentence=(
                f"The {batch} is still waiting for {', '.join(outlook.missing)}, "
                f"{hours(due - now)} left; then {then}."
            ),
            asks="act now",
        )
    )
    body = {**marker.body, "reminded": timestamp(now)}
    try:
        documents.swap(ports.lake, batch.open_marker, body, generation=marker.generation)
    except PreconditionFailed:
        return  # somebody else reminded, or closed the batch


# --- carrying out --------------------------------------------------------------------------------


def _carry_out(batch: Batch, closed: dict[str, Any], ports: Intake) -> None:
    """All that follows from closed.json. The run first: an arrival that was told is not looked at
    again by its redelivery. The open marker last: it brings sweep here if anybody dies."""
    if closed["decision"] == RUN:
        _request(batch, closed, ports)
    for arrival in arrivals(batch, lake=ports.lake):
        if not runs.state(batch.model, arrival.run_id, lake=ports.lake).terminal:
            _tell(batch, closed, arrival, ports)
    try:
        ports.lake.delete(batch.open_marker)
    except ObjectNotFound:
        return  # somebody else settled the batch as well


def _request(batch: Batch, closed: dict[str, Any], ports: Intake) -> None:
    model, run_id = batch.model, closed["run_id"]
    if announce_again(model, run_id, ports) is not None:
        return
    if runs.state(model, run_id, lake=ports.lake).terminal:
        return  # a duplicate
    chosen = [Arrival.of(body) for body in closed["chosen"]]
    generation = closed["spec_generation"]
    contents = sorted(f"{item.source}={content_of(item.copy)}" for item in chosen)
    key = question(model, batch.intent, contents, generation, ports.lake)
    forced = any(is_forced(item.upload) for item in chosen)
    first = None if forced else same_content(key, model, run_id, ports)
    if first is not None:
        sources = ", ".join(item.copy.source for item in chosen)
        end_as_duplicate(model, run_id, first, sources, ports)
        return
    if closed["missing"]:
        _note_without(batch, closed, ports)
    request = RunRequest(
        model=model,
        run_id=run_id,
        kind=batch.intent,
        requested_at=closed["at"],
        requested_by="upload",
        spec_generation=generation,
        content_key=key,
        size=read_generation(model, generation, lake=ports.lake).size,
        inputs=tuple(item.copy for item in chosen),
    )
    ask(request, ports)


def _note_without(batch: Batch, closed: dict[str, Any], ports: Intake) -> None:
    missing = ", ".join(closed["missing"])
    waited = hours(parse_time(closed["at"]) - parse_time(closed["since"]))
    sentence = f"The {batch} went on without {missing} after {waited}: run {closed['run_id']}."
    ports.note(batch.model, closed["run_id"], "without-source", sentence=sentence)
    ports.say(
        AutomationNoted(
            model=batch.model, source="sweep", subject=closed["run_id"], sentence=sentence
        )
    )


def _tell(batch: Batch, closed: dict[str, Any], arrival: Arrival, ports: Intake) -> None:
    """End the run of one file: it joined, was replaced in time, came too late, or waited in
    vain."""
    model, upload = batch.model, arrival.upload
    chosen = {body["source"]: body for body in closed["chosen"]}
    mine = chosen.get(arrival.source)
    if mine is not None and mine["run_id"] == arrival.run_id:
        if closed["decision"] == RUN:
            run = closed["run_id"]
            why = f"part of the {batch}: run {run}"
            ports.note(model, arrival.run_id, "joined-batch", run_id=run, batch=batch.name, why=why)
        else:
            error = SourceMissing(_in_vain(batch, closed))
            record_refusal(model, upload, arrival.run_id, error, ports)
    elif _has_newer(closed, arrival.source, upload):
        why = f"a newer file of {arrival.source} came before the {batch} was complete"
        ports.note(model, arrival.run_id, "superseded", source=source_of(upload), why=why)
    else:
        record_refusal(model, upload, arrival.run_id, _late(batch, closed), ports)


def _has_newer(closed: Mapping[str, Any], source: str, upload: ObjectInfo) -> bool:
    """True when the batch was closed with a newer file of this source."""
    return any(
        body["source"] == source and body["upload"]["generation"] > upload.generation
        for body in closed["chosen"]
    )


def _in_vain(batch: Batch, closed: dict[str, Any]) -> str:
    waited = hours(parse_time(closed["at"]) - parse_time(closed["since"]))
    missing = ", ".join(closed["missing"])
    return (
        f"the {batch} waited {waited} for {missing} (wait_hours), and on_timeout does not let it "
        f"go on without; drop all its files again in a batch of another name"
    )


def _late(batch: Batch, closed: Mapping[str, Any]) -> BatchClosed:
    names = ", ".join(body["source"] for body in closed["chosen"])
    what = f"closed as run {closed['run_id']} with {names}"
    if closed["decision"] != RUN:
        what = f"given up for want of {', '.join(closed['missing']) or 'a spec with sources'}"
    return BatchClosed(
        f"batch already closed: the {batch} was {what} at {closed['at'][:19]}Z. To use this file, "
        f"drop all files of the batch again in a batch of another name"
    )
