"""The copy of a lake that disaster recovery needs, against a gcloud that only remembers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "docs" / "copy_lake.sh"
# Answers of dry runs, one a line, in turn; then silence.
GCLOUD = f"""#!{sys.executable}
import pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(" ".join(sys.argv[1:]), file=calls)
if "--dry-run" in sys.argv:
    left = here / "answers"
    answers = left.read_text().splitlines()
    left.write_text("\\n".join(answers[1:]))
    said = answers[0] if answers else ""
    print(said, file=sys.stderr)
    sys.exit("ERROR" in said)
"""


def run(folder: Path, *answers: str, passes: str = "5") -> tuple[int, list[str]]:
    (folder / "gcloud").write_text(GCLOUD)
    (folder / "gcloud").chmod(0o755)
    (folder / "answers").write_text("\n".join(answers))
    done = subprocess.run(
        [SCRIPT, "gs://lake", "gs://copy"],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PASSES": passes},
        capture_output=True,
        check=False,
    )
    calls = (folder / "calls").read_text().splitlines()
    return done.returncode, ["look" if "--dry-run" in call else "copy" for call in calls]


@pytest.mark.parametrize(
    "left", ["Would copy gs://lake/a to gs://copy/a", "Would remove gs://copy/b"]
)
def test_it_copies_until_a_pass_finds_nothing(tmp_path: Path, left: str) -> None:
    """What was deleted meanwhile is something left to do as well."""
    assert run(tmp_path, left, left) == (0, ["copy", "look", "copy", "look", "copy", "look"])


def test_a_gcloud_that_fails_is_no_silence(tmp_path: Path) -> None:
    """An error while looking must not pass for nothing left to do."""
    assert run(tmp_path, "ERROR: not logged in") == (1, ["copy", "look"])


def test_a_lake_that_never_holds_still_is_said(tmp_path: Path) -> None:
    """So many passes, then an error instead of a copy of no moment."""
    code, calls = run(tmp_path, *["Would copy x"] * 9, passes="2")
    assert (code, calls) == (1, ["copy", "look", "copy", "look", "copy"])
