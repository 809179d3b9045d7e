"""A promotion by steps: begun by promote, judged by sweep, ended by whoever decides the version.

    begin:  swap manifest (canary in) -> record (create-only) -> publish -> note
    step:   record (counts, verdict) -> swap manifest (next share) -> publish -> record (told)
    pass:   record (counts, verdict) -> swap manifest (champion) -> decision.json -> ... -> record
    back:   record (counts, verdict) -> swap manifest (canary out) -> decision.json -> ... -> record

The manifest decides every race: going on, passing, going back and a person's move all swap the
generation that was read, so of two at once one finds that it came too late. What a crash leaves
undone is found by the open record (`canaries.Record.ended`) and done by `close_open`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared import documents, paths
from shared.beside import canaries
from shared.beside.canaries import Record
from shared.beside.second_version import PREDICTION_ID, SecondVersion
from shared.documents import timestamp
from shared.errors import NotAllowed
from shared.events import AutomationNoted, parse_time
from shared.manifests import Manifest, read_manifest, set_beside
from shared.ports import Bucket
from shared.serving.times import format_duration
from shared.spec.registry import read_spec
from shared.spec.serving import Canary
from shared.usecases.beside.seconding import planned, served, take_out
from shared.usecases.beside.traffic import expected_rows
from shared.usecases.moving import decided, move_to
from shared.usecases.promoting import Promote
from shared.usecases.settling import finish, settle_promotion, settle_refusal, told

BACK = "Its canary is taken back. "


# --- begin ---------------------------------------------------------------------------------------


def plan(
    model: str, version: str, manifest: Manifest | None, ports: Promote, *, by: str, reason: str
) -> tuple[SecondVersion | None, str]:
    """The canary that a promotion of the version begins with; else None, and why there is none
    where the spec asks for one."""
    spec = read_spec(model, lake=ports.lake).spec
    canary, now = spec.serving.canary, ports.clock.now()
    if canary is None or manifest is None:
        return None, ""
    if manifest.experiment is not None:
        return None, f"experiment {manifest.experiment.id} ran, which this ends"
    try:
        second = planned(
            "canary",
            manifest,
            version,
            share=canary.steps[0],
            steps=canary.steps,
            key=canary.key or PREDICTION_ID,
            by=by,
            reason=reason,
            now=now,
            lake=ports.lake,
        )
    except NotAllowed as error:
        return None, str(error)
    few = too_few(canary, manifest, now, ports.lake)
    return (None, few) if few else (second, "")


def too_few(canary: Canary, manifest: Manifest, now: datetime, lake: Bucket) -> str:
    """Why the predictions that are to be expected are no canary's; empty when they are enough."""
    since = parse_time(manifest.moves[0].at)
    rows = expected_rows(manifest.model, canary.max_duration, since=since, now=now, lake=lake)
    if rows >= canary.predictions:
        return ""
    return (
        f"its steps take {canary.predictions:,} predictions in the log, and by what came "
        f"lately about {rows:,} are to be expected in {format_duration(canary.max_duration)} "
        "(serving.canary)"
    )


def begin(second: SecondVersion, manifest: Manifest, ports: Promote) -> str:
    """Put the canary beside the champion, in the place of what runs there. Raises AliasMoved."""
    model = manifest.model
    if manifest.beside is not None:
        why = f"{second.version} comes in"
        take_out(manifest, ports, by=second.by, reason=why, how="superseded")
        manifest = read_manifest(model, lake=ports.lake) or manifest
    close_open(model, manifest, ports)
    set_beside(
        manifest, second, by=second.by, reason=second.reason, lake=ports.lake, clock=ports.clock
    )
    return resume(second, model, ports)


def resume(running: SecondVersion, model: str, ports: Promote) -> str:
    """What a begin has to do once its canary is in the manifest."""
    tell(canaries.keep(model, running, lake=ports.lake), running, running.reason, ports)
    return "canary"


# --- end -----------------------------------------------------------------------------------------


def complete(
    manifest: Manifest, running: SecondVersion, ports: Promote, *, by: str, sentence: str
) -> str:
    """Let the canary's version answer everything: the promotion that it began with. Raises
    AliasMoved."""
    model, version = manifest.model, running.version
    whole = f"{running.reason} Its canary is over: {sentence}"
    move = move_to(model, version, manifest, ports, by=by, cause=decided(version), reason=whole)
    outcome = settle_promotion(model, version, move, ports, sentence=whole)
    close_open(model, read_manifest(model, lake=ports.lake), ports)
    return outcome


def stop(model: str, canary_id: str, *, by: str, reason: str, ports: Promote) -> str:
    """Take a canary back by hand; a repeat finds it ended. Raises NotAllowed, AliasMoved."""
    manifest = served(model, ports.lake)
    running = manifest.beside
    if running is not None and running.id == canary_id:
        why = f"Its canary was stopped: {reason or 'no reason given'}."
        take_out(manifest, ports, by=by, reason=why, how="not_promoted")
    close_open(model, read_manifest(model, lake=ports.lake), ports)
    record = canaries.find(model, canary_id, lake=ports.lake)
    if record is None or record.ended is None:
        raise NotAllowed(f"{model} has no canary {canary_id!r}")
    return ended_sentence(record)


def close_open(model: str, manifest: Manifest | None, ports: Promote) -> int:
    """Decide, tell and close every canary that no longer runs; how many."""
    count, running = 0, manifest.beside if manifest else None
    ended = 0
    for record in canaries.latest(model, lake=ports.lake):
        if running is not None and running.id == record.canary.id:
            continue
        if record.ended is None:
            count += _close(record, manifest, ports)
            continue
        ended += 1
        if ended == canaries.RECENT:
            break  # none before is open: a begin closes what it finds
    return count


def _close(record: Record, manifest: Manifest | None, ports: Promote) -> int:
    model, version = record.model, record.canary.version
    if not told(model, version, ports) and finish(model, version, manifest, ports) is None:
        by, how, sentence = _ended_by(record, manifest)
        settle_refusal(model, version, ports, by=by, sentence=sentence, action=how)
    body = documents.require(ports.lake, paths.version(model, version, "decision.json"))
    if body["action"] == "superseded":
        text = f"{_named(record.canary, model)} is over: {body['sentence']}."
        _say(record.canary, model, "ended", text, ports)
    ended = {
        "how": body["action"],
        "at": timestamp(ports.clock.now()),
        "by": body["by"],
        "sentence": body["sentence"],
    }
    slim = replace(record.tally, seen=[], units=[])  # nobody goes on counting
    closed = replace(record, ended=ended, tally=slim)
    return int(canaries.save(closed, lake=ports.lake) is not None)


def _ended_by(record: Record, manifest: Manifest | None) -> tuple[str, str, str]:
    """Who took the canary out, how, and why, by the manifest's journal."""
    canary = record.canary
    for stop in manifest.policies if manifest else ():
        if stop.beside == canary.id and stop.action == "canary-stop":
            how = stop.cause.split(":")[2:] or ["not_promoted"]
            return stop.by, how[0], stop.reason
    moves = manifest.moves if manifest else ()
    move = next((one for one in moves if one.revision > canary.revision), None)
    if move is None:
        return "policy", "superseded", "the champion moved before it had passed"
    verb = "was rolled back to" if move.is_rollback else "moved to"
    return move.by, "superseded", f"the champion {verb} {move.version} before it had passed"


# --- words ---------------------------------------------------------------------------------------


def running_sentence(model: str, running: SecondVersion) -> str:
    """What a canary does at its present step, for people."""
    unit = f"the values of {running.key}" if running.sticky else "the predictions, at random"
    steps = ", ".join(f"{100 * share:.3g} %" for share in (*running.steps, 1.0))
    return (
        f"{_named(running, model)}: {running.version} answers {100 * running.share:.3g} % of "
        f"{unit} (step {running.step + 1} of {steps}), and the champion {running.against} the rest."
    )


def ended_sentence(record: Record) -> str:
    """How a canary ended, for people."""
    ended = record.ended or {}
    how = {"promoted": "it was promoted", "not_promoted": "it was taken back"}
    what = how.get(str(ended.get("how")), str(ended.get("how")).replace("_", " "))
    named = _named(record.canary, record.model)
    sentence = str(ended.get("sentence")).removeprefix(BACK)
    return f"{named}, with {record.canary.version}, is over: {what}. {sentence}"


def _named(running: SecondVersion, model: str) -> str:
    return f"Canary {running.id} of {model}"


def is_held(manifest: Manifest, running: SecondVersion) -> bool:
    """True where somebody pinned the model after the canary began: one that a person approved on a
    pinned model goes its way."""
    moves = manifest.policies
    pinned = max((move.revision for move in moves if move.action == "pin"), default=0)
    began = min((move.revision for move in moves if move.beside == running.id), default=0)
    return manifest.pinned and pinned > began


def tell(record: Record, running: SecondVersion, why: str, ports: Promote) -> Record:
    """Say once what the present step is; after a crash it is the same message again."""
    if record.told > running.step or record.ended is not None:
        return record
    what = f"step-{running.step + 1}" if running.step else "started"
    sentence = running_sentence(record.model, running)
    _say(running, record.model, what, f"{sentence} {why}", ports)
    if not running.step:
        ports.note(record.model, running.version, "canary-started", sentence=sentence)
    return canaries.save(replace(record, told=running.step + 1), lake=ports.lake) or record


def _say(running: SecondVersion, model: str, what: str, sentence: str, ports: Promote) -> None:
    subject = f"canary-{running.id}-{what}"
    ports.say(AutomationNoted(model=model, source="canary", subject=subject, sentence=sentence))
