"""Two versions side by side: documents in, one document out. Claims a difference in quality only
where both were measured on the same rows."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

from shared import documents, paths, runs
from shared.errors import ObjectNotFound
from shared.ports import Bucket
from shared.spec.differences import differences
from shared.spec.registry import read_generation
from shared.versions import number_of, read_version

LEADING = 4  # columns of data.csv.gz before the features: record, origin, prediction_id, side
_SIDE = 3


def facts_of(model: str, version: str, lake: Bucket) -> dict[str, Any]:
    """What is known of one version, from what its training left behind."""
    about = read_version(model, version, lake=lake)
    prepared = _stage(model, version, "prepared", lake)
    comparison = documents.read(lake, paths.version(model, version, "comparison.json")).body
    decision = documents.read(lake, paths.version(model, version, "decision.json")).body
    rows = prepared.get("facts", {})
    return {
        "version": version,
        "semantic_version": about.get("semantic_version"),
        "change": about.get("change"),
        "predecessor": about.get("predecessor"),
        "predecessor_semantic_version": _number(model, about.get("predecessor"), lake),
        "created": about.get("created"),
        "spec_generation": about.get("spec_generation"),
        "code_version": about.get("code_version"),
        "candidate": about.get("candidate"),
        "params": about.get("params", {}),
        "threshold": about.get("threshold"),
        "metrics": about.get("metrics", {}),
        "size_bytes": _size(model, version, lake),
        "package_sha256": about.get("package", {}).get("sha256"),
        "content_sha256": about.get("package", {}).get("content_sha256"),
        "reproducible": about.get("reproducible"),
        "data": {
            "rows": rows.get("rows"),
            "fit": rows.get("fit"),
            "holdout": rows.get("holdout"),
            "reserved": rows.get("reserved"),
            "quarantined": rows.get("quarantined"),
            "dataset": about.get("dataset"),
            "sha256": about.get("dataset_sha256"),
            "inputs": about.get("inputs", []),
            "continues": _continues(model, version, lake),
            "labels_used": [f"gs://{lake.name}/{name}" for name in about.get("labels_used", [])],
        },
        "holdout": comparison.get("holdout", {}),
        "judged": {
            key: comparison.get(key)
            for key in ("against", "metric", "gain", "gain_lower", "evidence", "sentence")
        },
        "decision": {key: decision.get(key) for key in ("action", "by", "at", "sentence")},
    }


def compare(model: str, first: str, second: str, lake: Bucket) -> dict[str, Any]:
    """Both versions, and what is different in the second."""
    a, b = facts_of(model, first, lake), facts_of(model, second, lake)
    holdout = _holdouts(model, first, second, lake)
    same = holdout["same_rows"] is True
    return {
        "model": model,
        "a": a,
        "b": b,
        "spec": _spec(model, a, b, lake),
        "same_data": bool(a["data"]["sha256"]) and a["data"]["sha256"] == b["data"]["sha256"],
        "same_content": _same(a["content_sha256"], b["content_sha256"]),
        "recipe": _recipe(a, b),
        "holdout": holdout,
        "metrics": _metrics(a["metrics"], b["metrics"], same=same),
        "judged": _judged(a, b),
    }


def _same(a: str | None, b: str | None) -> bool | None:
    """None where one of them was stored before it was hashed."""
    return a == b if a and b else None


def _stage(model: str, version: str, stage: str, lake: Bucket) -> dict[str, Any]:
    return documents.read(lake, paths.run_stage(model, version, f"{stage}.json")).body


def _number(model: str, version: str | None, lake: Bucket) -> str | None:
    return number_of(model, version, lake=lake) if version else None


def _size(model: str, version: str, lake: Bucket) -> int:
    return sum(info.size_bytes for info in lake.list(paths.package(model, version)))


def _continues(model: str, version: str, lake: Bucket) -> str | None:
    """The champion whose rows a retraining on labels continues."""
    try:
        cause = runs.read_request(model, version, lake=lake).retrain
    except ObjectNotFound:
        return None
    return cause.champion if cause else None


def _spec(
    model: str, a: Mapping[str, Any], b: Mapping[str, Any], lake: Bucket
) -> list[dict[str, Any]]:
    numbers = (a["spec_generation"], b["spec_generation"])
    if None in numbers or numbers[0] == numbers[1]:
        return []
    old, new = (read_generation(model, number, lake=lake) for number in numbers)
    return [{**item.as_dict(), "text": str(item)} for item in differences(old, new)]


def _recipe(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was fitted, where it differs."""
    pairs = [(name, a[name], b[name]) for name in ("candidate", "threshold")]
    pairs += [
        (f"params.{name}", a["params"].get(name), b["params"].get(name))
        for name in dict.fromkeys([*a["params"], *b["params"]])
    ]
    return [{"name": name, "a": x, "b": y} for name, x, y in pairs if x != y]


def _metrics(a: Mapping[str, float], b: Mapping[str, float], *, same: bool) -> list[dict[str, Any]]:
    found = []
    for name in dict.fromkeys([*a, *b]):
        x, y = a.get(name), b.get(name)
        difference = y - x if same and x is not None and y is not None else None
        found.append({"metric": name, "a": x, "b": y, "difference": difference})
    return found


def _judged(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any] | None:
    """The comparison that the gate made of these two, on rows that neither had used."""
    for one, other in ((b, a), (a, b)):
        if one["judged"]["against"] == other["version"]:
            return {"version": one["version"], **one["judged"]}
    return None


# --- holdouts ------------------------------------------------------------------------------------


def _holdouts(model: str, first: str, second: str, lake: Bucket) -> dict[str, Any]:
    """Whether both were measured on the same rows: same cells in the columns that both know."""
    records = [_stage(model, version, "prepared", lake) for version in (first, second)]
    if not all(records):
        return {"same_rows": None, "sentence": "What one of them held out is not known."}
    if records[0]["sha256"] == records[1]["sha256"]:
        count = records[0]["facts"]["holdout"]
        return _said(common=count, only_a=0, only_b=0)
    if records[0]["target"] != records[1]["target"]:
        return {"same_rows": False, "sentence": "They predict different columns."}
    try:
        held = [_Held(lake.read(record["dataset"]).data) for record in records]
    except ObjectNotFound:
        return {"same_rows": None, "sentence": "The rows of one of them are no longer there."}
    names = [name for name in held[0].names if name in held[1].names]
    a, b = (item.rows(names) for item in held)
    common = sum((a & b).values())
    return _said(common=common, only_a=a.total() - common, only_b=b.total() - common)


def _said(*, common: int, only_a: int, only_b: int) -> dict[str, Any]:
    same = common > 0 and not only_a and not only_b
    if same:
        sentence = (
            f"Both were measured on the same {common:,} holdout rows; the differences are points, "
            "without an interval."
        )
    else:
        sentence = (
            f"They were measured on different rows ({common:,} in common, {only_a:,} only in the "
            f"first holdout, {only_b:,} only in the second): their metrics cannot be subtracted."
        )
    return {
        "same_rows": same,
        "common": common,
        "only_a": only_a,
        "only_b": only_b,
        "sentence": sentence,
    }


class _Held:
    """The holdout rows of a data.csv.gz."""

    def __init__(self, data: bytes) -> None:
        csv.field_size_limit(2**31 - 1)
        with gzip.open(io.BytesIO(data), "rt", encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            self.names = next(reader)[LEADING:]
            self._rows = [row[LEADING:] for row in reader if row[_SIDE] == "holdout"]

    def rows(self, names: list[str]) -> Counter[bytes]:
        """How often each row is there, by the cells of these columns."""
        at = [self.names.index(name) for name in names]
        texts = ("\x1f".join(row[place] for place in at) for row in self._rows)
        return Counter(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
