"""The scanners: how each is asked, and its answer as findings. Only reads the repository.

Each runs from the scans' own virtual environment, whose packages never meet ours: checkov's HCL
parser would take the place of the one in the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bundle import REPOSITORY
from infra.scan.findings import Finding

_SECONDS = 300
# Where Python of ours lies; tests assert and make up secrets, so they are not asked.
_CODE = ("shared", "functions", "jobs", "infra")
_WORKFLOWS = ".github/workflows"
_FRAMEWORKS = ("terraform", "dockerfile", "github_actions", "secrets")


class ScanFailed(Exception):
    """A scanner could not do its work; the text has what it said."""


@dataclass(frozen=True, slots=True)
class Environment:
    """`bin` has the scanners, `python` is the interpreter whose packages are looked at."""

    bin: Path
    python: Path
    root: Path = REPOSITORY

    def ask(self, name: str, *arguments: str, good: Sequence[int] = (0, 1)) -> str:
        """What a scanner prints; 1 means that it found something. Raises ScanFailed."""
        command = [os.fspath(self.bin / name), *arguments]
        env = {**os.environ, "PYTHONWARNINGS": "ignore", "LOG_LEVEL": "ERROR"}
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=env,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ScanFailed(f"{name}: {error}") from error
        if done.returncode not in good:
            raise ScanFailed(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout


def bandit(on: Environment) -> Iterator[Finding]:
    """Python: dangerous calls, strings that become SQL or commands."""
    answer = _json("bandit", on.ask("bandit", "-q", "-f", "json", "-r", *_CODE))
    if answer["errors"]:
        raise ScanFailed(f"bandit could not read {answer['errors']}")
    for item in answer["results"]:
        yield Finding(
            "bandit",
            item["test_id"],
            os.path.normpath(item["filename"]),
            item["issue_text"],
            item["line_number"],
        )


def hadolint(on: Environment) -> Iterator[Finding]:
    """Dockerfiles, and the shell in their RUN lines."""
    answer = on.ask("hadolint", "--no-fail", "-f", "json", *dockerfiles(on.root))
    for item in _json("hadolint", answer):
        yield Finding("hadolint", item["code"], item["file"], item["message"], item["line"])


def zizmor(on: Environment) -> Iterator[Finding]:
    """GitHub workflows: injection, permissions, what an action is pinned to."""
    if not (on.root / _WORKFLOWS).is_dir():
        return
    answer = on.ask("zizmor", "--offline", "--no-exit-codes", "-q", "--format", "json", _WORKFLOWS)
    for item in _json("zizmor", answer):
        first = item["locations"][0]
        file = first["symbolic"]["key"]["Local"]["verbatim_path"]
        line = first["concrete"]["location"]["start_point"]["row"] + 1
        yield Finding("zizmor", item["ident"], file, item["desc"], line)


def checkov(on: Environment) -> Iterator[Finding]:
    """Terraform, Dockerfiles, workflows, and secrets in any of them; policies are in the package.

    It walks through all that is below a folder, and takes dockerfile.py for a Dockerfile, so it
    gets a folder with what it is asked about."""
    with tempfile.TemporaryDirectory(prefix="millrace-checkov-") as scratch:
        for name in _for_checkov(on.root):
            target = Path(scratch) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(on.root / name, target)
        plain = ("--compact", "--quiet", "--skip-download", "-o", "json")
        said = on.ask("checkov", "-d", scratch, "--framework", *_FRAMEWORKS, *plain)
    answer = _json("checkov", said)
    for part in answer if isinstance(answer, list) else [answer]:
        results = part.get("results", {})  # nothing of that kind: none
        if bad := results.get("parsing_errors"):
            raise ScanFailed(f"checkov could not read {', '.join(bad)}")
        for item in results.get("failed_checks", ()):
            yield _of_checkov(part["check_type"], item)


def _for_checkov(root: Path) -> Iterator[str]:
    found = [*root.glob("infra/terraform/**/*.tf"), *root.glob("infra/terraform/**/*.tfvars")]
    found += [*root.glob(f"{_WORKFLOWS}/*.y*ml")]
    found += [*root.glob("cloudbuild*.yaml"), *root.glob("infra/cloudbuild*.yaml")]
    names = [file.relative_to(root).as_posix() for file in found if file.is_file()]
    yield from (name for name in names if "/.terraform" not in name)
    yield from dockerfiles(root)


def dockerfiles(root: Path) -> list[str]:
    found = sorted((root / "infra" / "images").glob("Dockerfile*"))
    return [file.relative_to(root).as_posix() for file in found]


def _of_checkov(kind: str, item: Any) -> Finding:
    """A resource of Terraform is known by its address, everything else by its file."""
    where = item["resource"] if kind == "terraform" else item["file_path"].lstrip("/")
    return Finding("checkov", item["check_id"], where, item["check_name"])


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ScanFailed(f"{name} answered {text[:500]!r}") from error


SCANNERS: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    bandit,
    hadolint,
    zizmor,
    checkov,
)
