"""Look at a shadow: how differently its version would have answered. For the command line, which
may read the whole log of the shadow's days. Writes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.beside.second_version import SecondVersion
from shared.beside.tally import Tally, add
from shared.beside.verdict import Terms, sofar
from shared.events import parse_time
from shared.ports import Bucket
from shared.predicted import log_days, read_log_day
from shared.spec.registry import read_spec
from shared.spec.serving import Canary
from shared.usecases.beside.seconding import gate_of


def look_at(
    model: str, second: SecondVersion, *, now: datetime, lake: Bucket
) -> tuple[str, dict[str, Any]]:
    """What the log has of the shadow, in a sentence and as facts."""
    rules = read_spec(model, lake=lake).spec.serving.canary or Canary()
    terms = Terms(
        0, (second.share,), rules.min_rows, rules.tolerance, gate_of(model, second, lake=lake)
    )
    tally = Tally()
    for day in log_days(parse_time(second.started_at), now):
        found = [
            {**line, "canary": line["shadow"]}
            for line in read_log_day(day, lake=lake, about=second.id)
            if (line.get("shadow") or {}).get("id") == second.id
        ]
        add(tally, found, sticky=second.sticky, far=terms.far)
    return sofar(tally, terms)
