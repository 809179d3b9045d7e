"""experiment: two versions side by side on live traffic. Starting and stopping are decisions that
promote takes; judging is reckoned here, from the inference log and the recorded labels."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from shared import documents
from shared.beside import experiments
from shared.beside.experiments import Record
from shared.beside.second_version import PREDICTION_ID
from shared.cli import contexts
from shared.cli.console import (
    dry_run_option,
    json_option,
    nothing_done,
    say,
    show_json,
    shown_command,
)
from shared.cli.contexts import Context
from shared.cli.decide import decide, reason_option
from shared.cli.experiment_told import declined_sentence, needed_sentence, show
from shared.cli.named import resolve, shown
from shared.errors import MillraceError
from shared.manifests import read_manifest
from shared.spec.registry import read_spec
from shared.usecases.beside.experimenting import ended_sentence, plan, started_sentence

if TYPE_CHECKING:
    from shared.usecases.beside.experiment_look import Seen

BETTER = "challenger_better"


@click.group()
def experiment() -> None:
    """Two versions side by side on live traffic, judged on labels."""


# --- start ---------------------------------------------------------------------------------------


@experiment.command("start")
@click.argument("model")
@click.argument("challenger")
@click.option("--share", type=float, default=0.5, show_default=True, help="The challenger's part.")
@click.option(
    "--key",
    default=PREDICTION_ID,
    show_default=True,
    help="The column whose values are dealt: one value, one version.",
)
@click.option("--until", default="", help="Planned end: 2026-12-24, or a time with its zone.")
@click.option(
    "--difference",
    type=float,
    help="Worth knowing about, in the metric; for the number of labels that --dry-run names.",
)
@reason_option
@dry_run_option
@contexts.pass_name
def start_experiment(
    context_name: str,
    *,
    model: str,
    challenger: str,
    share: float,
    key: str,
    until: str,
    difference: float | None,
    reason: str,
    dry_run: bool,
) -> None:
    """Let CHALLENGER answer a fixed share of MODEL's predictions, dealt by a key."""
    context = contexts.load(context_name)
    facts: dict[str, Any] = {"share": share, "key": key}
    if until:
        facts["until"] = documents.timestamp(parse_end(until))
    challenger = resolve(model, challenger, context.lake)
    context.announce(f"experiment start {model} {shown(model, challenger, context.lake)}")
    planned = plan(
        model,
        challenger,
        facts,
        by=context.user,
        reason=reason,
        now=context.clock.now(),
        lake=context.lake,
    )
    needed = needed_sentence(context, model, planned, difference)
    declined = declined_sentence(context, model, challenger)
    if declined:
        say(declined)
    if dry_run:
        say(f"Would say: {started_sentence(model, planned)}")
        say(needed)
        nothing_done()
        return
    say(decide(context, "experiment-start", model, challenger, reason, facts=facts))
    say(needed)
    command = shown_command("experiment", "status", model, context=context.name)
    say(f"To judge it: {command}", err=True)


def parse_end(text: str) -> datetime:
    """A date (its first moment in UTC) or a time with a zone. Raises BadParameter."""
    try:
        end = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no date; write 2026-12-24 or 2026-12-24T18:00:00Z"
        ) from error
    if end.tzinfo is None and len(text) > len("2026-12-24"):
        raise click.BadParameter(f"{text!r} has no time zone; end it with Z or +01:00")
    return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)


# --- status --------------------------------------------------------------------------------------


@experiment.command("status")
@click.argument("model")
@click.option("--id", "experiment_id", default="", help="Another one than the latest.")
@json_option
@contexts.pass_name
def show_experiment(context_name: str, model: str, experiment_id: str, as_json: bool) -> None:
    """What MODEL's experiment says by now. Looking costs nothing: bounds hold for every look."""
    context = contexts.load(context_name)
    record = chosen(context, model, experiment_id)
    ended = record.ended
    stored = dict(ended.verdict or {}) if ended else {}
    # What was judged at its end stays what was judged, whatever the spec says by now.
    found = stored if ended and stored else look(context, record).to_json()
    if as_json:
        running = record.experiment.to_json()
        told = asdict(ended) if ended else None
        show_json({"model": model, "experiment": running, "ended": told, **found})
        return
    say(ended_sentence(record))
    if ended and not stored:
        say("Nobody judged it when it ended. By the spec of today, and the labels by then:")
    if "champion" in found:  # it may have ended without a figure
        show(context, record, found)


def chosen(context: Context, model: str, experiment_id: str = "") -> Record:
    """The experiment of that id, else the one that runs, else the latest. Raises ClickException."""
    manifest = read_manifest(model, lake=context.lake)
    running = manifest.experiment if manifest else None
    records = list(experiments.latest(model, lake=context.lake))
    if running is not None and running.id not in [item.experiment.id for item in records]:
        records.insert(0, Record(model, running, None, 0))  # its start died before the record
    wanted = experiment_id or (running.id if running else "")
    for record in records:
        if wanted in ("", record.experiment.id):
            return record
    known = ", ".join(record.experiment.id for record in records) or "none"
    what = f"experiment {experiment_id!r}" if experiment_id else "experiment"
    raise click.ClickException(f"{model} has no {what}; known: {known}")


def look(context: Context, record: Record) -> Seen:
    from shared.usecases.beside.experiment_look import look_at

    spec = read_spec(record.model, lake=context.lake).spec
    return look_at(record, spec, now=context.clock.now(), lake=context.lake)


# --- stop ----------------------------------------------------------------------------------------


@experiment.command("stop")
@click.argument("model")
@click.option(
    "--promote/--keep", default=None, help="Who answers then: the challenger, or the champion."
)
@click.option("--anyway", is_flag=True, help="Promote though the challenger is not shown better.")
@reason_option
@dry_run_option
@contexts.pass_name
def stop_experiment(
    context_name: str, *, model: str, promote: bool | None, anyway: bool, reason: str, dry_run: bool
) -> None:
    """End MODEL's experiment: keep the champion, or promote the challenger with what was found."""
    if promote is None:
        raise click.UsageError(
            "say who answers afterwards: --keep (the champion) or --promote (the challenger)"
        )
    context = contexts.load(context_name)
    record = chosen(context, model)
    running, ended = record.experiment, record.ended
    manifest = read_manifest(model, lake=context.lake)
    unfinished = ended is not None and ended.how == "promote" and promote
    if ended is not None and not unfinished:
        raise click.ClickException(f"no experiment of {model} runs. {ended_sentence(record)}")
    verdict = dict(ended.verdict or {}) if ended else _verdict(context, record)
    if promote and not (unfinished or anyway or verdict.get("verdict") == BETTER):
        raise click.ClickException(
            "this does not show that the challenger is better, and the experiment goes on; to end "
            "it and promote all the same, add --anyway"
        )
    left = shown(model, running.version if promote else running.against, context.lake)
    then = f"promote {left}" if promote else f"keep {left}"
    context.announce(f"experiment stop {model} {running.id}, then {then}")
    if dry_run:
        nothing_done()
        return
    how = "promote" if promote else "kept"
    facts = {"how": how, "verdict": verdict}
    say(decide(context, "experiment-stop", model, running.id, reason, facts=facts))
    if promote and manifest is not None and manifest.version == running.against:
        judged = verdict.get("sentence") or "Nobody judged it."
        why = f"experiment {running.id}: {reason or 'no reason given'}. {judged}".rstrip(".")
        only = {"instead_of": running.against}
        say(decide(context, "promote", model, running.version, why, facts=only))


def _verdict(context: Context, record: Record) -> dict[str, Any]:
    """The last look, shown and to be recorded; an experiment can be ended without one."""
    try:
        seen = look(context, record)
    except MillraceError as error:
        say(f"It cannot be judged: {error}", err=True)
        return {"verdict": None, "sentence": f"It could not be judged: {error}"}
    found = seen.to_json()
    show(context, record, found)
    return found
