"""An installation that is deployed with programs that only remember."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra import bundle as infra_bundle
from infra.deploy import images, traffic, trial
from infra.deploy.deployment import Deployment
from shared.cli import installations
from shared.cli.installations import Installation
from tests.support.fake_cloud import NUMBER, FakeCloud, FakeTools

OUTPUT = Installation.predicted(
    "x", "acme-data", NUMBER, "europe-west1", "dev", mlflow=False
).to_json()

AFTER_APPLY = [
    "gcloud sql users assign-roles mr-mlflow --quiet",
    "gcloud run jobs execute mlflow-database --wait",
]

PLACE = ("--project", "acme-data", "--region", "europe-west1", "--environment")


@dataclass
class Site:
    """`told` are the lines that whoever waits has seen."""

    cloud: FakeCloud
    home: Path
    told: list[str] = field(default_factory=list)

    def deployment(self, **more: Any) -> Deployment:
        given: dict[str, Any] = {
            "name": "acme",
            "project": "acme-data",
            "region": "europe-west1",
            "environment": "dev",
            "mlflow": "off",
            "home": self.home,
            **more,
        }
        logs = self.home / "deploy" / given["name"] / "logs"
        tools = FakeTools(self.cloud, logs, self.told.append)
        return Deployment(tools=tools, **given)

    @property
    def text(self) -> str:
        return "\n".join(self.told)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Zips take their time, and their content is their name: made once for all tests."""
    return tmp_path_factory.mktemp("bundles")


_KNOWN: dict[tuple[Path, bool], str] = {}
_fingerprint = infra_bundle.fingerprint


def _remembered(door: Path, more: Any = None, *, shared: bool = True) -> str:
    """Reading all files for every test takes long, and nobody edits them meanwhile."""
    key = (door, bool(more))
    if key not in _KNOWN:
        _KNOWN[key] = _fingerprint(door, more, shared=shared)
    return _KNOWN[key]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bundles: Path) -> Site:
    monkeypatch.setattr(installations, "HOME", tmp_path / "home")
    monkeypatch.setattr(Deployment, "bundles", bundles)
    monkeypatch.setattr(images, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(trial, "after", lambda chain: iter(()))  # test_doctor.py has it
    monkeypatch.setattr(infra_bundle, "fingerprint", _remembered)
    cloud = FakeCloud(tmp_path)
    cloud.be(output={"installation": OUTPUT, "after_apply": AFTER_APPLY})
    return Site(cloud, tmp_path / "home")


@pytest.fixture
def path(site: Site, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    monkeypatch.setenv("PATH", str(site.cloud.bin))
    monkeypatch.setattr(traffic, "PROGRAM", ("gcloud", "rollout"))
    return site.cloud
