"""mute, unmute, mutes, tick digest: hear less for a while, and see what is not heard."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest

from shared import documents, paths
from shared.cli import decide
from tests.support.system import CSV, SPEC
from tests.unit.cli.conftest import Shell


@pytest.fixture
def served(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A model m with a champion, and a promote that can be asked."""

    def post(_: str, __: str, body: dict[str, Any], headers: object) -> tuple[int, Any]:
        del headers  # the door's caller is always ada
        with redirect_stdout(io.StringIO()):
            answer, status = shell.system.decide(**body)
        return status, answer

    monkeypatch.setattr(decide, "request", post)
    shell.system.drop("_specs/m.yaml", SPEC)
    shell.system.drop("m/train/a.csv", CSV)
    shell.work()
    return shell


def test_a_mute_from_the_command_to_its_end(served: Shell) -> None:
    """Who, what, until when; heard again after unmute."""
    said = served("mute", "m", "--for", "7d", "--kind", "drift", "--reason", "new branch").stdout
    assert "drift of m is muted for 7d, until" in said
    (row,) = json.loads(served("mutes", "list", "--json").stdout)
    assert (row["model"], row["kind"], row["reason"]) == ("m", "drift", "new branch")
    assert "drift" in served("mutes", "list", "m").stdout
    assert "drift muted until" in served("status", "m").stdout
    answer = json.loads(served("unmute", "m", "--json").stdout)
    assert answer == {"sentence": "drift of m is heard again.", "mutes": []}
    assert "Nothing is muted" in served("mutes", "list").stdout


def test_a_dry_run_mutes_nothing(served: Shell) -> None:
    """It says what would be muted."""
    said = served("mute", "m", "--for", "12h", "--dry-run").output
    assert "data_quality, drift, performance for 12h" in said
    assert not documents.read(served.system.lake, paths.mutes("m")).exists
    assert served("unmute", "m", "--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("mute", "n", "--for", "7d"), "known: m"),
        (("mute", "m", "--for", "soon"), "no duration"),
        (("mute", "m", "--for", "7d", "--kind", "approval"), "approval"),
        (("mute", "m"), "--for"),
        (("mute", "m", "--for", "1000d"), "90 days"),
        (("mutes", "list", "n"), "known: m"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_what_cannot_be_muted_is_said(served: Shell, words: tuple[str, ...], hint: str) -> None:
    """A typo mutes nothing, and the answer names what there is."""
    result = served(*words)
    assert result.exit_code != 0
    assert hint in result.output


def test_the_digest_can_be_told_now(served: Shell) -> None:
    """Counted before it is asked for; with nothing to tell nothing is asked."""
    assert "Nothing waits for the digest" in served("tick", "digest").stdout
    name = paths.digest_entry("m", "scored", "x")
    documents.create(served.system.lake, name, {})
    assert "1 entry waits" in served("tick", "digest", "--dry-run").stdout
    assert served.system.published("DigestDue") == []
    served("tick", "digest")
    (asked,) = served.system.published("DigestDue")
    assert asked["slot"]
