"""How predictions are watched, as a spec declares it, and what can be wrong with that."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from shared.spec.base import Duration, Part, Stretch
from shared.spec.nearest import nearest
from shared.statistic_names import OF_KIND, OfCategory, OfNumber, Statistic

if TYPE_CHECKING:
    from shared.spec.model import Spec

Found = tuple[tuple[str, ...], str]
Threshold = Annotated[float, Field(gt=0)]


class Statistics(Part):
    """Which statistic says how far a column moved: one per type, another one for some `columns`.
    `thresholds` are where each begins to count; what is left out equals `drift_threshold`."""

    number: OfNumber = "psi"
    category: OfCategory = "psi"
    columns: dict[str, Statistic] = Field(default_factory=dict)
    thresholds: dict[Statistic, Threshold] = Field(default_factory=dict)


class Monitoring(Part):
    """Windows are `window` long and judged `grace` after they close; labels count once they are
    `label_delay` old. `persistence` (m, n): an alert needs m of the last n windows."""

    window: Stretch = timedelta(days=1)
    grace: Duration = timedelta(hours=1)
    label_delay: Duration = timedelta(days=7)
    min_rows: int = Field(default=200, ge=20)
    min_positives: int = Field(default=50, ge=5)
    min_coverage: float = Field(default=0.8, gt=0, le=1)
    drift_threshold: float = Field(default=0.1, gt=0)
    drift_share: float = Field(default=0.25, gt=0, le=1)
    min_effect: float | None = Field(default=None, gt=0)
    persistence: tuple[int, int] = (2, 3)
    statistics: Statistics = Statistics()

    @model_validator(mode="after")
    def _m_of_n(self) -> Monitoring:
        if not 1 <= self.persistence[0] <= self.persistence[1]:
            raise ValueError("persistence is [m, n] with 1 <= m <= n")
        return self


def watching_problems(spec: Spec) -> Iterator[Found]:
    """What is wrong with the statistics of a spec whose single keys are right."""
    chosen, at = spec.monitoring.statistics, ("monitoring", "statistics")
    if "psi" in chosen.thresholds:
        yield (*at, "thresholds", "psi"), "is monitoring.drift_threshold; write it there"
    known = spec.all_columns
    for name, statistic in chosen.columns.items():
        column = known.get(name)
        if name == spec.target.column:
            text = f"{name!r} is the target, which is judged by the statistic of its type"
            yield (*at, "columns"), text
        elif name in spec.derive:
            if statistic not in OF_KIND["number"]:
                yield (*at, "columns", name), _of_another_type(name, "number", statistic)
        elif column is None and known:
            yield (*at, "columns"), f"{name!r} is no column; {nearest(name, known)}"
        elif column is not None and not column.feature:
            yield (*at, "columns"), f"{name!r} is no feature, so it is not watched; leave it out"
        elif column is not None and statistic not in OF_KIND.get(str(column.type), (statistic,)):
            yield (*at, "columns", name), _of_another_type(name, str(column.type), statistic)


def _of_another_type(name: str, kind: str, statistic: str) -> str:
    return f"is {statistic}, but {name} is a {kind}; write one of {', '.join(OF_KIND[kind])}"
