"""Writes reasons.md: every reason for which a file, a row or a training may not get through.

    python -m infra.docs.reasons       (`make docs`)

The texts live beside the code that says them; a test holds the page equal to them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from infra.docs.tables import table
from shared import errors
from shared.errors import MalformedMessage, NotAllowed, Rejected, UnknownMessageType
from shared.spec.parts import Checks
from shared.tabular.checks.findings import CHECKS
from shared.tabular.validating.row_reasons import ROW_REASONS

PAGE = Path(__file__).with_name("reasons.md")
# Refusals that no file and no spec can meet.
OTHERS = frozenset({MalformedMessage, UnknownMessageType, NotAllowed})

_OPENING = """\
<!-- Written by `make docs` from the code; change the texts there. -->
# Reasons

Why something did not get through, and what to do. `./millrace why RUN` says which reason it was,
with the numbers; [Prepare your file](prepare-your-file.md) tells the story in order.
"""
_FILES = """\
The original stays where it was dropped, a record with the reason lies in `rejections/` (or in the
run's history), and Slack is told. A corrected file is a new run.
"""
_ROWS = """\
Such rows are in `quarantine/<model>/<run>/rows.csv` with their original cells; good rows and
quarantined rows are together always all rows. `./millrace quarantine show RUN` shows them, and a
corrected export that is dropped again joins the good rows.
"""
_CHECKS = """\
What a training looks at before it learns. `checks.<key>` in the spec is `stop`, `warn` or `off`;
warnings are in `./millrace why RUN` and on the model card. `checks.min_class_rows` is {least}
unless the spec says otherwise.
"""


def render() -> str:
    """The page."""
    defaults = Checks()
    parts = [
        _OPENING,
        "## A file is refused",
        _FILES,
        table(
            ("reason", "when", "what to do"),
            ((f"`{cls.__name__}`", _sentence(cls), cls.advice) for cls in file_errors()),
        ),
        "## A row goes to quarantine",
        _ROWS,
        table(("code", "when"), ((f"`{code}`", text) for code, text in ROW_REASONS.items())),
        "## A check finds something",
        _CHECKS.format(least=defaults.min_class_rows),
        table(
            ("check", "key under `checks`", "default", "finds", "what to do"),
            (
                (
                    f"`{check.name}`",
                    f"`{check.policy}`",
                    "warn" if check.only_warns else getattr(defaults, check.policy),
                    check.what,
                    check.answer,
                )
                for check in CHECKS.values()
            ),
        ),
    ]
    return "\n".join(parts)


def file_errors() -> list[type[Rejected]]:
    """Every refusal that a file or a spec can meet, in the order of `shared/errors.py`."""
    found = [cls for cls in _below(Rejected) if cls not in OTHERS]
    return sorted(found, key=lambda cls: inspect.getsourcelines(cls)[1])


def _below(cls: type[Rejected]) -> Iterator[type[Rejected]]:
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _below(child)


def _sentence(cls: type[Rejected]) -> str:
    return " ".join((cls.__doc__ or "").split())


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
