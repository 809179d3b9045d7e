"""Checks of prepared data: what a person should look at before a model learns from it.

Each check is a pure function from arrays to findings with numbers in their sentence and the exact
line of the spec that answers them. The larger ones are in `shared.tabular.checks.leakage` and
`shared.tabular.checks.drifted_schema`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.features import Feature
from shared.tabular.checks.findings import Finding, Level, spec_line
from shared.tabular.checks.repeats import Repeated
from shared.tabular.metrics import Floats, auroc

MANY_MISSING = 0.01
NEARLY_CONSTANT = 0.95
# A pile holds this share of the rows, and this many times the rows of any value close below it.
PILE_SHARE = 0.01
PILE_TIMES = 5
PILE_NEIGHBOURS = 50
# Rows that repeat an earlier one. Coincidences often disagree about the target (Adult without its
# weights: 10.6 % repeat, 6.5 % disagree), copies never do; so many are worth a word anyway.
COPIES_SHARE = 0.01
COPIES_PER_CONTRADICTION = 10
COPIES_ALWAYS = 0.25
CONTRADICTIONS_SHARE = 0.1
# With fewer different rows a table is a list of combinations, and disagreement is its nature.
DISTINCT_SHARE = 0.5
SORTED = 0.5
MIN_SORTED_ROWS = 20
# As in drafting a spec: from these shares of different texts on, a text names its row.
OWN_TEXT = 0.9
OWN_TEXT_MANY = 0.5
MANY_LEVELS = 50
NAMED_SHARE = 0.05
OWN_NUMBER = 0.99
DENSE = 1.2
_IDENTIFIER = re.compile(r"(^|[\W_])(id|uuid|guid|key)$", re.IGNORECASE)
_CAMEL = re.compile(r"[a-z](Id|ID|Uuid|UUID|Guid|GUID)$")


# --- target --------------------------------------------------------------------------------------


def target_missing(target: str, missing: int, rows: int, level: Level) -> list[Finding]:
    """`rows` counts all records of the input."""
    if not rows or missing < MANY_MISSING * rows:
        return []
    sentence = f"{missing:,} of {rows:,} rows ({missing / rows:.1%}) have no `{target}`"
    advice = "Fill it in and replay the quarantine, or leave such rows out of the file."
    return [Finding("target_missing", level, sentence, advice, (target,))]


def target_values(target: str, values: Floats, level: Level) -> list[Finding]:
    """A regression target [n_rows] that is nearly constant, or piles up at its maximum."""
    distinct, counts = np.unique(values, return_counts=True)
    most = int(counts.max())
    if most >= NEARLY_CONSTANT * len(values):
        value = distinct[int(counts.argmax())]
        sentence = f"`{target}` is {value:,.10g} in {most:,} of {len(values):,} rows"
        advice = f"Is `{target}` the right target, or the task binary?"
        return [Finding("target_constant", level, sentence, advice, (target,))]
    piled, below = int(counts[-1]), counts[-1 - PILE_NEIGHBOURS : -1]
    if len(below) < PILE_NEIGHBOURS or piled < PILE_SHARE * len(values):
        return []
    if piled < PILE_TIMES * int(below.max()):
        return []
    sentence = (
        f"{piled:,} of {len(values):,} rows ({piled / len(values):.1%}) have the largest value of "
        f"`{target}`, {distinct[-1]:,.10g}, and no value close below it has more than "
        f"{int(below.max()):,}: what was larger seems to have been cut off there"
    )
    leave_out = spec_line(target, f"type: number, require: {{max: {distinct[-2]:.10g}}}")
    advice = (
        f"To leave such rows out (within max_bad_rows), set `{leave_out}`; to accept it, "
        f"`checks: {{target_pile: off}}`."
    )
    return [Finding("target_pile", level, sentence, advice, (target,))]


def small_classes(
    target: str, counts: Sequence[int], labels: Sequence[str], least: int, level: Level
) -> list[Finding]:
    """Classes with fewer than `least` rows; `counts` are in the order of `labels`."""
    few = [f"{label!r} ({n:,})" for label, n in zip(labels, counts, strict=True) if n < least]
    if not few:
        return []
    has = "has" if len(few) == 1 else "have"
    sentence = f"of `{target}`, {', '.join(few)} {has} fewer than {least} rows"
    lower = max(10, min(counts))
    advice = f"Bring more such rows, or accept fewer: `checks: {{min_class_rows: {lower}}}`."
    return [Finding("small_class", level, sentence, advice, (target,))]


# --- rows ----------------------------------------------------------------------------------------


def duplicates(found: Repeated, level: Level) -> list[Finding]:
    """Copies and contradictions."""
    total, copies, disagreeing = found.counted, found.copies, found.disagreeing
    about = "about " if found.counted < found.rows else ""
    scale = found.rows / total if total else 0.0

    def of_all(number: int) -> str:
        share = number / total
        return f"{about}{number * scale:,.0f} of {found.rows:,} rows ({share:.1%})"

    findings = []
    many = copies >= COPIES_SHARE * total and copies >= COPIES_PER_CONTRADICTION * disagreeing
    if copies and (many or copies >= COPIES_ALWAYS * total):
        sentence = f"{of_all(copies)} repeat another row in every feature and the target"
        advice = "Is a part of the file in it twice? If not: `checks: {duplicates: off}`."
        findings.append(Finding("duplicate_rows", level, sentence, advice))
    many = disagreeing >= CONTRADICTIONS_SHARE * total
    if disagreeing and many and found.different >= DISTINCT_SHARE * total:
        sentence = (
            f"{of_all(disagreeing)} equal another row in every feature and differ from it in the "
            f"target"
        )
        advice = "Were labels corrected and the old rows left? If not: `checks: {duplicates: off}`."
        findings.append(Finding("contradictions", level, sentence, advice))
    return findings


def sorted_by_target(
    task: str, target: str, values: Floats, classes: int, level: Level
) -> list[Finding]:
    """Rank correlation of the target with the row's position: Spearman's for numbers, for classes
    the strongest 2 AUROC - 1 of one class against the rest. `values` are in the file's order."""
    if len(values) < MIN_SORTED_ROWS:
        return []
    position = np.arange(len(values), dtype=np.float64)
    if task == "regression":
        found = float(np.corrcoef(position, ranks(values))[0, 1]) if np.ptp(values) else 0.0
    else:
        each = [
            2 * auroc((values == label).astype(np.float64), position) - 1
            for label in range(classes)
        ]
        found = max((value for value in each if not np.isnan(value)), key=abs, default=0.0)
    if abs(found) < SORTED:
        return []
    sentence = (
        f"the rows stand in the order of `{target}` (rank correlation with their position "
        f"{found:+.2f}); rows in order of time may look so too"
    )
    advice = (
        "A random holdout does not mind. If the order is time, compare by time: "
        "`training: {split: time, time_column: NAME}`; else `checks: {sorted_by_target: off}`."
    )
    return [Finding("sorted_by_target", level, sentence, advice, (target,))]


# --- identifiers ---------------------------------------------------------------------------------


def identifiers(
    features: Sequence[Feature], columns: Columns, rows: int, level: Level
) -> list[Finding]:
    """Features that name their row. `columns` may be a sample of `rows`."""
    found = []
    for feature in features:
        column = columns[feature.name]
        why = (
            _number_identifies(feature.name, column, rows)
            if feature.kind == "number"
            else _text_identifies(feature.name, column)
        )
        if why:
            advice = (
                f"To keep it out of the features: `{spec_line(feature.name, 'exclude: true')}`."
            )
            sentence = f"`{feature.name}` looks like an identifier: {why}"
            found.append(Finding("identifier", level, sentence, advice, (feature.name,)))
    return found


def _text_identifies(name: str, column: NDArray[Any]) -> str:
    known = [text for text in column.tolist() if text]
    distinct = len(set(known))
    if len(known) < MIN_SORTED_ROWS:
        return ""
    share = distinct / len(known)
    if share > OWN_TEXT or (share > OWN_TEXT_MANY and distinct > MANY_LEVELS):
        return f"{len(known):,} rows have {distinct:,} different texts"
    if _named(name) and distinct > max(MANY_LEVELS, NAMED_SHARE * len(known)):
        return f"its name says so, and it has {distinct:,} different values"
    return ""


def _number_identifies(name: str, column: Floats, rows: int) -> str:
    known = column[~np.isnan(column)]
    if len(known) < MIN_SORTED_ROWS or (known != np.floor(known)).any():
        return ""
    distinct = len(np.unique(known))
    if distinct >= OWN_NUMBER * len(known):
        if np.ptp(known) < DENSE * rows:
            return f"it numbers the rows from {known.min():.0f} to {known.max():.0f}"
        if (np.diff(known) > 0).all():
            return f"whole numbers that rise from row to row, {distinct:,} different ones"
    if _named(name) and distinct > max(MANY_LEVELS, NAMED_SHARE * len(known)):
        return f"its name says so, and it has {distinct:,} different values"
    return ""


def _named(name: str) -> bool:
    return bool(_IDENTIFIER.search(name) or _CAMEL.search(name))


def ranks(values: Floats) -> Floats:
    """Ranks from 0; equal values share their mean rank."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Floats = (ends - (counts + 1) / 2)[group]
    return means
