"""The modules `infra/terraform/topology` and `observability`, read by the real `terraform`: they
know no provider, so they need neither network nor cloud."""

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


def terraform() -> str:
    """The binary. Skips the test where there is none."""
    found = shutil.which("terraform")
    if not found:
        pytest.skip("there is no terraform on this machine; CI has one")
    return found


def outputs(folder: Path, text: str | None = None) -> dict[str, Any]:
    """What the module makes of `text`, or of infra/topology.yaml, in an empty folder."""
    terraform()
    return _applied(_copied(folder, text))


def watched(folder: Path, text: str | None = None, **settings: str | float | bool) -> Any:
    """What the module `observability` makes of `text`, or of infra/topology.yaml."""
    terraform()
    home = _copied(folder, text).parent
    _copy(home, "observability")
    defaults: dict[str, str | float | bool] = {
        "project": "p",
        "runbook": "https://docs.example/runbook.md",
        "schedules_paused": False,
        "mlflow_instance": "millrace-mlflow",
        "predict_p99_ms": 2500,
    }
    lines = [f"  {name} = {json.dumps(value)}" for name, value in {**defaults, **settings}.items()]
    (home / "main.tf").write_text(
        "\n".join(
            [
                'module "topology" {\n  source = "./topology"\n}',
                'module "observability" {\n  source = "./observability"',
                "  topology = module.topology",
                *lines,
                '}\noutput "found" {\n  value = module.observability\n}\n',
            ]
        ),
        encoding="utf-8",
    )
    return _applied(home)["found"]


def _copied(folder: Path, text: str | None) -> Path:
    """The topology and its module, in their places."""
    home = _copy(folder / "infra" / "terraform", "topology")
    (folder / "infra" / "topology.yaml").write_text(
        topology.FILE.read_text(encoding="utf-8") if text is None else text, encoding="utf-8"
    )
    return home


def _copy(to: Path, module: str) -> Path:
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    return Path(shutil.copytree(ROOT / module, to / module, ignore=ignored))


def _applied(home: Path) -> dict[str, Any]:
    binary = terraform()
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
