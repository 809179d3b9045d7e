"""gcloud and terraform that remember: programs to put on PATH, which answer from a small world in a
file, write down every call, and fail when they are told to.

    cloud = FakeCloud(tmp_path)          # two executables in tmp_path/bin
    cloud.fail(r"terraform .* apply")    # the next such call ends with 1
    cloud.calls                          # what was called, in order
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.deploy.tools import MISSING, Said, StepFailed, Tools, failure, shown
from tests.support.fake_programs import DIGEST, NUMBER, main

__all__ = ["DIGEST", "NUMBER", "FakeCloud", "FakeTools"]

EMPTY: dict[str, Any] = {
    "account": "ada@example.com",
    "adc": True,
    "billing": True,
    "roles": ["roles/owner"],
    "apis": [
        "run.googleapis.com",
        "cloudfunctions.googleapis.com",
        "cloudscheduler.googleapis.com",
    ],
    "regions": ["europe-west1", "europe-north1"],
    "quota": 400_000,
    "buckets": {},
    "images": [],
    "builds": {},
    "build_status": "SUCCESS",
    "secrets": {},
    "state": {"foundation": [], "installation": []},
    "changes": True,
    "deletes": [],
    "answers": {},
    "output": {},
    "fail": [],
}


@dataclass
class FakeCloud:
    """The world behind both programs. `world` is read and written as JSON."""

    home: Path

    def __post_init__(self) -> None:
        self.bin = self.home / "bin"
        self.bin.mkdir(parents=True, exist_ok=True)
        for tool in ("gcloud", "terraform"):
            program = self.bin / tool
            program.write_text(
                f"#!{sys.executable} -S\nimport sys\nsys.path.insert(0, {str(Path.cwd())!r})\n"
                "from tests.support.fake_programs import main\n"
                f"sys.exit(main({tool!r}, sys.argv[1:], {str(self.home)!r}))\n"
            )
            program.chmod(0o755)
        self.world = json.loads(json.dumps(EMPTY))

    @property
    def world(self) -> dict[str, Any]:
        return dict(json.loads((self.home / "world.json").read_text()))

    @world.setter
    def world(self, body: Mapping[str, Any]) -> None:
        (self.home / "world.json").write_text(json.dumps(body))

    def be(self, **changes: Any) -> None:
        """Change the world."""
        self.world = {**self.world, **changes}

    def fail(self, pattern: str, *, said: str = "ERROR: told to fail") -> None:
        """The next call that matches ends with 1."""
        self.be(fail=[*self.world["fail"], [pattern, said]])

    @property
    def calls(self) -> list[str]:
        file = self.home / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [json.loads(line)["command"] for line in lines]

    def forget_calls(self) -> None:
        (self.home / "calls.jsonl").unlink(missing_ok=True)

    def changes(self) -> list[str]:
        """The calls that change something, in a few words each."""
        words = (
            "services enable|buckets create|buckets update|buckets delete|storage rm|builds submit"
            "|versions add|jobs execute|users assign|rollout"
            r"|terraform \S+ (?:apply|import|destroy|state rm)"
        )
        return [call for call in self.calls if re.search(words, call)]

    def environ(self) -> dict[str, str]:
        """With these two programs and nothing else."""
        return {"PATH": os.fspath(self.bin)}


class FakeTools(Tools):
    """The same two programs without processes, which take their time."""

    def __init__(self, cloud: FakeCloud, logs: Path, tell: Callable[[str], None]) -> None:
        super().__init__(logs, Path.cwd(), tell, cloud.environ())
        self._cloud = cloud

    def ask(
        self, *command: str, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> Said:
        if not self.has(command[0]) and command[0] != sys.executable:
            return Said(MISSING, "", f"ERROR: {command[0]} is not installed")
        out, err = io.StringIO(), io.StringIO()
        words = list(command[1:])
        tool = "python" if command[0] == sys.executable else command[0]
        code = main(tool, words, os.fspath(self._cloud.home), (stdin or "", out, err))
        return Said(code, out.getvalue(), err.getvalue())

    def do(
        self,
        *command: str,
        log: str,
        env: Mapping[str, str] | None = None,
        good: tuple[int, ...] = (0,),
    ) -> int:
        self.tell(f"  $ {shown(command)}")
        said = self.ask(*command)
        if said.code not in good:
            lines = [*said.out.splitlines(), *said.err.splitlines()]
            raise StepFailed(failure(command, said.code, lines, self._logs / f"{log}.log"))
        return said.code
