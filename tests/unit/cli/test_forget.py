"""forget, as it is typed."""

from __future__ import annotations

import json

import pytest

from shared.cli import contexts
from tests.unit.cli.conftest import Shell, context_of
from tests.unit.forgetting.world import KEY, SECRETS, World, world


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> World:
    found = world()
    context = context_of(found.system, lambda: None, tmp_path_factory.mktemp("state"))
    context.wiring.__dict__["inbox"] = found.inbox
    monkeypatch.setattr(contexts, "load", lambda name: context)
    return found


def test_a_person_is_forgotten(found: World) -> None:
    """The column is what the spec calls the key; what stays is said; the key is not repeated."""
    shell = Shell(found.system)
    dry = shell("forget", "m", "--key", KEY, "--dry-run")
    assert "Dry run: nothing was done." in dry.output
    assert len(found.holding(KEY)) > 10
    done = shell("forget", "m", "--key", KEY, "--reason", "letter 12")
    assert done.exit_code == 0
    assert found.holding(*SECRETS) == []
    assert "Drops in the inbox, deleted with their generations: 4" in done.output
    assert "Models that were fitted" in done.output
    assert KEY not in done.output
    again = json.loads(shell("forget", "m", "--key", KEY, "--reason", "x", "--json").stdout)
    assert (again["found"], again["erased"]) == (False, [])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("m", "--reason", "x"), "--key or by --prediction-id"),
        (("m", "--key", "a", "--prediction-id", "b", "--reason", "x"), "--key or by"),
        (("m", "--key", KEY), "--reason"),
        (("m", "--key", KEY, "--reason", " "), "--reason"),
        (("n", "--key", KEY, "--reason", "x"), "known: m"),
    ],
)
def test_what_is_not_said_rightly(found: World, words: tuple[str, ...], hint: str) -> None:
    """Nothing is changed, and a sentence says what to type."""
    result = Shell(found.system)("forget", *words)
    assert result.exit_code != 0
    assert hint in result.output + str(result.exception)
    assert len(found.holding(KEY)) > 10
