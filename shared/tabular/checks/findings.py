"""What can be found in prepared data, by name: the catalogue behind policies, cards and docs.

`checks`, `leakage` and `drifted_schema` look for these; what becomes of a finding (stop, warn, off)
is the policy's business.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["stop", "warn"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at. `policy` is its key under `checks` in the spec; one that
    `only_warns` never stops, whatever the policy."""

    name: str
    policy: str
    what: str
    answer: str
    only_warns: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check of CHECKS found. `advice` holds the line of the spec that answers it."""

    name: str
    level: Level
    sentence: str
    advice: str
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if CHECKS[self.name].only_warns and self.level != "warn":
            raise ValueError(f"{self.name} only ever warns")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "columns": list(self.columns)}


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(
            "leakage",
            "leakage",
            "One column alone nearly predicts the target (out of fold: AUROC from 0.988, R2 from "
            "0.98), by its values or by where it is missing. Stops a model's first training only.",
            "Exclude the column if it is known only afterwards; else say why it may stay: "
            '`columns: {NAME: {allow_leak: "why"}}`.',
        ),
        Check(
            "strong_column",
            "leakage",
            "One column alone predicts the target very well (AUROC from 0.98, R2 from 0.95), but "
            "not well enough to be taken for the target itself. Only ever warns, and asks a person "
            "before the version serves.",
            "As for leakage; nothing if the column is known when predictions are asked for.",
            only_warns=True,
        ),
        Check(
            "target_missing",
            "target_pile",
            "1 % of the rows or more have no target; they are in quarantine.",
            "Fill them in and replay them, or leave them out of the file.",
        ),
        Check(
            "target_constant",
            "target_pile",
            "95 % of the rows or more have one and the same target value (regression).",
            "Look whether the column is the right one, or whether the task is binary.",
        ),
        Check(
            "target_pile",
            "target_pile",
            "The target piles up at its maximum, as values that were cut off do (regression).",
            "Predictions will not pass the cap. Leave such rows out with "
            "`require: {max: ...}` on the target, or accept it: `checks: {target_pile: off}`.",
        ),
        Check(
            "small_class",
            "small_class",
            "A class has fewer rows than `checks.min_class_rows`.",
            "Bring more rows of it, or join it with another class before the file is written.",
        ),
        Check(
            "duplicate_rows",
            "duplicates",
            "Rows equal another in every feature and the target, more than coincidence explains.",
            "Look whether the file holds a part twice. Equal rows are always on one side of the "
            "holdout, so the comparison is not flattered; fitting counts them twice.",
        ),
        Check(
            "contradictions",
            "duplicates",
            "Rows are equal in every feature and differ in the target.",
            "No model can be right about both. A column may be missing, or labels were corrected "
            "and the old rows stayed.",
        ),
        Check(
            "sorted_by_target",
            "sorted_by_target",
            "The rows stand in the order of the target (rank correlation with their position).",
            "A random holdout does not mind. Rows in order of time may look so too: then "
            "`training: {split: time, time_column: NAME}` is the honest comparison.",
        ),
        Check(
            "identifier",
            "identifiers",
            "A feature looks like an identifier: nearly every row has its own value, it numbers "
            "the rows, or it is called so.",
            "`columns: {NAME: {exclude: true}}`: it stays in outputs and is not learned.",
        ),
        Check(
            "columns_changed",
            "schema_drift",
            "Columns came or went since the last file that was trained on.",
            "Look whether the export changed.",
        ),
        Check(
            "type_changed",
            "schema_drift",
            "A column was a number and is a category now, or the other way round.",
            "Name its `type` in the spec.",
        ),
        Check(
            "new_categories",
            "schema_drift",
            "Rows have categories that the last file did not have, or frequent ones are gone.",
            "Look whether the spelling changed at the source.",
        ),
        Check(
            "range_changed",
            "schema_drift",
            "Numbers lie outside the range of the last file.",
            "Look at the source; `require` keeps impossible values out.",
        ),
        Check(
            "unit_changed",
            "schema_drift",
            "All of a column's numbers are 100, 1,000 or 1,000,000 times what they were, or that "
            "part of it: the unit seems to have changed.",
            "Convert the column, or drop old and new rows in one unit.",
        ),
        Check(
            "missing_changed",
            "schema_drift",
            "A column is missing in many more rows than in the last file.",
            "Look whether the source stopped filling it.",
        ),
    )
}


def spec_line(column: str, setting: str) -> str:
    """`columns: {status: {exclude: true}}`, as YAML reads it whatever the column is called."""
    plain = _PLAIN_NAME.fullmatch(column) and column.lower() not in _YAML_WORDS
    return (
        f"columns: {{{column if plain else json.dumps(column, ensure_ascii=False)}: {{{setting}}}}}"
    )
