"""Doors as they are deployed: what is in their folders, and what importing one drags in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.bundle import REPOSITORY, Kind, build

KINDS: tuple[Kind, ...] = ("functions", "jobs")
DOORS = [
    (kind, path.parent.name)
    for kind in KINDS
    for path in sorted((REPOSITORY / kind).glob("*/main.py"))
]
# Importing one of these costs a small function more than its whole cold start.
HEAVY = {"pandas", "sklearn", "xgboost", "mlflow", "evidently", "optuna", "onnxruntime", "scipy"}
MAY_IMPORT = {
    "functions/monitor": HEAVY,
    "functions/mirror": {"mlflow"},
    "functions/predict": {"onnxruntime"},
    "jobs/train": HEAVY,
    "jobs/score": {"onnxruntime"},
    "jobs/label": set[str](),
}
OFF_AND_ON = """
import sys
import main
ours = {"MILLRACE_PROJECT": "p", "MILLRACE_INBOX": "i", "MILLRACE_LAKE": "l"}
ours |= {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
from shared.config import Config
from shared.wiring import Wiring
off = Wiring(Config.from_env(ours)).registries
vertex = any(name.startswith("google.cloud.aiplatform") for name in sys.modules)
on = {"MILLRACE_VERTEX_REGISTRY": "on", "MILLRACE_VERTEX_ENDPOINT": "127.0.0.1:9"}
both = Wiring(Config.from_env({**ours, **on})).registries
print([one.title for one in off], vertex, [one.title for one in both])
"""
PROBE = """
import json, sys
import main
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize(("kind", "name"), DOORS, ids=lambda value: value)
def test_importing_a_door_needs_no_environment_and_stays_light(
    kind: Kind, name: str, tmp_path: Path
) -> None:
    """A fresh interpreter imports the bundle's main without our variables, and without the
    libraries that only heavy work needs."""
    built = build(name, kind, tmp_path)
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=built,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    loaded = set(json.loads(result.stdout.splitlines()[-1]))
    assert not loaded & (HEAVY - MAY_IMPORT.get(f"{kind}/{name}", set()))


@pytest.mark.parametrize(("kind", "name"), DOORS, ids=lambda value: value)
def test_a_door_is_main_and_requirements_and_nothing_else(kind: Kind, name: str) -> None:
    """Helper modules beside main.py would collide in one process; they belong in shared/."""
    files = {item.name for item in (REPOSITORY / kind / name).iterdir()} - {"__pycache__"}
    assert files == {"main.py", "requirements.in", "requirements.txt"}


@pytest.mark.parametrize(("kind", "name"), DOORS, ids=lambda value: value)
def test_a_door_is_short(kind: Kind, name: str) -> None:
    """A door parses, calls one use case and translates; rules live in shared/usecases."""
    lines = (REPOSITORY / kind / name / "main.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 50


def test_mirror_imports_vertex_only_where_it_is_switched_on(tmp_path: Path) -> None:
    """The client library costs more than a second of cold start."""
    built = build("mirror", "functions", tmp_path)
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OFF_AND_ON],
        cwd=built,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout.strip() == "['MLflow'] False ['MLflow', 'Vertex AI']", result.stderr
