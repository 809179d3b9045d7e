"""The module `infra/terraform/topology`, read by the real `terraform`: it knows no provider, so it
needs neither network nor cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra import topology

ROOT = topology.FILE.parent / "terraform"
MODULE = ROOT / "topology"


def terraform() -> str:
    """The binary. Skips the test where there is none."""
    found = shutil.which("terraform")
    if not found:
        pytest.skip("there is no terraform on this machine; CI has one")
    return found


def outputs(folder: Path, text: str | None = None) -> dict[str, Any]:
    """What the module makes of `text`, or of infra/topology.yaml, in an empty folder."""
    binary = terraform()
    home = folder / "infra" / "terraform" / "topology"
    shutil.copytree(MODULE, home, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    (folder / "infra" / "topology.yaml").write_text(
        topology.FILE.read_text(encoding="utf-8") if text is None else text, encoding="utf-8"
    )
    _run(binary, home, "init", "-backend=false")
    _run(binary, home, "apply", "-auto-approve")
    found: dict[str, Any] = json.loads(_run(binary, home, "output", "-json"))
    return {name: output["value"] for name, output in found.items()}


def _run(binary: str, home: Path, *arguments: str) -> str:
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }
    command = [binary, f"-chdir={home}", *arguments, "-no-color"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
