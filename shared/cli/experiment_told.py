"""What is said about an experiment: how many labels it takes, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from shared import documents, paths
from shared.beside.experiments import Record
from shared.beside.second_version import SecondVersion
from shared.budget import briefly
from shared.cli.console import say, show_rows
from shared.cli.contexts import Context
from shared.cli.named import shown
from shared.events import parse_time
from shared.serving.times import format_duration
from shared.spec.registry import read_spec

LEFT_OUT = {
    "no_key": "have no value of the key",
    "challenger_refuses": "the challenger's schema refuses",
    "challenger_failed": "the challenger failed on",
    "challenger_slow": "the challenger took too long for",
    "challenger_stopped": "came to an instance that the challenger had failed before",
    "challenger_not_loaded": "came where the challenger was not loaded",
}


def declined_sentence(context: Context, model: str, version: str) -> str:
    """That a version was not promoted, and why; empty for every other one."""
    name = paths.version(model, version, "decision.json")
    found = documents.read(context.lake, name).body
    if found.get("action") != "not_promoted":
        return ""
    who = "The gate" if found["by"] == "policy" else str(found["by"])
    which = shown(model, version, context.lake)
    return f"Note: {who} declined {which}: {briefly(str(found['sentence']))}"


def needed_sentence(
    context: Context, model: str, planned: SecondVersion, difference: float | None
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
