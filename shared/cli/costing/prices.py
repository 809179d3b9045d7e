"""Unit prices as data: `infra/prices.yaml`, with source and date of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parents[3] / "infra" / "prices.yaml"


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per `unit`; `free` units a month cost nothing. `seen` is the date of the page, or
    `undated`; `how` says where a number is not from there."""

    name: str
    price: float
    unit: str
    free: float
    source: str
    seen: str
    what: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Prices:
    seconds_per_month: float
    of: Mapping[str, Price]

    @property
    def hours_per_month(self) -> float:
        return self.seconds_per_month / 3600


def load(file: Path = FILE) -> Prices:
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    found = {name: Price(name=name, **item) for name, item in body["prices"].items()}
    return Prices(float(body["seconds_per_month"]), found)
