"""What was noticed about the data of a version: findings of the checks, and how sources met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.reporting.page import Row
from shared.spec.model import Spec
from shared.tabular.joins.report import rows_for_card


def findings(spec: Spec, prepared: Mapping[str, Any]) -> list[Row]:
    """What the checks said, and what the spec allows all the same. No word where nothing was
    looked at."""
    found = prepared.get("checks")
    allowed = [
        (f"allowed: {name}", f"may nearly predict the target, because: {column.allow_leak}")
        for name, column in spec.all_columns.items()
        if column.allow_leak is not None
    ]
    return [
        *((f"check {one['name']}", f"{one['sentence']}. {one['advice']}") for one in found or ()),
        *([("checks", "nothing to report")] if found == [] else []),
        *allowed,
    ]


def joined(prepared: Mapping[str, Any]) -> list[Row]:
    """Who found whom, and where the predictor looks keys up; nothing for one source."""
    kept = [(item["name"], item["snapshot"]) for item in prepared.get("sources", ())]
    return [
        *rows_for_card(prepared.get("join")),
        *(
            (
                f"snapshot of {name}",
                "{keys:,} keys as of {features_as_of}: {object}, SHA-256 {sha256}".format(**ref)
                if ref
                else "none: this source was not there",
            )
            for name, ref in kept
        ),
    ]
