"""Quantities times unit prices, less what is free. Pure.

What is free is one pot per priced thing for the whole billing account; it is spent from the top of
the table down, so idle costs take theirs first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.topology import Topology
from shared.cli.costing.prices import Price, Prices
from shared.cli.costing.quantities import Component, Usage, components, memory_gib


@dataclass(frozen=True, slots=True)
class Line:
    """So much of a priced thing in one component: dollars at list price, and after what is free."""

    component: str
    idle: bool
    price: Price
    amount: float
    free: float

    @property
    def listed(self) -> float:
        return self.amount * self.price.price

    @property
    def cost(self) -> float:
        return (self.amount - self.free) * self.price.price


@dataclass(frozen=True, slots=True)
class Estimate:
    lines: tuple[Line, ...]

    @property
    def idle(self) -> float:
        return sum(line.cost for line in self.lines if line.idle)

    @property
    def total(self) -> float:
        return sum(line.cost for line in self.lines)

    @property
    def listed(self) -> float:
        return sum(line.listed for line in self.lines)

    def by_component(self) -> list[dict[str, Any]]:
        """One row per component, in order."""
        rows: dict[str, dict[str, Any]] = {}
        for line in self.lines:
            first = {"component": line.component, "idle": line.idle, "listed": 0.0, "cost": 0.0}
            row = rows.setdefault(line.component, first)
            row["listed"] += line.listed
            row["cost"] += line.cost
        return list(rows.values())


def priced(found: Iterable[Component], prices: Mapping[str, Price]) -> tuple[Line, ...]:
    """Every amount with its price; nothing of nothing. Raises KeyError for a thing without one."""
    left = {name: price.free for name, price in prices.items()}
    lines = []
    for component in found:
        for name, amount in component.amounts.items():
            if amount:
                free = min(amount, left[name])
                left[name] -= free
                lines.append(Line(component.name, component.idle, prices[name], amount, free))
    return tuple(lines)


def estimate(usage: Usage, topology: Topology, prices: Prices) -> Estimate:
    """A month of this usage."""
    return Estimate(priced(components(usage, topology, prices.hours_per_month), prices.of))


def beside(topology: Topology, prices: Prices) -> list[dict[str, Any]]:
    """What others leave running, by the same prices: dollars a month."""
    predict, seconds = topology.services["predict"], prices.seconds_per_month
    cpu, memory = float(predict.cpu), memory_gib(predict.memory)
    of = {name: price.price for name, price in prices.of.items()}
    always = seconds * (cpu * of["job_cpu"] + memory * of["job_memory"])
    waiting = seconds * (cpu * of["idle_cpu"] + memory * of["idle_memory"])
    return [
        {"what": "Composer 3, idle (lower end of 300 to 400)", "cost": of["composer_floor"]},
        {
            "what": f"an endpoint that is always on ({cpu:g} vCPU, {memory:g} GiB, billed whole)",
            "cost": always,
        },
        {
            "what": f"one minimum instance of our predictor ({cpu:g} vCPU, {memory:g} GiB, idle)",
            "cost": waiting,
        },
    ]
