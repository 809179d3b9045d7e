"""gcloud and terraform as they are run here: what is asked, what is done, and what they said.

Nothing secret is ever an argument: a value goes in through stdin. Nobody is asked anything by the
tools themselves.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.complaints import next_step
from shared.errors import MillraceError

MISSING = 127
_LAST_LINES = 25
_ASK_SECONDS = 180.0
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_QUIET = {"CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}


class StepFailed(MillraceError):
    """A command of a stage ended badly; it says which one, its last lines, and what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def good(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """The last sentence of its complaint."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        wrong = [line for line in lines if line.startswith(("ERROR", "Error", "│ Error"))]
        return (wrong or lines or [f"exit code {self.code}"])[-1].lstrip("│ ")[:300]

    @property
    def next_step(self) -> str:
        """What to do about it; empty when nothing is known."""
        return next_step(self.err)


class Tools:
    """Runs commands in `directory`. `tell` shows a line to whoever waits; `logs` keeps what long
    ones print."""

    def __init__(
        self,
        logs: Path,
        directory: Path,
        tell: Callable[[str], None],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._logs, self._directory, self.tell = logs, directory, tell
        self._environ = {**(os.environ if environ is None else environ), **_QUIET}

    def has(self, tool: str) -> bool:
        return shutil.which(tool, path=self._environ.get("PATH", "")) is not None

    def ask(
        self, *command: str, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> Said:
        """Run a command that looks something up (or is handed a secret on stdin), unseen. A tool
        that is not installed answers like one that failed."""
        try:
            done = subprocess.run(
                command,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                timeout=_ASK_SECONDS,
                check=False,
                cwd=self._directory,
                env={**self._environ, **(env or {})},
            )
        except FileNotFoundError:
            return Said(MISSING, "", f"ERROR: {command[0]} is not installed")
        except subprocess.TimeoutExpired:
            return Said(1, "", f"ERROR: no answer within {_ASK_SECONDS:.0f} s")
        return Said(done.returncode, done.stdout, _COLOURS.sub("", done.stderr))

    def do(
        self,
        *command: str,
        log: str,
        env: Mapping[str, str] | None = None,
        good: tuple[int, ...] = (0,),
    ) -> int:
        """Run a command that changes something, showing what it prints. Ctrl-C reaches it, too, and
        it is waited for. Raises StepFailed unless its exit code is among `good`."""
        self.tell(f"  $ {shown(command)}")
        self._logs.mkdir(parents=True, exist_ok=True)
        last: deque[str] = deque(maxlen=_LAST_LINES)
        file = self._logs / f"{log}.log"
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                cwd=self._directory,
                env={**self._environ, **(env or {})},
            )
        except FileNotFoundError as error:
            raise StepFailed(f"{command[0]} is not installed") from error
        with process, file.open("a", encoding="utf-8") as kept:
            kept.write(f"$ {shown(command)}\n")
            try:
                self._show(process, kept.write, last)
            except KeyboardInterrupt:
                process.wait()  # it got the signal as well; terraform puts its lock back
                raise
        if process.returncode not in good:
            raise StepFailed(failure(command, process.returncode, list(last), file))
        return process.returncode

    def _show(
        self, process: subprocess.Popen[str], keep: Callable[[str], object], last: deque[str]
    ) -> None:
        for coloured in process.stdout or ():
            line = _COLOURS.sub("", coloured).rstrip()
            keep(line + "\n")
            last.append(line)
            self.tell(f"  | {line}")


def failure(command: tuple[str, ...], code: int, last: list[str], file: Path) -> str:
    said = "\n".join(f"    {line}" for line in last if line)
    return (
        f"`{shown(command)}` ended with exit code {code}"
        + (f"; its last lines:\n{said}" if said else "")
        + f"\n  All it printed: {file}"
    )


def shown(command: Sequence[str]) -> str:
    """As it could be typed."""
    return " ".join(shlex.quote(word) for word in command)
