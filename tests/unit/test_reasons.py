"""The page of reasons is the code's own list: nothing is missing, nothing is stale."""

from __future__ import annotations

from infra.docs.reasons import OTHERS, PAGE, file_errors, render
from shared.errors import Rejected
from shared.tabular.checks.findings import CHECKS
from shared.tabular.validating.row_reasons import ROW_REASONS


def _refusals(cls: type[Rejected] = Rejected) -> list[type[Rejected]]:
    ours = [child for child in cls.__subclasses__() if child.__module__.startswith("shared.")]
    return [*ours, *(below for child in ours for below in _refusals(child))]


def test_the_page_is_current() -> None:
    """Run `make docs` after changing a reason."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_refusal_that_a_file_can_meet_is_there_with_what_to_do() -> None:
    """A new one needs `advice` beside its class, or a place among those that no file meets."""
    text = render()
    assert set(file_errors()) == set(_refusals()) - OTHERS
    assert [cls.__name__ for cls in file_errors() if not cls.advice or not cls.__doc__] == []
    assert [cls.__name__ for cls in OTHERS if cls.advice] == []
    assert all(f"| `{cls.__name__}` |" in text for cls in file_errors())


def test_every_reason_of_a_row_and_every_check_is_there() -> None:
    """By code and name."""
    text = render()
    assert all(f"| `{code}` |" in text for code in ROW_REASONS)
    assert all(f"| `{check.name}` | `{check.policy}` |" in text for check in CHECKS.values())
