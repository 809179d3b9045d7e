"""trace: where a version, a run or a single prediction comes from, told from the top down."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from shared import documents, paths, runs
from shared.cli import contexts
from shared.cli.console import json_option, say, show_json
from shared.cli.known import unknown
from shared.cli.trace_told import tell
from shared.cli.tracing import ancestors, learned_by, run_facts, trained_under
from shared.cli.tracing_answers import RECENT_DAYS, batch_answer, online_answer, search_log
from shared.cli.why import find_runs
from shared.labelled import SUMMARY
from shared.ports import Bucket
from shared.predicted import BATCH_ID, days_told, find_batch_run
from shared.spec.registry import known_models
from shared.versions import is_stored


@click.command()
@click.argument("what", metavar="VERSION|RUN|PREDICTION_ID")
@click.option("--model", default="", help="Look only at this model.")
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day of an online prediction whose id does not tell it.",
)
@json_option
@contexts.pass_name
def trace(context_name: str, what: str, model: str, day: datetime | None, as_json: bool) -> None:
    """Walk back from a version, a run or a prediction to the exact objects that came in: inputs by
    generation, spec, code, data, labels, and who decided.

    A prediction of a scored file is `<run>-<record>`; one of the predictor has the id of its
    answer.
    """
    lake = contexts.load(context_name).lake
    if model and model not in known_models(lake=lake):
        raise click.ClickException(unknown(model, lake))
    found = find(what, lake, model=model, day=day.date() if day else None)
    if as_json:
        show_json(found)
    else:
        for line in tell(found):
            say(line)


def find(what: str, lake: Bucket, *, model: str = "", day: date | None = None) -> dict[str, Any]:
    """What a name stands for, with all it rests on: `prediction`, `run` (a run that made no
    version) and `versions`, newest first. Raises ClickException."""
    batch = BATCH_ID.fullmatch(what)
    if batch:
        scored = _scored(batch[1], int(batch[2]), model, lake)
        if scored:
            return {"asked": what, **_of_answer(scored, lake)}
    told = days_told(what)
    if not batch and not told and day is None:
        at = find_runs(what, lake, model=model)
        if len(at) > 1:
            several = ", ".join(f"{name}/{run_id}" for name, run_id in at[:5])
            raise click.ClickException(f"{what!r} fits {len(at)} runs: {several}")
        if at:
            return {"asked": what, **_of_run(*at[0], lake)}
    searched = search_log(what, model, day, lake)
    if searched.line is None:
        hint = "" if day or told else f" (the newest {RECENT_DAYS}; --day DATE looks at another)"
        raise click.ClickException(
            f"there is no version, run or prediction {what!r}; {searched}{hint}"
        )
    answer = online_answer(searched.line, lake)
    return {"asked": what, **_of_answer(answer, lake), "searched": list(map(str, searched.days))}


def _scored(run_id: str, record: int, model: str, lake: Bucket) -> dict[str, Any] | None:
    """A row of a scored file, of whichever model has that run. Raises ClickException for a record
    that the file does not have."""
    for name in [model] if model else known_models(lake=lake):
        run = find_batch_run(name, run_id, lake=lake)
        if run is not None and record > run.rows:
            raise click.ClickException(
                f"run {run_id} of {name} scored {run.rows:,} rows; there is no record {record:,}"
            )
        if run is not None:
            return batch_answer(name, run, record, lake)
    return None


def _of_answer(answer: dict[str, Any], lake: Bucket) -> dict[str, Any]:
    model = answer["model"]
    run = None
    if answer["channel"] == "batch":
        run = run_facts(model, answer["prediction_id"].rpartition("-")[0], lake)
    return {
        "model": model,
        "prediction": answer,
        "run": run,
        "versions": ancestors(model, answer["version"], lake),
    }


def _of_run(model: str, run_id: str, lake: Bucket) -> dict[str, Any]:
    """A version, or a run with the version that it used or was about."""
    found = {"model": model, "prediction": None}
    if is_stored(model, run_id, lake=lake):
        return {**found, "run": None, "versions": ancestors(model, run_id, lake)}
    run = run_facts(model, run_id, lake)
    about = run["version"] or run["same_as"]
    if run["kind"] == "score":
        launched = documents.read(lake, paths.run_launch(model, run_id)).body
        about = launched.get("champion")
    if run["kind"] == "label":
        summary = documents.read(lake, paths.run_stage(model, run_id, SUMMARY)).body
        run["labels"] = summary.get("object")
        run["learned_by"] = learned_by(model, str(summary.get("object")), lake)
    if run["state"] == "spec_registered":
        generation = runs.state(model, run_id, lake=lake).facts.get("generation")
        run["trained_under"] = trained_under(model, int(generation or 0), lake)
    stored = bool(about) and is_stored(model, str(about), lake=lake)
    versions = ancestors(model, str(about), lake) if stored else []
    return {**found, "run": run, "versions": versions}
