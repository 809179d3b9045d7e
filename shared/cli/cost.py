"""cost: what an installation costs a month by list prices, or what its runs have cost so far."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

import click

from infra import topology as topologies
from shared.cli import contexts
from shared.cli.console import json_option, say, show_json, show_rows
from shared.cli.costing import actual as recorded
from shared.cli.costing.assumptions import ASSUMPTIONS
from shared.cli.costing.estimate import Estimate, beside, estimate
from shared.cli.costing.prices import Prices, load
from shared.cli.costing.quantities import Usage, training_seconds

count = click.IntRange(min=0)
one = click.IntRange(min=1)


@click.command()
@click.option("--runs", type=count, default=0, show_default=True, help="Trainings a month.")
@click.option("--scorings", type=count, default=0, show_default=True, help="Scored files a month.")
@click.option("--predictions", type=count, default=0, show_default=True, help="Online, a month.")
@click.option("--models", type=one, default=1, show_default=True)
@click.option("--rows", type=one, default=30_000, show_default=True, help="Rows of a file.")
@click.option("--months", type=one, default=12, show_default=True, help="Until then files gather.")
@click.option("--size", type=click.Choice(["s", "m", "l"]), default="s", help="Size of the jobs.")
@click.option("--seconds", type=click.FloatRange(min=0), help="Of a training, if you know better.")
@click.option("--mlflow", type=click.Choice(["server", "off"]), default="off", show_default=True)
@click.option("--min-instances", type=count, default=0, help="Of the predictor that always wait.")
@click.option("--actual", is_flag=True, help="What the recorded runs would be billed, instead.")
@click.option("--model", default="", help="With --actual: only this model's runs.")
@json_option
@contexts.pass_name
def cost(
    context_name: str,
    *,
    runs: int,
    scorings: int,
    predictions: int,
    models: int,
    rows: int,
    months: int,
    size: str,
    seconds: float | None,
    mlflow: Literal["server", "off"],
    min_instances: int,
    actual: bool,
    model: str,
    as_json: bool,
) -> None:
    """Estimate a month on Google Cloud by list prices: what it costs idle, then what use adds."""
    prices = load()
    if actual:
        _show_actual(context_name, model, prices, as_json=as_json)
        return
    if model:
        raise click.UsageError("--model goes with --actual")
    usage = Usage(
        trainings=runs,
        scorings=scorings,
        predictions=predictions,
        models=models,
        rows=rows,
        months=months,
        size=size,
        mlflow=mlflow,
        min_instances=min_instances,
        training_seconds=seconds,
    )
    topology = topologies.load()
    found = estimate(usage, topology, prices)
    others = beside(topology, prices)
    if as_json:
        show_json(_body(usage, found, others))
        return
    _tell(usage, found, others)


def _body(usage: Usage, found: Estimate, others: list[dict[str, Any]]) -> dict[str, Any]:
    lines = [
        {
            "component": line.component,
            "idle": line.idle,
            "item": line.price.name,
            "amount": line.amount,
            "unit": line.price.unit,
            "free": line.free,
            "listed": line.listed,
            "cost": line.cost,
            "source": line.price.source,
            "seen": line.price.seen,
        }
        for line in found.lines
    ]
    return {
        "usage": asdict(usage),
        "training_seconds": training_seconds(usage),
        "idle": found.idle,
        "total": found.total,
        "listed": found.listed,
        "components": found.by_component(),
        "lines": lines,
        "beside": others,
        "assumptions": {name: asdict(item) for name, item in ASSUMPTIONS.items()},
    }


def _tell(usage: Usage, found: Estimate, others: list[dict[str, Any]]) -> None:
    say(f"Idle: {_money(found.idle)} a month. With this use: {_money(found.total)}")
    say(f"({_money(found.listed)} without what is free; USD, list prices, before tax)\n")
    rows = [
        {
            "component": row["component"],
            "when": "idle" if row["idle"] else "used",
            "list": _money(row["listed"]),
            "to_pay": _money(row["cost"]),
            "most_of_it": _largest(found, row["component"]),
        }
        for row in found.by_component()
    ]
    show_rows(rows, as_json=False)
    say("\nBeside it, a month")
    show_rows([{"what": row["what"], "cost": _money(row["cost"])} for row in others], as_json=False)
    say("\nTaken for granted")
    first = (
        f"{usage.rows:,} rows a file, a training takes {training_seconds(usage):,.0f} s in size "
        f"{usage.size}, files gather for {usage.months} months"
    )
    facts = [
        f"{name.replace('_', ' ')}: {item.value:,.7g} {item.unit} ({item.origin})"
        for name, item in ASSUMPTIONS.items()
    ]
    for fact in (first, *facts):
        say(f"  {fact}")
    say("\nPrices with sources and dates: infra/prices.yaml. What it means: infra/docs/cost.md")


def _largest(found: Estimate, component: str) -> str:
    """The priced thing that most of a component's bill is for."""
    lines = [line for line in found.lines if line.component == component]
    line = max(lines, key=lambda line: (line.cost, line.listed))
    free = ", free" if line.cost == 0 else ""
    amount = f"{line.amount:,.0f}" if line.amount >= 100 else f"{line.amount:,.3g}"
    return f"{amount} {line.price.unit} ({line.price.name.replace('_', ' ')}{free})"


def _money(dollars: float) -> str:
    return f"{dollars:,.2f}"


def _show_actual(context_name: str, model: str, prices: Prices, *, as_json: bool) -> None:
    context = contexts.load(context_name)
    found = recorded.runs_of(context.lake, model, topologies.load(), prices)
    if as_json:
        show_json({"models": recorded.by_model(found), "runs": [asdict(run) for run in found]})
        return
    models = [{**row, "cost": f"{row['cost']:.4f}"} for row in recorded.by_model(found)]
    show_rows(models, as_json=False, empty="No run has recorded its time yet.")
    if found:
        say("")
        show_rows([recorded.row(run) for run in found[: recorded.LATEST]], as_json=False)
        say(recorded.CAVEAT)
