"""How the command line starts: fast help, clear words when something is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from shared.cli import contexts, installations
from shared.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[3]
ENTRY = ROOT / "shared" / "cli" / "__main__.py"


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_loads_nothing_heavy() -> None:
    """Help answers at once, from anywhere, with every command."""
    probe = (
        "import json, sys, runpy; sys.argv = ['millrace', '--help']\n"
        f"try: runpy.run_path({str(ENTRY)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(json.dumps(list(sys.modules)), file=sys.stderr)"
    )
    result = run(sys.executable, "-P", "-c", probe)
    assert all(name in result.stdout for name in COMMANDS)
    heavy = {"google.auth", "google.cloud.storage", "pydantic", "rich", "pandas", "infra.local"}
    assert not heavy & set(json.loads(result.stderr))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists(name: str) -> None:
    """--help of each one works, also in a shell where no stack runs."""
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_a_missing_stack_is_named_with_the_way_to_start_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No stack trace, no guess at an address."""
    monkeypatch.setattr(installations, "HOME", tmp_path)
    for name, way in (("local", "make up"), ("demo", "--context demo up")):
        result = CliRunner().invoke(cli, ["--context", name, "status"])
        assert result.exit_code == 1
        assert way in result.output


def test_an_unknown_context_is_answered_with_the_known_ones() -> None:
    """Contexts are names, not paths."""
    with pytest.raises(click.ClickException, match="local, demo"):
        contexts.state_folder("../elsewhere")


def test_down_without_a_stack_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What should not run does not run."""
    monkeypatch.setattr(installations, "HOME", tmp_path)
    assert "not running" in CliRunner().invoke(cli, ["down"]).output
    assert CliRunner().invoke(cli, ["down", "--quiet"]).output == ""


def test_logs_are_listed_and_tailed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By any part of their name; an unknown one is answered with the known ones."""
    monkeypatch.setattr(installations, "HOME", tmp_path)
    folder = tmp_path / "local" / "logs" / "functions"
    folder.mkdir(parents=True)
    (folder / "intake.log").write_text("\n".join(f"line {n}" for n in range(100)))
    listed = json.loads(CliRunner().invoke(cli, ["logs", "--json"]).stdout)
    assert [row["name"] for row in listed] == ["functions/intake"]
    assert CliRunner().invoke(cli, ["logs", "intake", "-n", "2"]).stdout == "line 98\nline 99\n"
    assert "intake" in CliRunner().invoke(cli, ["logs", "launch"]).output


# --- the launcher, before there is a .venv -------------------------------------------------------


def checkout(folder: Path) -> Path:
    """What the launcher needs of a checkout, with a lock that nobody can install."""
    for name in ("millrace", "infra/venv/ensure", "infra/venv/install.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
        (folder / name).chmod(0o755)
    (folder / "infra" / "locks").mkdir()
    (folder / "infra" / "locks" / "dev.txt").write_text("# nothing to install\n")
    return folder


def python_of_age(folder: Path, version: str) -> Path:
    """A Python that is too old to run anything of ours."""
    fake = folder / f"python{version}"
    fake.write_text(f'#!/bin/sh\n[ "$1" = -V ] && echo "Python {version}" && exit 0\nexit 1\n')
    fake.chmod(0o755)
    return fake


def test_a_python_that_is_too_old_gets_one_clear_sentence(tmp_path: Path) -> None:
    """With what was found, what is needed and what to type."""
    old = python_of_age(tmp_path, "3.9.2")
    result = run(str(checkout(tmp_path / "c") / "millrace"), "status", PYTHON=str(old))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in ("3.11", "Python 3.9.2", "make PYTHON="))


def test_no_python_at_all_gets_one_clear_sentence(tmp_path: Path) -> None:
    """As above, for a machine without one."""
    result = run(str(checkout(tmp_path) / "millrace"), PYTHON="/nowhere/python3")
    assert result.returncode == 2
    assert "there is no '/nowhere/python3'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_current_venv_is_left_alone_and_a_torn_one_is_not(tmp_path: Path) -> None:
    """The copy of the lock inside .venv is written last: without it, or with another one, the
    installation starts over."""
    root = checkout(tmp_path / "with a blank")
    ensure = str(root / "infra" / "venv" / "ensure")
    lock, stamp = root / "infra" / "locks" / "dev.txt", root / ".venv" / "lock.txt"
    torn = root / ".venv" / "lib" / "torn.py"  # as an installation that was killed leaves it
    torn.parent.mkdir(parents=True)
    torn.touch()
    assert run(ensure, PYTHON=sys.executable).returncode == 0
    assert not torn.exists()
    assert stamp.read_text() == lock.read_text()
    assert run(ensure, PYTHON="/nowhere/python3").returncode == 0  # none is needed any more
    lock.write_text("# changed\n")
    assert run(ensure, PYTHON="/nowhere/python3").returncode == 2  # it is needed again
