"""The page about rights says what the topology says."""

from __future__ import annotations

from dataclasses import replace

from infra.docs.access import PAGE, render
from infra.topology_parts import Function
from tests.support.granting import finished_topology


def test_the_page_is_current() -> None:
    """Run `make docs` after changing a right."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_a_function_that_is_added_stands_on_it() -> None:
    """With what it may do, and who pushes to it."""
    plan = finished_topology()
    echo: Function = replace(plan.functions["notify"], name="echo", reads=("lake/labels/",))
    text = render(replace(plan, functions={**plan.functions, "echo": echo}))
    assert "| `echo` | `labels/` |" in text
    assert "| `echo` | `alerts` | - | `slack-webhook-url`, `smtp-password` | - |" in text
