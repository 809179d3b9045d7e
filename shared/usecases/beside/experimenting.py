"""Experiments begin and end by a person's decision, or end because the champion moved.

    start:  check -> swap manifest (experiment in)  -> record (create-only) -> publish
    stop:   record (how it ended, swapped once) -> swap manifest (experiment out) -> publish
    a move: record (create-only) -> swap manifest (promote) -> publish -> record (how it ended)

Each step can be repeated: the manifest says what runs, a record keeps its first end, and the
message about it is made of the record. Knows no statistics: what a person stops with comes along.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.beside import experiments
from shared.beside.experiments import Ended, Record
from shared.beside.second_version import PREDICTION_ID, SecondVersion
from shared.documents import timestamp
from shared.errors import NotAllowed
from shared.events import AutomationNoted, parse_time
from shared.manifests import Manifest, set_beside
from shared.moves import Move
from shared.ports import Bucket
from shared.spec.registry import read_spec
from shared.usecases.beside.seconding import planned, served

if TYPE_CHECKING:
    from shared.usecases.promoting import Promote

HOW = ("kept", "promote")


def plan(
    model: str,
    challenger: str,
    facts: Mapping[str, object],
    *,
    by: str,
    reason: str,
    now: datetime,
    lake: Bucket,
    manifest: Manifest | None = None,
) -> SecondVersion:
    """The experiment that a start would begin. Raises NotAllowed with what stands in its way."""
    share, key, until = _facts(facts, now)
    return planned(
        "experiment",
        manifest or served(model, lake),
        challenger,
        share=share,
        key=key,
        until=until,
        by=by,
        reason=reason,
        now=now,
        lake=lake,
    )


def start(
    model: str,
    challenger: str,
    facts: Mapping[str, object],
    *,
    by: str,
    reason: str,
    ports: Promote,
) -> str:
    """Begin an experiment; the one that runs already, when it is the same. Raises NotAllowed,
    AliasMoved."""
    now = ports.clock.now()
    manifest = served(model, ports.lake)
    about: dict[str, Any] = {"by": by, "reason": reason, "manifest": manifest}
    planned = plan(model, challenger, facts, now=now, lake=ports.lake, **about)
    running = manifest.beside
    if running is None:
        end_moved(model, manifest, ports)
        _swap(manifest, planned, by, reason, ports)
        running = planned
    experiments.keep(model, running, lake=ports.lake)
    sentence = started_sentence(model, running)
    _say(model, running, "started", sentence, ports)
    return sentence


def stop(
    model: str,
    experiment_id: str,
    facts: Mapping[str, object],
    *,
    by: str,
    reason: str,
    ports: Promote,
) -> str:
    """End an experiment; a repeat finds it ended and does the rest. Raises NotAllowed,
    AliasMoved."""
    how, verdict = str(facts.get("how") or "kept"), facts.get("verdict")
    if how not in HOW:
        raise NotAllowed(f"how {how!r} is none of {', '.join(HOW)}")
    manifest = served(model, ports.lake)
    running = manifest.experiment
    if running is not None and running.id == experiment_id:
        record = experiments.keep(model, running, lake=ports.lake)
    else:
        end_moved(model, manifest, ports)
        found = experiments.find(model, experiment_id, lake=ports.lake)
        if found is None:
            runs = f"{running.id} runs" if running else "none runs"
            raise NotAllowed(f"{model} has no experiment {experiment_id!r}; {runs}")
        record = found
    ended = Ended(
        at=timestamp(ports.clock.now()),
        by=by,
        how=how,
        reason=reason or "no reason given",
        verdict=verdict if isinstance(verdict, dict) else None,
    )
    record = experiments.end(record, ended, lake=ports.lake)
    if running is not None and running.id == experiment_id:
        _swap(manifest, None, by, reason, ports)
    return _say_ended(record, ports)


def end_moved(model: str, manifest: Manifest | None, ports: Promote) -> int:
    """Record the end of an experiment that a move of the champion ended, and say so; how many. Said
    first: whoever finds the end recorded knows that people were told."""
    running, count = manifest.experiment if manifest else None, 0
    for record in experiments.latest(model, lake=ports.lake):
        if running is not None and running.id == record.experiment.id:
            continue
        if record.ended is not None:
            break  # none before it is open: a start closes what it finds
        move = _first_after(record.experiment, manifest)
        if move is not None:
            ended = _ended_by(move)
            _say_ended(replace(record, ended=ended), ports)
            experiments.end(record, ended, lake=ports.lake)
            count += 1
    return count


def look_after(manifest: Manifest, ports: Promote, recorded: Container[str]) -> int:
    """What a crash or the passing of time left to do about a model's experiment. `recorded` are the
    models that have experiments on record."""
    model, running = manifest.model, manifest.experiment
    done = end_moved(model, manifest, ports) if model in recorded else 0
    if running is None:
        return done
    record = experiments.find(model, running.id, lake=ports.lake)
    if record is not None and record.ended is not None:
        _swap(manifest, None, record.ended.by, record.ended.reason, ports)
        _say_ended(record, ports)
        return done + 1
    delay = read_spec(model, lake=ports.lake).spec.monitoring.label_delay
    if running.until is None or not running.over(ports.clock.now() - delay):
        return done
    # Published at each sweep, told once: it is the same message.
    _say(model, running, "due", _due_sentence(model, running), ports)
    return done + 1


def _swap(
    manifest: Manifest, running: SecondVersion | None, by: str, reason: str, ports: Promote
) -> None:
    why = reason or "no reason given"
    set_beside(manifest, running, by=by, reason=why, lake=ports.lake, clock=ports.clock)


# --- words ---------------------------------------------------------------------------------------


def running_sentence(model: str, running: SecondVersion) -> str:
    """What an experiment does, for people."""
    unit = "predictions" if running.key == PREDICTION_ID else f"values of {running.key}"
    until = f" until {_when(running.until)}" if running.until else ""
    return (
        f"Experiment {running.id} of {model}: since {_when(running.started_at)} {running.version} "
        f"answers {running.share:.0%} of the {unit}{until}, and the champion {running.against} the "
        f"rest. Started by {running.by}: {running.reason or 'no reason given'}."
    )


def started_sentence(model: str, running: SecondVersion) -> str:
    held = "While it runs no version is promoted without a person."
    return f"{running_sentence(model, running)} {held}"


def ended_sentence(record: Record) -> str:
    running, ended = record.experiment, record.ended
    if ended is None:
        return running_sentence(record.model, running)
    start = f"Experiment {running.id} of {record.model} ended {_when(ended.at)} by {ended.by}"
    if ended.how == "moved":
        return f"{start}: {ended.reason}. The champion of now answers everything."
    judged = str((ended.verdict or {}).get("sentence") or "Nobody judged it.")
    then = (
        f"To be promoted: {running.version}."
        if ended.how == "promote"
        else f"{running.against} answers everything again."
    )
    return f"{start}: {ended.reason}. {judged} {then}"


def _due_sentence(model: str, running: SecondVersion) -> str:
    return (
        f"Experiment {running.id} of {model} reached its planned end, {_when(running.until)}, and "
        f"its labels are old enough to count. {running.against} answers everything since then. "
        "Look at it, then stop it with --keep or with --promote."
    )


def _when(time: str | None) -> str:
    return f"{parse_time(str(time)):%Y-%m-%d %H:%M:%S} UTC"


def _say(model: str, running: SecondVersion, what: str, sentence: str, ports: Promote) -> None:
    ports.say(
        AutomationNoted(
            model=model,
            source="experiment",
            subject=f"experiment-{running.id}-{what}",
            sentence=sentence,
            asks="decide" if what == "due" else "know",
        )
    )


def _say_ended(record: Record, ports: Promote) -> str:
    sentence = ended_sentence(record)
    _say(record.model, record.experiment, "ended", sentence, ports)
    return sentence


# --- checks --------------------------------------------------------------------------------------


def _facts(facts: Mapping[str, object], now: datetime) -> tuple[float, str, str | None]:
    share, key, until = facts.get("share"), str(facts.get("key") or PREDICTION_ID), None
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share < 1:
        raise NotAllowed(f"share is {share!r}; give a number between 0 and 1, such as 0.5")
    if facts.get("until"):
        try:
            end = parse_time(str(facts["until"]))
        except ValueError as error:
            raise NotAllowed(f"until is no time with a zone: {error}") from error
        if end <= now:
            raise NotAllowed(f"until is {timestamp(end)}, which is past")
        until = timestamp(end)
    return float(share), key, until


def _first_after(running: SecondVersion, manifest: Manifest | None) -> Move | None:
    moves = manifest.moves if manifest else ()
    return next((move for move in moves if move.revision > running.revision), None)


def _ended_by(move: Move) -> Ended:
    verb = "was rolled back to" if move.is_rollback else "moved to"
    reason = f"the champion {verb} {move.version}"
    return Ended(move.at, move.by, "moved", reason, revision=move.revision)
