"""Names and cells in a terminal: nothing in them may steer it or turn the direction of writing."""

from __future__ import annotations

import sys

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from shared.cli import contexts, main
from shared.cli.console import safe, show_json, show_rows
from tests.unit.cli.conftest import Shell

STEERING = "\x1b]0;title\x07\x9b2J\r\u202e\u2066\u2028\x00"


def _quiet(text: str) -> bool:
    return not set(text) & set("\x1b\x07\x9b\r\u202e\u2066\u2028\x00")


def test_escapes_are_shown_and_everything_else_is_kept() -> None:
    """Blanks, unicode, joined emojis and right-to-left letters stay as they are."""
    assert safe("a\x1b[2Jb\n\u202e") == "a\\x1b[2Jb\\n\\u202e"
    assert safe("a\n\tb\x9b", lines=True) == "a\n\tb\\x9b"
    for kept in (" a  b ", "Größe 😀 👩\u200d💻", "שלום", "../x", "/m/a.csv", "\\x1b"):
        assert safe(kept) == kept


@given(st.text())
def test_no_text_steers_the_terminal(text: str) -> None:
    """Whatever comes out is printable line by line."""
    assert _quiet(safe(text))
    assert len(safe(text).splitlines()) <= 1


@pytest.mark.parametrize("as_json", [False, True])
def test_tables_and_json_are_safe(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    """In cells, in lists of cells, and in every string of a JSON document."""
    show_rows([{"name": STEERING, "waiting": [STEERING]}], as_json=as_json)
    show_json({STEERING: [STEERING]})
    assert _quiet(capsys.readouterr().out)


def test_the_history_of_a_refused_name_is_safe(shell: Shell) -> None:
    """`why`, `status` and Slack's messages show the name of what was dropped."""
    source = shell.system.drop("m/train/a\x1b[2J\u202e\x9b.csv", b"a,y\n")
    shell.work()
    run_id = shell.system.claim(source)["run_id"]
    for words in (("why", run_id), ("why", run_id, "--json"), ("status", "m")):
        result = shell(*words)
        assert _quiet(result.output)
    assert "\\x1b" in shell("why", run_id).stdout


def test_errors_are_safe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name in an error message comes from people as well."""

    def fail(_: str) -> None:
        raise click.ClickException(f"no {STEERING}\nhere")

    monkeypatch.setattr(contexts, "load", fail)
    monkeypatch.setattr(sys, "argv", ["millrace", "status"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert _quiet(said)
    assert said.startswith("Error: no ")
    assert said.endswith("here\n")


def test_help_needs_no_tables() -> None:
    """`--help` answers at once."""
    assert CliRunner().invoke(main.cli, ["--help"]).exit_code == 0
