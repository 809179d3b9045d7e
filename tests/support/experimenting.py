"""Models with an experiment, for tests: a champion, a challenger, and a start."""

from __future__ import annotations

from typing import Any

from shared import documents, paths
from shared.beside import experiments
from shared.beside.experiments import Record
from shared.beside.second_version import SecondVersion
from shared.manifests import read_manifest
from tests.support.system import System, store_version
from tests.support.working import trained

CHALLENGER = "20250101T000000-cccccccc"
FACTS: dict[str, Any] = {"share": 0.5, "key": "b"}


def with_two_versions(system: System, spec: str) -> str:
    """A champion, and a stored version beside it; the champion's id."""
    champion = trained(system, spec)
    store_version(system.lake, "m", CHALLENGER, against=champion)
    for version in (champion, CHALLENGER):
        store_package(system, version)
    return champion


def store_package(system: System, version: str, **changes: Any) -> None:
    features = [{"name": name} for name in ("a", "b")]
    body = {"task": "binary", "labels": ["no", "yes"], "schema": {"features": features}}
    name = paths.package("m", version, "package.json")
    system.lake.write(name, documents.dumps({**body, **changes}))


def start(system: System, **facts: Any) -> tuple[dict[str, Any], int]:
    return system.decide(
        model="m",
        action="experiment-start",
        version=CHALLENGER,
        reason="to see",
        facts={**FACTS, **facts},
    )


def stop(system: System, experiment_id: str, **facts: Any) -> tuple[dict[str, Any], int]:
    return system.decide(
        model="m", action="experiment-stop", version=experiment_id, reason="seen", facts=facts
    )


def running(system: System) -> SecondVersion | None:
    manifest = read_manifest("m", lake=system.lake)
    return manifest.experiment if manifest else None


def records(system: System) -> list[Record]:
    return list(experiments.latest("m", lake=system.lake))


def told(system: System) -> list[str]:
    """What people were told about experiments, each once, by its subject's last word."""
    found = {
        item["subject"]: None
        for item in system.published("AutomationNoted")
        if item["subject"].startswith("experiment-")
    }
    return [subject.rpartition("-")[2] for subject in found]
