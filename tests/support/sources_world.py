"""A predictor of one model over transactions, its rows known, asked and answered."""

from __future__ import annotations

from typing import Any

from tests.support.predictor import World
from tests.support.sources import (
    MODEL,
    Rows,
    keep,
    known_of,
    package_of,
    serve_sources,
    transactions,
)

PATH = f"/models/{MODEL}/predict"
ROWS: dict[str, Rows] = {
    "CS1": [
        {"at": "2025-12-31T12:00", "amount": 3, "shop": "A"},
        {"at": "2025-12-01", "amount": 4.5, "shop": "B"},
        {"at": "2026-03-01", "amount": 1000, "shop": "later"},
    ],
    "CS2": [],
}
CS1 = {
    "visits": 2.0,
    "spent": 7.5,
    "average": 3.75,
    "least": 3.0,
    "most": 4.5,
    "newest": 3.0,
    "shop": "A",
    "shops": 2.0,
    "days": 0.5,
    "visits_lately": 1.0,
    "spent_lately": 7.5,
    "average_lately": 3.0,
    "least_lately": 3.0,
    "most_lately": 3.0,
    "newest_lately": 3.0,
    "shop_lately": "A",
    "shops_lately": 2.0,
}


class Sources(World):
    """A predictor of one model over transactions, asked and answered."""

    def __init__(self, *, known: dict[str, Rows] | None = None, **more: Any) -> None:
        super().__init__()
        source = transactions(**more)
        kept = known_of(source, ROWS if known is None else known)
        self.source = keep(source, kept, self.lake.bucket)
        self.package = package_of(self.source)
        serve_sources(self.package, self.lake.bucket)

    def one(self, record: dict[str, Any]) -> dict[str, Any]:
        """The only prediction for a record."""
        status, answer = self.ask(record, PATH)
        assert status == 200, answer
        (prediction,) = answer["predictions"]
        return dict(prediction)

    def problems(self, record: object) -> list[dict[str, Any]]:
        status, answer = self.ask(record, PATH)
        assert status == 422, answer
        return list(answer["error"]["problems"])

    def instance(self) -> dict[str, Any]:
        """What the inference log says of the last answered row."""
        return dict(self.log_lines()[-1]["instance"])
