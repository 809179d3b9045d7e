"""Which processes a stack started, on disk, so that nothing outlives it. Standard library only.

A process is known by its id *and* its start time: ids are used again, and the wrong process must
not be killed. Every child leads a process group of its own, so grandchildren go with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

MARK = "MILLRACE_STACK"


def start_time(pid: int) -> str:
    """When the process started, in the system's own words; empty when there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name in parentheses may hold blanks; the 22nd field counts from behind it.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    found = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - macOS; wherever ps is
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()


def write(file: Path, known: dict[int, str]) -> None:
    """Replace the list atomically."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({str(pid): started for pid, started in known.items()}))
    draft.replace(file)


def read(file: Path) -> dict[int, str]:
    try:
        return {int(pid): str(started) for pid, started in json.loads(file.read_text()).items()}
    except (OSError, ValueError):  # no list, or one torn by a full disk
        return {}


def kill_listed(file: Path) -> list[int]:
    """Kill the groups of all listed processes that still run and remove the list; the ids of those
    that were killed come back."""
    killed = []
    for pid, started in read(file).items():
        if started and start_time(pid) == started:
            kill_group(pid, signal.SIGKILL)
            killed.append(pid)
    file.unlink(missing_ok=True)
    return killed


def kill_marked(mark: str) -> list[int]:
    """Kill processes whose environment carries a mark that starts like this: one may have been
    started and not yet listed when its stack was killed. Linux only; elsewhere the list has to
    do."""
    killed = []
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = entry.read_bytes().split(b"\0")
        except OSError:  # gone, or somebody else's
            continue
        pid = int(entry.parent.name)
        if any(variable.startswith(wanted) for variable in variables) and pid != os.getpid():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed.append(pid)
    return killed


def kill_group(pid: int, number: int) -> None:
    """Signal a process group; one that is gone is fine."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM for a group of zombies
        return
