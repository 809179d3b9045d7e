"""experiment: two versions side by side on live traffic. Starting and stopping are decisions that
promote takes; judging is reckoned here, from the inference log and the recorded labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from shared import documents, experiments, paths
from shared.budget import briefly
from shared.cli import contexts
from shared.cli.console import (
    dry_run_option,
    json_option,
    nothing_done,
    say,
    show_json,
    show_rows,
    shown_command,
)
from shared.cli.contexts import Context
from shared.cli.decide import decide, reason_option
from shared.cli.named import resolve, shown
from shared.errors import MillraceError
from shared.events import parse_time
from shared.experiments import Experiment, Record
from shared.manifests import read_manifest
from shared.serving.times import format_duration
from shared.spec.registry import read_spec
from shared.usecases.experimenting import ended_sentence, plan, started_sentence

if TYPE_CHECKING:
    from shared.usecases.experiment_look import Seen

BETTER = "challenger_better"
LEFT_OUT = {
    "no_key": "have no value of the key",
    "challenger_refuses": "the challenger's schema refuses",
    "challenger_failed": "the challenger failed on",
    "challenger_not_loaded": "came where the challenger was not loaded",
}


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
    default=experiments.PREDICTION_ID,
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


def declined_sentence(context: Context, model: str, version: str) -> str:
    """That a version was not promoted, and why; empty for every other one."""
    name = paths.version(model, version, "decision.json")
    found = documents.read(context.lake, name).body
    if found.get("action") != "not_promoted":
        return ""
    who = "The gate" if found["by"] == "policy" else str(found["by"])
    which = shown(model, version, context.lake)
    return f"Note: {who} declined {which}: {briefly(str(found['sentence']))}"


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


def needed_sentence(
    context: Context, model: str, planned: Experiment, difference: float | None
) -> str:
    """How many labels it takes to show a difference, as far as the champion's holdout tells."""
    from shared.tabular.arms import METRICS
    from shared.tabular.performance import MIN_EFFECT, metric_name
    from shared.tabular.power import rows_needed

    package = documents.require(context.lake, paths.package(model, planned.against, "package.json"))
    metric, facts = METRICS[package["task"]], dict(package["metrics"])
    if metric == "rmse" and "rmse" in facts:
        facts["rmse"] *= package["target"]["scale"]
    effect = difference or MIN_EFFECT[metric] * (facts.get("rmse", 1) if metric == "rmse" else 1)
    timed = planned.until is not None
    rows = rows_needed(metric, facts, effect, planned.share, planned=timed)
    if rows is None:
        return f"The champion's holdout has no {metric_name(metric)}, so no number can be named."
    delay = read_spec(model, lake=context.lake).spec.monitoring.label_delay
    looks = (
        "looked at once, at its planned end"
        if timed
        else "looked at whenever you like, as there is no planned end (--until needs fewer)"
    )
    return (
        f"To show a true difference of {effect:.3g} in {metric_name(metric)} (champion on its "
        f"holdout: {facts[metric]:.3g}) in 4 of 5 such experiments it takes about {rows:,} "
        f"labelled rows in all, {looks}. Labels count {format_duration(delay)} after the "
        "prediction."
    )


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
    from shared.usecases.experiment_look import look_at

    spec = read_spec(record.model, lake=context.lake).spec
    return look_at(record, spec, now=context.clock.now(), lake=context.lake)


def show(context: Context, record: Record, found: Mapping[str, Any]) -> None:
    """The table, the verdict, and what to know before believing it."""
    from shared.tabular.performance import metric_name

    name = metric_name(found["metric"])
    click.echo()
    rows = []
    for arm in ("champion", "challenger"):
        measured = found[arm]
        share = measured["labelled"] / measured["counted"] if measured["counted"] else None
        row: dict[str, Any] = {
            "arm": arm,
            "version": measured["version"],
            "rows": measured["rows"],
            "old enough": measured["counted"],
            "labelled": measured["labelled"],
            "coverage": None if share is None else f"{share:.0%}",
        }
        if measured["positives"] is not None:
            row["positives"] = measured["positives"]
        ends = {"from": measured["low"], "to": measured["high"]}
        rows.append({**row, name: measured["value"], **ends})
    show_rows(rows, as_json=False)
    click.echo()
    if record.ended is None or not record.ended.verdict:  # else its end has said so
        say(str(found["sentence"]))
    for warning in found["warnings"]:
        say(f"Warning: {warning}.")
    for reason, count in found["left_out"].items():
        say(f"Left out: {count:,} rows that {LEFT_OUT.get(reason, reason)}; the champion answered.")
    say(_looks(context, record, found))


def _looks(context: Context, record: Record, found: Mapping[str, Any]) -> str:
    """Which rule the bounds follow."""
    until = parse_time(str(found["counted_until"]))
    if record.ended is not None and record.ended.verdict:
        return f"So judged when it ended: predictions up to {until:%Y-%m-%d %H:%M:%S} UTC counted."
    delay = read_spec(record.model, lake=context.lake).spec.monitoring.label_delay
    counted = f"Predictions up to {until:%Y-%m-%d %H:%M:%S} UTC count"
    if delay:
        counted += f" (labels are waited for {format_duration(delay)})"
    if found["final"]:
        return f"{counted}. This is the planned end: the one test that the experiment was made for."
    rest = "so intervals are wide enough for any number of looks"
    if record.experiment.until is None:
        return f"{counted}. There is no planned end, {rest}."
    return f"{counted}. Before the planned end one may look at any time, {rest}."


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
