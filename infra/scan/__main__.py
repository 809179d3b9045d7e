"""`make scan`: security scanners, known weaknesses and licences against a reasoned baseline.

The scanners live in .millrace/scan, made from infra/locks/scan.txt and never part of .venv. Exit
code 1 when something is new or an excuse is out of date, 2 when a scanner could not work. Names of
scanners as arguments ask those alone.
`MILLRACE_AUDIT=required` (the builds on Google Cloud and GitHub) also fails where the service of
known weaknesses cannot be asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.bundle import REPOSITORY
from infra.scan import findings, packages, tools
from infra.scan.findings import Finding
from infra.scan.packages import NotAudited
from infra.scan.tools import Environment, ScanFailed

HOME = REPOSITORY / ".millrace" / "scan"
LOCK = REPOSITORY / "infra" / "locks" / "scan.txt"
AUDIT = "pip-audit"
INSTALL = REPOSITORY / "infra" / "venv" / "install.py"


def main(names: list[str]) -> int:
    made = subprocess.run([sys.executable, INSTALL, LOCK, HOME], check=False)
    if made.returncode:
        print("The scanners could not be installed here, so nothing was scanned.")
        return 2
    on = Environment(HOME / "bin", Path(sys.executable))
    try:
        found, ran = _offline(on, names)
    except ScanFailed as error:
        print(error)
        return 2
    missing = "" if names and AUDIT not in names else _audit(on, found, ran)
    problems = findings.judge(found, findings.read(), ran)
    for problem in problems:
        print(problem)
    excused = len(found) - sum(problem.startswith("new: ") for problem in problems)
    print(f"{', '.join(ran)}: {len(problems)} to look at, {excused} excused in baseline.yaml")
    if missing:
        print(f"NOT AUDITED: {missing}")
    return 1 if problems or (missing and os.environ.get("MILLRACE_AUDIT") == "required") else 0


def _offline(on: Environment, names: list[str]) -> tuple[list[Finding], list[str]]:
    """The findings of what needs no network, and who was asked. Raises ScanFailed."""
    found, ran = list[Finding](), list[str]()
    for scanner in (*tools.SCANNERS, packages.licences):
        if not names or scanner.__name__ in names:
            _run(scanner, on, found)
            ran.append(scanner.__name__)
    return found, ran


def _audit(on: Environment, found: list[Finding], ran: list[str]) -> str:
    """Why there was no audit; empty when there was one."""
    try:
        _run(packages.audit, on, found)
    except NotAudited as error:
        return str(error)
    ran.append(AUDIT)
    return ""


def _run(
    scanner: Callable[[Environment], Iterator[Finding]], on: Environment, found: list[Finding]
) -> None:
    started = time.monotonic()
    found.extend(scanner(on))
    print(f"  {scanner.__name__}: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
