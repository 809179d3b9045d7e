"""The data card: what a version was made from, column by column, and how the rows were divided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shared.reporting.card import Card
from shared.reporting.figures import about, cell, moment, share
from shared.reporting.noticed import findings, joined
from shared.reporting.page import (
    Block,
    Grid,
    Page,
    Pairs,
    Row,
    Section,
    Words,
    as_html,
    as_markdown,
)
from shared.tabular.metrics import Floats

SHOWN_LEVELS = 6
SHOWN_REASONS = 10
_KINDS = {
    "random": "a random share by a hash of the row, the same in every training",
    "grouped": "whole groups by a hash, the same in every training",
    "time": "the newest by their time",
    "new_labels": "the newest labelled predictions",
}


def html_data_card(card: Card) -> str:
    return as_html(data_page(card))


def markdown_data_card(card: Card) -> str:
    return as_markdown(data_page(card))


def data_page(card: Card) -> Page:
    """The whole card."""
    facts = card.prepared["facts"]
    lead = (
        f"{facts['rows']:,} rows: {facts['fit']:,} to learn from, {facts['holdout']:,} to compare "
        f"on; {facts['quarantined']:,} more are in quarantine."
    )
    met, noticed = joined(card.prepared), findings(card.spec, card.prepared)
    return Page(
        title=card.title(),
        subtitle=card.subtitle("Data card"),
        lead=lead,
        sections=[
            Section("Sources", _sources(card)),
            *([Section("Joined sources", [Pairs(met)])] if met else []),
            Section("Rows and their sides", [Pairs(_sides(card))]),
            Section("What is predicted", _target(card)),
            Section("Columns", _columns(card)),
            Section("Quarantine", _quarantine(card)),
            *([Section("Checks", [Pairs(noticed)])] if noticed else []),
            Section("The stored dataset", [Pairs(_stored(card))]),
        ],
    )


def _sources(card: Card) -> list[Block]:
    inputs = card.request.inputs
    blocks: list[Block] = []
    if inputs:
        rows = [
            [item.role or "-", item.source, f"{item.size_bytes:,}", _hash(item.md5, item.crc32c)]
            for item in inputs
        ]
        blocks.append(Grid(["source", "file and generation", "bytes>", "content hash"], rows))
    more: list[Row] = [("labels", name) for name in card.prepared["labels_used"]]
    if card.request.retrain:
        more.append(("continues", f"the rows of version {card.request.retrain.champion}"))
    if card.request.replays:
        more.append(("replays", f"run {card.request.replays}, with corrected rows"))
    more.append(("arrived", card.request.requested_at))
    return [*blocks, Pairs(more)]


def _hash(md5: str | None, crc32c: str) -> str:
    return f"md5 {md5}" if md5 else f"crc32c {crc32c}"


def _sides(card: Card) -> list[Row]:
    record, facts = card.prepared, card.prepared["facts"]
    rows: list[Row] = [
        ("to learn from", f"{facts['fit']:,}"),
        ("to compare on", f"{facts['holdout']:,}: {_KINDS[record['holdout_kind']]}"),
    ]
    if facts["reserved"]:
        rows.append(("from earlier holdouts", f"{facts['reserved']:,}, used for neither"))
    if record.get("let_go"):
        text = f"{record['let_go']:,} (retrain.data: {card.spec.retrain.data})"
        rows.append(("too old to learn from", text))
    rows.append(("in quarantine", f"{facts['quarantined']:,}"))
    split = record.get("split", {})
    if split.get("column"):
        rows.append(("divided by", f"{split['by']}: `{split['column']}`"))
    if record["holdout_kind"] in ("random", "grouped"):
        salt = card.frozen.get("salt", "-")
        rows.append(("salt", f"{salt}, frozen by the first training {card.frozen.get('run_id')}"))
        rows.append(("share to compare on", share(card.spec.training.holdout)))
    window, cut = record.get("window"), record.get("cut")
    if window:
        rows.append(("time window", f"{moment(window[0])} to {moment(window[1])}"))
    if cut is not None:
        rows.append(("split at", moment(cut)))
    proved = card.comparison["holdout"]
    rows.append(("on both sides", f"{proved['overlap']:,} rows"))
    if proved.get("doubles"):
        text = f"{proved['doubles']:,} rows to compare on look like one that was learned from"
        rows.append(("alike in all columns", text))
    return rows


# --- target and columns --------------------------------------------------------------------------


def _target(card: Card) -> list[Block]:
    name = card.spec.target.column
    if card.spec.task == "regression":
        head = [f"{name}", "rows>", "least>", "quarter>", "middle>", "three quarters>", "most>"]
        scale = card.spec.target.scale
        rows = [
            [side, f"{len(values):,}", *map(cell, _quarters(values * scale))]
            for side, values in card.targets.items()
            if len(values)
        ]
        return [Grid(head, rows)]
    head = [name, *(f"{side}>" for side in card.targets)]
    rows = [
        [label, *(_of_class(values, at) for values in card.targets.values())]
        for at, label in enumerate(card.labels)
    ]
    return [Grid(head, rows)]


def _quarters(values: Floats) -> list[float]:
    found: list[float] = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return found


def _of_class(values: Floats, label: int) -> str:
    count = int((values == label).sum())
    return f"{count:,} ({share(count / len(values))})" if len(values) else "-"


def _columns(card: Card) -> list[Block]:
    derived = {
        item["name"]: item["expression"] for item in card.prepared["schema"].get("derive", ())
    }
    profiles: Mapping[str, Mapping[str, Any]] = card.reference["columns"]
    rows = [
        [
            name,
            profile["kind"],
            share(profile["missing"]),
            _values(profile),
            share(profile["outside"]) if profile.get("outside") else "-",
        ]
        for name, profile in profiles.items()
    ]
    left_out = [
        f"`{name}` ({'a time' if column.type == 'time' else 'excluded'})"
        for name, column in card.spec.all_columns.items()
        if not column.feature and name != card.spec.target.column
    ]
    more: list[Row] = [(f"derived: {name}", text) for name, text in derived.items()]
    if left_out:
        more.append(("no features", ", ".join(left_out)))
    head = ["column", "type", "missing>", "values", "not as expected>"]
    said = Words(f"As they are in the {card.reference['rows']:,} rows that were learned from.")
    return [said, Grid(head, rows), *([Pairs(more)] if more else [])]


def _values(profile: Mapping[str, Any]) -> str:
    if not profile["present"]:
        return "none"
    if profile["kind"] == "number":
        low, high = cell(profile["min"]), cell(profile["max"])
        spread = f"mean {about(profile['mean'])}, deviation {about(profile['std'])}"
        return f"{low} to {high}, {spread}"
    levels = list(profile["levels"].items())[:SHOWN_LEVELS]
    shown = ", ".join(f"{level} {share(part)}" for level, part in levels)
    more = profile["distinct"] - len(levels)
    return f"{shown}" + (f", and {more:,} more" if more else "")


# --- what was set aside, what was noticed --------------------------------------------------------


def _quarantine(card: Card) -> list[Block]:
    body = card.quarantine
    if not body:
        return [Words("No row broke the spec.")]
    reasons = list(body.get("reasons", {}).items())
    rows = [[reason, f"{count:,}"] for reason, count in reasons[:SHOWN_REASONS]]
    if len(reasons) > SHOWN_REASONS:
        rows.append([f"and {len(reasons) - SHOWN_REASONS} more reasons", ""])
    where = f"quarantine/{card.model}/{card.version}/"
    text = (
        f"{body['quarantined']:,} of {body['rows']:,} rows break the spec; their cells are in "
        f"{where}. A row may have several reasons."
    )
    return [Words(text), Grid(["reason", "rows>"], rows), *map(Words, body.get("warnings", ()))]


def _stored(card: Card) -> list[Row]:
    return [
        ("dataset", card.prepared["dataset"]),
        ("SHA-256", card.prepared["sha256"]),
        ("profile", f"reference.json beside it, of {card.reference['rows']:,} rows"),
        ("spec generation", str(card.request.spec_generation)),
    ]
