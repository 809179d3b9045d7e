"""why: one run on one screen. What happened, and what a person can do next."""

from __future__ import annotations

from typing import Any

import click

from shared import documents, paths, runs
from shared.cli import contexts, words
from shared.cli.batching import waits_for
from shared.cli.console import json_option, safe, say, show_json, shown_command
from shared.cli.named import SHORTEST
from shared.cli.quarantined import summary
from shared.cli.status import run_ids
from shared.ports import Bucket
from shared.spec.numbering import Number
from shared.versions import numbered


@click.command()
@click.argument("run", required=False, default="")
@json_option
@contexts.pass_name
def why(context_name: str, run: str, as_json: bool) -> None:
    """What happened to RUN (a run or version id, part of one, or a semantic version), else to the
    newest run."""
    lake = contexts.load(context_name).lake
    model, run_id = find_run(run, lake) if run else newest_run(lake)
    story = tell(model, run_id, lake, context_name)
    if as_json:
        show_json(story)
        return
    say(f"{story['kind'] or 'run'} {run_id} of {model}: {story['state'].replace('_', ' ')}")
    for item in story["inputs"]:
        say(f"  input    {safe(item)}")
    if story["replays"]:
        say(f"  replays  {story['replays']}, with corrected rows")
    for other in story["replayed_by"]:
        say(f"  replayed by {other}")
    for name, where in story["objects"].items():
        say(f"  {name:<8} {where}")
    click.echo("\nWhat happened")
    for event in story["events"]:
        say(f"  {event['at'][:19].replace('T', ' ')}Z  {event['sentence']}")
    if story["next"]:
        click.echo("\nWhat next")
        for step in story["next"]:
            say(f"  {step}")


def newest_run(lake: Bucket) -> tuple[str, str]:
    """Of all models. Raises ClickException where there is none."""
    models = [name.split("/")[1] for name in lake.folders("runs/")]
    newest = [(ids[0], model) for model in models if (ids := run_ids(model, lake))]
    if not newest:
        raise click.ClickException("there is no run yet")
    run_id, model = max(newest)
    return model, run_id


def find_run(text: str, lake: Bucket) -> tuple[str, str]:
    """Model and full run id. Raises ClickException when none or several fit."""
    found = find_runs(text, lake)
    if len(found) == 1:
        return found[0]
    if not found:
        raise click.ClickException(f"there is no run {text!r}; see ./millrace status MODEL")
    several = ", ".join(f"{model}/{run_id}" for model, run_id in found[:5])
    raise click.ClickException(f"{text!r} fits {len(found)} runs: {several}")


def find_runs(text: str, lake: Bucket, *, model: str = "") -> list[tuple[str, str]]:
    """Every run that `text` may mean: an id, the beginning or end of one, or the semantic version
    of what it made; `model/...` looks at one model only."""
    only, _, wanted = text.rpartition("/")
    only = only or model
    models = [only] if only else [name.split("/")[1] for name in lake.folders("runs/")]
    number = Number.parse(wanted)
    if number is not None:
        made = ((name, numbered(name, str(number), lake=lake)) for name in models)
        return [(name, version) for name, version in made if version]
    known = [(name, run_id) for name in models for run_id in run_ids(name, lake)]
    if not wanted:
        return []
    begun = [item for item in known if item[1].startswith(wanted)]
    if begun or len(wanted) < SHORTEST:
        return begun
    return [item for item in known if item[1].endswith(wanted)]


def tell(model: str, run_id: str, lake: Bucket, context_name: str) -> dict[str, Any]:
    """The story of a run as one document."""
    history = runs.history(model, run_id, lake=lake)
    state = runs.fold(history)
    request = documents.read(lake, paths.run_request(model, run_id)).body
    kind = str(request.get("kind") or "")
    inputs = [item["source"] for item in request.get("inputs", [])]
    inputs = inputs or [str(e["facts"]["source"]) for e in history[:1] if "source" in e["facts"]]
    facts = dict(state.facts)
    for event in history:  # a later step may need what an earlier one knew
        facts = {**event["facts"], **facts}
    steps = words.next_steps(
        model, run_id, state.state, facts, kind=kind, context=context_name, lake=lake.name
    )
    # The next steps of a run with too many bad rows say it already.
    mendable = kind == "train" and facts.get("reason") != "TooManyBadRows"
    return {
        "model": model,
        "run_id": run_id,
        "kind": kind,
        "state": state.state,
        "inputs": inputs,
        "replays": request.get("replays"),
        "replayed_by": [
            event["facts"]["run_id"]
            for event in history
            if event["name"].startswith(runs.REPLAYED_BY)
        ],
        "objects": _objects(model, run_id, lake),
        "events": [{**event, "sentence": words.sentence(event)} for event in history],
        "next": [
            *([waiting] if (waiting := waits_for(history, lake=lake)) else []),
            *(words.left_open(history) if state.state != "rejected" else ()),
            *steps,
            *_to_read(model, run_id, state.state, lake, context_name),
            *(_to_mend(model, run_id, lake, context_name) if mendable else []),
        ],
    }


def _to_read(model: str, run_id: str, state: str, lake: Bucket, context_name: str) -> list[str]:
    """How to get the run's result, where the next steps do not say it."""
    name = None if state == "scored" else main_result(model, run_id, lake)
    if name is None:
        return []
    what = name.rpartition("/")[2]
    return [f"Read {what}: {shown_command('get', run_id, context=context_name)}"]


def _to_mend(model: str, run_id: str, lake: Bucket, context_name: str) -> list[str]:
    """How to correct rows in quarantine."""
    found = summary(model, run_id, lake)
    if not found:
        return []
    count = found.get("quarantined", 0)
    look = shown_command("quarantine", "show", run_id, context=context_name)
    return [f"{count:,} rows are in quarantine; to look, correct and replay them: {look}"]


def main_result(model: str, run_id: str, lake: Bucket) -> str | None:
    """The object a person wants first of a run: predictions, a version's card, the rows or the
    reason of a refusal."""
    endings = ("csv", "jsonl", "json")  # json: of Parquet files
    scored = (paths.predictions(model, run_id, f"predictions.{ending}") for ending in endings)
    for name in (*scored, paths.version(model, run_id, "card.html")):
        if next(iter(lake.list(name)), None) is not None:
            return name
    first = paths.quarantine(model, run_id, "rows.csv")  # before those of joined sources
    bad_rows = [info.name for info in lake.list(paths.quarantine(model, run_id, ""))]
    bad_rows.sort(key=lambda name: name != first)
    refused = [info.name for info in lake.list(paths.rejection(model, run_id))]
    found = [*(name for name in bad_rows if name.endswith(".csv")), *bad_rows, *refused]
    return found[0] if found else None


def _objects(model: str, run_id: str, lake: Bucket) -> dict[str, str]:
    """What the run left in the lake, by what it is."""
    places = {
        "data": paths.dataset(model, run_id),
        "version": paths.version(model, run_id),
        "scores": paths.predictions(model, run_id),
        "refused": paths.rejection(model, run_id),
        "bad rows": paths.quarantine(model, run_id, ""),
    }
    return {
        name: f"gs://{lake.name}/{place}"
        for name, place in places.items()
        if next(iter(lake.list(place)), None) is not None
    }
