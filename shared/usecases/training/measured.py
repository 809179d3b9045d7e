"""What else `compared` measures: every metric with its interval, slices, package size, latency.

In comparison.json as `measures`, `slices`, `disagreement`, `package_bytes` and `latency`;
`shared.guardrails` judges them by the spec in force, a canary is held against `disagreement`.
"""

from __future__ import annotations

from typing import Any

from shared import paths
from shared.serving.loaded_model import LoadedModel
from shared.tabular import latency, measuring
from shared.tabular.dataset import Cells, Examples, columns_of
from shared.tabular.disagreement import disagreement
from shared.tabular.measuring import Answered
from shared.usecases.training.loaded import Prepared
from shared.usecases.training.stages import Training


def measurements(
    run: Training,
    version: str,
    prepared: Prepared,
    holdout: Examples,
    *,
    mine: Answered,
    champion: Answered | None,
) -> dict[str, Any]:
    """Metrics and slices on the rows compared on, and what the package weighs."""
    declared = run.spec.promotion.slices
    features = prepared.schema.seen
    names = measuring.slice_columns(declared.columns, features, holdout.columns)
    return {
        "measures": measuring.measures(mine, champion),
        "slices": measuring.slices(
            names,
            holdout.columns,
            mine,
            min_rows=declared.min_rows,
            wanted=[*declared.worst, *declared.max_gap],
            gaps=bool(declared.columns),  # nobody asks for those of columns that nobody named
        ),
        "disagreement": disagreement(mine, champion, scale=prepared.outcome.scale),
        "package_bytes": sum(
            info.size_bytes for info in run.lake.list(paths.package(run.model, version))
        ),
    }


def time_rows(
    model: LoadedModel, champion: LoadedModel | None, prepared: Prepared, cells: Cells
) -> dict[str, Any] | None:
    """How long one holdout row takes, beside the champion where that can answer; None without
    rows."""
    rows = latency.spread_rows(len(cells[prepared.target]))
    if not rows:
        return None

    def side(one: LoadedModel) -> tuple[LoadedModel, list[latency.Record]]:
        columns = columns_of(cells, one.schema)
        return one, [one.schema.record_of(columns, row) for row in rows]

    return latency.side_by_side(side(model), side(champion) if champion else None)
