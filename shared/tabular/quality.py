"""Data quality of a window: missing, unseen, unexpected and refused values beyond the reference.

A finding breaks when the share grew by at least its minimum effect *and* the growth survives
false-discovery control over all findings. Refused rows are held against the spec's own limit;
jumps of units are `shared.tabular.units`, rows that do not come `shared.tabular.traffic`.
Pure, numpy only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.serving.columns import Columns
from shared.serving.features import Bounds, Feature
from shared.tabular.distances import benjamini_hochberg
from shared.tabular.profile import LEVELS, outside_share
from shared.tabular.units import FAR, unit_jump

Check = Literal[
    "missing",
    "new_category",
    "outside_expect",
    "refused_rows",
    "unit_jump",
    "volume",
    "no_labels",
]
# How much a share must grow before anybody should be woken.
MISSING_GROWTH = 0.05
OUTSIDE_GROWTH = 0.05
NEW_CATEGORY_SHARE = 0.01
# Of fewer values no unit can be told.
MIN_JUMPED = 100
SHARES = ("missing", "new_category", "outside_expect", "refused_rows")


@dataclass(frozen=True, slots=True)
class Finding:
    """One share of rows (`unit_jump`: PSI, `volume`: rows, `no_labels`: days without), in the
    reference and now. `detail` names what was seen."""

    column: str
    check: Check
    reference: float
    current: float
    limit: float
    p_value: float
    broken: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """`broken` is None when there are too few rows to tell."""

    broken: bool | None
    findings: tuple[Finding, ...]
    sentence: str


def judge_quality(
    reference: Mapping[str, Any],
    columns: Columns,
    *,
    rows: int,
    refused: int,
    max_bad_rows: float,
    min_rows: int,
) -> Quality:
    """Hold the columns of a window, refused rows included, against the version's reference.
    `refused` of `rows` predictions carry an error instead of a score."""
    if rows < min_rows:
        return Quality(None, (), f"{rows} rows, {min_rows} needed to tell data quality")
    findings: list[Finding] = []
    for feature in (Feature.from_json(item) for item in reference["features"]):
        if feature.name in columns:
            profile = reference["columns"][feature.name]
            findings += _column(feature, profile, columns[feature.name])
    kept = benjamini_hochberg([finding.p_value for finding in findings])
    findings = [
        replace(item, broken=item.broken and real)
        for item, real in zip(findings, kept, strict=True)
    ]
    share = refused / rows
    bad = Finding("", "refused_rows", 0.0, share, max_bad_rows, 0.0, share > max_bad_rows)
    return summed_up([bad, *_jumps(reference, columns), *findings])


def summed_up(findings: Sequence[Finding]) -> Quality:
    """All findings of a window; broken when one of them is."""
    broken = [item for item in findings if item.broken]
    # Shares by how far beyond; what is no share first.
    broken.sort(key=lambda item: item.limit - item.current if item.check in SHARES else -math.inf)
    sentence = "; ".join(describe(item) for item in broken[:3]) or "nothing out of the ordinary"
    if len(broken) > 3:
        sentence += f"; and {len(broken) - 3} more"
    return Quality(bool(broken), tuple(findings), sentence)


def _jumps(reference: Mapping[str, Any], columns: Columns) -> Iterator[Finding]:
    for name, profile in reference["columns"].items():
        if profile["kind"] != "number" or name not in columns:
            continue
        present = columns[name][~np.isnan(columns[name])]
        jump = unit_jump(profile, present) if len(present) >= MIN_JUMPED else None
        if jump is not None:
            middle = float(np.median(present))
            detail = f"{jump.what} (mean {profile['mean']:.4g} -> {present.mean():.4g}, "
            detail += f"median {middle:.4g})"
            yield Finding(name, "unit_jump", 0.0, jump.psi, FAR, 0.0, broken=True, detail=detail)


def describe(finding: Finding) -> str:
    """A finding as a short line with value and limit."""
    if finding.check == "unit_jump":
        return f"{finding.column}: another unit? It is as if it were {finding.detail}"
    if finding.check == "volume":
        now = f"{finding.current:.0f} predictions" if finding.current else "no predictions"
        return f"{now}, {finding.reference:.0f} are usual here (limit {finding.limit:.0f})"
    if finding.check == "no_labels":
        return (
            f"no labels for {finding.current:.1f} days, the longest pause was "
            f"{finding.reference:.0f} (limit {finding.limit:.0f})"
        )
    if finding.check == "refused_rows":
        return f"{finding.current:.1%} of the rows were refused (limit {finding.limit:.1%})"
    what = {
        "missing": "missing",
        "new_category": f"never seen in training{finding.detail}",
        "outside_expect": f"outside what the spec expects{finding.detail}",
    }[finding.check]
    return (
        f"{finding.column}: {finding.current:.1%} {what} "
        f"(reference {finding.reference:.1%}, limit {finding.limit:.1%})"
    )


def _column(feature: Feature, profile: Mapping[str, Any], values: NDArray[Any]) -> list[Finding]:
    rows, before_rows = len(values), int(profile["rows"])
    missing = np.isnan(values) if feature.kind == "number" else values == ""
    found = [
        _grown(
            feature.name,
            "missing",
            (float(profile["missing"]), before_rows),
            (float(missing.mean()), rows),
            growth=MISSING_GROWTH,
        )
    ]
    if feature.expect:
        outside = outside_share(values, feature.kind, feature.expect)
        before = (float(profile["outside"]), before_rows)
        detail = _expected(feature.expect)
        found.append(
            _grown(
                feature.name,
                "outside_expect",
                before,
                (outside, rows),
                growth=OUTSIDE_GROWTH,
                detail=detail,
            )
        )
    # With more levels than are kept, "not among them" does not mean "new". What training saw once
    # is about as frequent as what it never saw (Good 1953), so that much is expected.
    if feature.kind == "category" and profile["distinct"] <= LEVELS:
        known = {"", *profile["levels"]}
        unseen = Counter(str(value) for value in values.tolist() if value not in known)
        often = sorted(unseen, key=lambda level: (-unseen[level], level))
        top = ", ".join(map(repr, often[:3]))
        found.append(
            _grown(
                feature.name,
                "new_category",
                (float(profile["once"]), before_rows),
                (unseen.total() / rows, rows),
                growth=NEW_CATEGORY_SHARE,
                detail=f" ({top})" if top else "",
            )
        )
    return found


def _grown(
    column: str,
    check: Check,
    before: tuple[float, int],
    now: tuple[float, int],
    *,
    growth: float,
    detail: str = "",
) -> Finding:
    """Shares with their numbers of rows; the p-value is the pooled one-sided two-proportion z."""
    (share_before, n), (share, m) = before, now
    limit = share_before + growth
    pooled = (share_before * n + share * m) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)) if 0 < pooled < 1 and n else 0.0
    z = (share - share_before) / spread if spread else 0.0
    p_value = 0.5 * math.erfc(z / math.sqrt(2))
    return Finding(column, check, share_before, share, limit, p_value, share >= limit, detail)


def _expected(bounds: Bounds) -> str:
    if bounds.values is not None:
        return f" ({len(bounds.values)} known values)"
    low = "" if bounds.min is None else f"{bounds.min:g}"
    high = "" if bounds.max is None else f"{bounds.max:g}"
    return f" ({low}..{high})"
