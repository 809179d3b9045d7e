"""Writes alerts.md and the pictures in alerts/, from the code and its examples.

python -m infra.docs.alerts       (`make docs`)
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.docs.alert_examples import DRIFT, EXAMPLES, messages, name_of
from infra.docs.alert_pictures import FOLDER, picture
from infra.docs.alert_schema import FIELDS, alert_types, required
from infra.docs.tables import table
from shared.events import AutomationNoted, Event, MonitorAlert, encode
from shared.telling.kinds import KINDS, LEADS, MUTABLE, WATCHED, asks_of, is_urgent, kind_of

PAGE = Path(__file__).with_name("alerts.md")
TEXT = Path(__file__).with_name("alerts.template.md")


def render() -> str:
    """The page."""
    return TEXT.read_text(encoding="utf-8").format(
        kinds=table(("kind", "means", "mute"), map(_kind_row, KINDS)),
        asks=table(("message", "kind", "asks", "told"), map(_ask_row, EXAMPLES)),
        watched=", ".join(f"`{kind}`" for kind in WATCHED),
        fields=_fields(),
        example=json.dumps(
            json.loads(encode(DRIFT, datetime(2026, 1, 6, 1, 15, tzinfo=UTC))), indent=1
        ),
        pictures="\n".join(
            f"### {_words(name)}\n\n![{_words(name)}](alerts/{name}.svg)\n" for name in messages()
        ),
    )


def pictures() -> dict[str, str]:
    """File name to SVG."""
    return {f"{name}.svg": picture(message) for name, message in messages().items()}


def _kind_row(kind: str) -> Sequence[str]:
    anchor = kind.replace("_", "-")
    able = "by default" if kind in WATCHED else "by name" if kind in MUTABLE else "no"
    return (f"[`{kind}`](runbook.md#{anchor})", KINDS[kind], able)


def _ask_row(event: Event) -> Sequence[str]:
    asks = asks_of(event)
    told = "at once" if is_urgent(event) else "digest"
    if isinstance(event, MonitorAlert):
        told = "once per incident, again if worse" if asks != "know" else "once per incident"
    if isinstance(event, AutomationNoted) and event.incident:
        told = "each new answer to an incident once"
    return (_words(name_of(event)), f"`{kind_of(event)}`", LEADS[asks], told)


def _fields() -> str:
    """One table per set of fields."""
    tables: dict[str, list[str]] = {}
    for cls in alert_types():
        names = ["type", "id", "time", *(item.name for item in dataclasses.fields(cls))]
        always = set(required(cls))
        rows = [(f"`{name}`", "yes" if name in always else "no", FIELDS[name]) for name in names]
        tables.setdefault(table(("field", "always there", "means"), rows), []).append(cls.__name__)
    return "\n".join(
        f"**{', '.join(f'`{name}`' for name in names)}**\n\n{table}"
        for table, names in tables.items()
    )


def _words(name: str) -> str:
    """`DriftDetected` as people write it."""
    spaced = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return spaced.strip().capitalize()


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.svg"):
        stale.unlink()
    for file_name, svg in pictures().items():
        (FOLDER / file_name).write_text(svg, encoding="utf-8")
