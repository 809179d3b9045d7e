"""People let only that serve which a predictor can load."""

from __future__ import annotations

from shared import documents, paths
from tests.support.system import SPEC, System
from tests.support.working import everything, trained


def test_a_version_whose_snapshot_was_forgotten_does_not_serve_again() -> None:
    """Forgetting somebody took an old version the snapshot it looks keys up in: neither a promotion
    by hand nor a rollback tells people that it serves. Put back, both do."""
    system = everything()
    first, second = trained(system, SPEC), trained(system)
    name = paths.features("m", first, "transactions.sqlite")
    _looks_up(system, first, name)
    reply, status = system.decide(model="m", version=first, action="promote", reason="back")
    assert (status, system.champion()) == (409, second)
    assert "transactions.sqlite" in reply["sentence"]
    assert system.decide(model="m", action="rollback", version=second)[1] == 409
    assert system.champion() == second
    system.lake.write(name, b"a snapshot")
    assert system.decide(model="m", action="rollback", version=second)[1] == 200
    assert system.champion() == first


def _looks_up(system: System, version: str, name: str) -> None:
    about = paths.version("m", version, "version.json")
    snapshot = {"source": "transactions", "object": name, "sha256": "0" * 64}
    body = {**documents.require(system.lake, about), "features": [snapshot]}
    system.lake.write(about, documents.dumps(body))
