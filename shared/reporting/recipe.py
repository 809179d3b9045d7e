"""How a version was made, for its card: recipe, parts, what was tried, what was not worth it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.reporting.figures import number
from shared.runs import RunRequest
from shared.tabular import metrics

Row = tuple[str, str]


def recipe_rows(task: str, request: RunRequest, records: Mapping[str, dict[str, Any]]) -> list[Row]:
    """The rows of the card's section on how the version was made."""
    fitted = records["fitted"]
    fit = records["prepared"]["facts"]["fit"]
    tried = [
        f"{record['candidate']} {number(record['score'])}{_sample(record, fit)}"
        for name, record in records.items()
        if name.startswith("tuned-")
    ]
    metric, schema = metrics.PRIMARY[task], records["prepared"]["schema"]
    return [
        ("candidate", f"{fitted['candidate']} ({_values(fitted['params'])})"),
        *(
            (f"part: {part['candidate']}, {part['weight']:.0%}", _values(part["params"]))
            for part in fitted.get("parts", ())
            if part["weight"] < 1
        ),
        (f"tried ({metric} out of fold)", ", ".join(tried)),
        *_blend(fitted.get("blend"), metric),
        *_calibration(fitted.get("calibration")),
        *(("refused", text) for text in fitted["refused"]),
        ("reproducible", _reproducible(fitted)),
        ("columns", ", ".join(f["name"] for f in schema["features"])),
        *((f"derived: {item['name']}", item["expression"]) for item in schema.get("derive", ())),
        ("package SHA-256", fitted["sha256"]),
        ("requested", f"{request.requested_at} by {request.requested_by}"),
    ]


def _sample(record: Mapping[str, Any], fit: int) -> str:
    rows = record.get("rows", fit)
    return "" if rows == fit else f" (on {rows:,} rows)"


def _values(params: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in params.items())


def _blend(blend: Mapping[str, Any] | None, metric: str) -> list[Row]:
    """What averaging the candidates would bring, and who is too large for it."""
    if blend is None:
        return []
    left_out = [("not worth its size", _left_out(one)) for one in blend.get("left_out", ())]
    if len(blend["weights"]) < 2:
        return left_out
    weights = ", ".join(f"{weight:.0%} {name}" for name, weight in blend["weights"].items())
    lower = blend["gain_lower"]
    least = "unknown" if lower is None else f"at least {lower:+.4f}"
    taken = "taken" if blend["earned"] else "not certain, so not taken"
    text = (
        f"{weights}: gains {blend['gain']:+.4f} {metric} out of fold, with 95 % "
        f"confidence {least}: {taken}"
    )
    return [("weighted average", text), *left_out]


def _left_out(found: Mapping[str, Any]) -> str:
    return (
        f"{found['candidate']} in a weighted average adds {found['megabytes']:,.1f} MB and takes "
        f"{found['share']:.2%} off the error"
    )


def _calibration(found: Mapping[str, Any] | None) -> list[Row]:
    """Whether scores are corrected, and why."""
    if found is None or found["kind"] is None:
        return []
    saved = (
        f"a {found['kind']} correction changes log loss out of fold from {found['log_loss']:.4f} "
        f"to {found['calibrated']:.4f}"
    )
    small = "no certain improvement, so scores stay as they are"
    why = "applied" if found["applied"] else small
    return [("calibration", f"{saved}: {why}")]


def _reproducible(fitted: Mapping[str, Any]) -> str:
    if fitted.get("reproducible", True):
        return "yes: the same data, spec and seed give the same package"
    return (
        "no: the time limit ended the search early, and another machine may get further; a longer "
        "`training.time_limit` or fewer `training.trials` mend that"
    )
