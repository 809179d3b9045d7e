"""Model specs that a team keeps in git: infra/specs/team/<model>.yaml, checked in pull requests,
dropped into the inbox by the apply build.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from infra.bundle import REPOSITORY
from shared import paths

TEAM, SHIPPED = "infra/specs/team", "infra/specs"
_CLI = "shared/cli/__main__.py"


def kept(root: Path = REPOSITORY) -> list[Path]:
    """The team's own."""
    return sorted((root / TEAM).glob("*.y*ml"))


def changed(since: str, root: Path = REPOSITORY) -> list[Path]:
    """The team's own that differ from a commit and are there. Raises CalledProcessError."""
    command = ["git", "diff", "--name-only", "--diff-filter=d", since, "--", f"{TEAM}/"]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [file for file in kept(root) if file.relative_to(root).as_posix() in said.split()]


def check(root: Path = REPOSITORY) -> list[str]:
    """What is wrong with any spec here, as intake would say it; empty when nothing is."""
    files = [*kept(root), *sorted((root / SHIPPED).glob("*.yaml"))]
    problems = [trouble for file in files for trouble in _checked(file, root)]
    strays = [file for file in (root / TEAM).rglob("*.y*ml") if file not in kept(root)]
    return problems + [f"{file.relative_to(root)}: only files in {TEAM}/ itself" for file in strays]


def _checked(file: Path, root: Path) -> list[str]:
    name = file.relative_to(root).as_posix()
    if not paths.is_model_name(file.stem) or file.suffix != ".yaml":
        return [f"{name}: a spec's file is called <model>.yaml, and that is no model's name"]
    done = _millrace(root, "spec", "check", name)
    return [] if done.returncode == 0 else (done.stderr or done.stdout).strip().splitlines()


def plan(files: list[Path], context: str, root: Path = REPOSITORY) -> tuple[str, bool]:
    """What dropping them would do in an installation, and whether all of them could be told."""
    told, good = [], True
    for file in files:
        name = file.relative_to(root).as_posix()
        done = _millrace(root, "--context", context, "spec", "plan", name)
        told.append(f"## {name}\n\n{(done.stdout or done.stderr).strip()}\n")
        good &= done.returncode == 0
    return "\n".join(told) or f"No spec in {TEAM}/ was changed.\n", good


def _millrace(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", str(REPOSITORY / _CLI), *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
