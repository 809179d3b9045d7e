"""What lies in a run's quarantine: files, counts, and their story in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from shared import documents, paths, runs
from shared.cli.console import safe, shown_command
from shared.ports import Bucket

EXAMPLES = 2  # of each reason, on a screen; --json has all that were kept


def summary(model: str, run_id: str, lake: Bucket) -> dict[str, Any]:
    return documents.read(lake, paths.quarantine(model, run_id, "summary.json")).body


def row_files(model: str, run_id: str, lake: Bucket, context_name: str) -> dict[str, str]:
    """Object names of the rows, by source; those of a single or primary source under "". Raises
    ClickException when nothing is in quarantine."""
    folder = paths.quarantine(model, run_id, "")
    names = [info.name for info in lake.list(folder) if info.name.endswith(".csv")]
    found = {
        name.removeprefix(f"{folder}rows-").removesuffix(".csv")
        if name.startswith(f"{folder}rows-")
        else "": name
        for name in names
        if "/" not in name.removeprefix(folder)
    }
    if not found:
        look = shown_command("why", run_id, context=context_name)
        raise click.ClickException(f"no row of run {run_id} is in quarantine; see {look}")
    return dict(sorted(found.items()))


def replayed_by(model: str, run_id: str, lake: Bucket) -> list[str]:
    prefix = paths.run_event(model, run_id, runs.REPLAYED_BY).removesuffix(".json")
    return [info.name.removeprefix(prefix).removesuffix(".json") for info in lake.list(prefix)]


def share(body: Mapping[str, Any]) -> str:
    if "rows" not in body:
        return "some of its rows are in quarantine"
    bad, rows = int(body["quarantined"]), int(body["rows"])
    allowed = f", allowed are {body['max_bad_rows']:.1%}" if "max_bad_rows" in body else ""
    outcome = f"; the file was {body['outcome']}" if "outcome" in body else ""
    return (
        f"{bad:,} of {rows:,} rows are in quarantine ({bad / max(1, rows):.1%}{allowed}){outcome}"
    )


def story(body: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong, and what the absence of these rows does to the data, line by line."""
    if body.get("codes") or body.get("reasons"):
        yield "\nWhy"
        yield from _reasons(body)
    if body.get("sources"):
        yield "\nRows of joined sources"
        for source, count in body["sources"].items():
            yield f"  {count:>8,}  {safe(source)}"
    if body.get("target"):
        yield "\nThe target, in kept and in quarantined rows"
        for level, shares in body["target"].items():
            kept, bad = _number(level, shares["kept"]), _number(level, shares["quarantined"])
            yield f"  {safe(level)}: {kept} and {bad}"
    if body.get("warnings"):
        yield "\nWarnings"
        for warning in body["warnings"]:
            yield f"  {safe(warning)}"


def _reasons(body: Mapping[str, Any]) -> Iterator[str]:
    for code, found in body.get("codes", {}).items():
        yield f"  {found['rows']:>8,}  {safe(found['sentence'] or code)}"
        for example in found["examples"][:EXAMPLES]:
            yield safe(f"            record {example['record']}: {example['reason']}")
    if not body.get("codes"):
        for reason, count in body["reasons"].items():
            yield f"  {count:>8,}  {safe(reason)}"


def _number(level: str, value: float | None) -> str:
    """A class's share, or a regression target's mean."""
    if value is None:
        return "-"
    return f"{value:.6g}" if level == "mean" else f"{value:.1%}"
