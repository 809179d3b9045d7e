"""Evidently's drift report of a window as one HTML text that needs no network.

Importing Evidently takes seconds and hundreds of MiB, so it is imported in `draw` only. Names and
values come from people's files and Evidently embeds them in a script: markup characters are
replaced before it sees them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.statistic_names import Statistic
from shared.tabular.distances import FALSE_DISCOVERY_RATE
from shared.tabular.measures import Measures

if TYPE_CHECKING:
    import pandas as pd

SCORE = "prediction score"
DRAWN_ROWS = 2000
MISSING, OTHER = "(missing)", "(other)"
# A category column with more levels than this is drawn with its most frequent ones.
DRAWN_LEVELS = 30
THEIR_NAMES: dict[Statistic, str] = {
    "psi": "psi",
    "js": "jensenshannon",
    "chi_square": "chisquare",
    "ks": "ks",
    "wasserstein": "wasserstein",
}
BY_P_VALUE = ("ks", "chi_square")
_HARMLESS = str.maketrans({"<": "\u2039", ">": "\u203a", "&": "+", "\\": "/", '"': "'"})


def draw(
    reference: Mapping[str, Any],
    columns: Columns,
    scores: NDArray[np.float64],
    *,
    measures: Measures,
    drift_share: float,
    seed: int = 0,
) -> str | None:
    """The page, or None when no column has values on both sides to draw."""
    kinds = {item["name"]: item["kind"] for item in reference["features"]}
    sample = reference["sample"]
    before = {name: sample["columns"][name] for name in kinds}
    drawn = _sampled(columns, scores, seed)
    pairs = {
        harmless(name): _pair(before[name], drawn[name], kind)
        for name, kind in kinds.items()
        if name in drawn
    }
    pairs[SCORE] = _pair(sample["score"], drawn[SCORE], "number")
    usable = {name: pair for name, pair in pairs.items() if _drawable(pair)}
    if not usable:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently's own, about its dependencies
        return _evidently(usable, {harmless(name): name for name in kinds}, measures, drift_share)


def harmless(text: str) -> str:
    """The same text without characters that mean something to HTML or to a script."""
    return text.translate(_HARMLESS)


def _evidently(
    pairs: Mapping[str, tuple[str, NDArray[Any], NDArray[Any]]],
    features: Mapping[str, str],
    measures: Measures,
    share: float,
) -> str:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(
        numerical_columns=[name for name, (kind, _, _) in pairs.items() if kind == "number"],
        categorical_columns=[name for name, (kind, _, _) in pairs.items() if kind == "category"],
    )
    chosen = {name: measures.of(kind, features.get(name)) for name, (kind, _, _) in pairs.items()}
    preset = DataDriftPreset(
        per_column_method={name: THEIR_NAMES[one] for name, one in chosen.items()},
        per_column_threshold={
            name: _their_threshold(one, measures) for name, one in chosen.items()
        },
        drift_share=share,
    )
    current = Dataset.from_pandas(_frame(pairs, 2), data_definition=definition)
    reference = Dataset.from_pandas(_frame(pairs, 1), data_definition=definition)
    html: str = Report([preset]).run(current, reference).get_html_str(as_iframe=False)
    return html


def _their_threshold(statistic: Statistic, measures: Measures) -> float:
    """Evidently judges Kolmogorov-Smirnov and chi-square by their p-values."""
    return FALSE_DISCOVERY_RATE if statistic in BY_P_VALUE else measures.threshold(statistic)


def _frame(pairs: Mapping[str, tuple[str, NDArray[Any], NDArray[Any]]], side: int) -> pd.DataFrame:
    """Columns of different lengths side by side; the short ones end in missing values."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(pair[side]) for name, pair in pairs.items()})


def _sampled(columns: Columns, scores: NDArray[np.float64], seed: int) -> dict[str, Any]:
    rows = len(scores)
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(rows, min(rows, DRAWN_ROWS), replace=False))
    return {**{name: column[picked] for name, column in columns.items()}, SCORE: scores[picked]}


def _pair(before: Any, now: Any, kind: str) -> tuple[str, NDArray[Any], NDArray[Any]]:
    """Both sides as Evidently takes them: numbers, or texts with rare levels of the reference and
    (where it has many) unknown ones as one."""
    if kind == "number":
        return kind, _numbers(before), _numbers(now)
    texts = [
        np.array([harmless(str(v)) or MISSING for v in side], object) for side in (before, now)
    ]
    levels, counts = np.unique(texts[0].astype(str), return_counts=True)
    if len(levels) > DRAWN_LEVELS:
        kept = set(levels[np.argsort(-counts, kind="stable")][:DRAWN_LEVELS])
        texts = [np.array([v if v in kept else OTHER for v in side], object) for side in texts]
    return kind, texts[0], texts[1]


def _numbers(values: Any) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _drawable(pair: tuple[str, NDArray[Any], NDArray[Any]]) -> bool:
    kind, before, now = pair
    if kind == "category":
        return bool(len(before) and len(now))
    return bool((~np.isnan(before)).sum() > 1 and (~np.isnan(now)).sum() > 1)
