"""MLflow and Vertex AI are choices: an installation without both does everything else, silently."""

from __future__ import annotations

import json

from shared.config import Config
from shared.wiring import Wiring
from tests.support.system import EVERY_FUNCTION, SPEC, System
from tests.support.working import post_sweep, repeat, state_of, trained

BARE = {"MILLRACE_PROJECT": "p", "MILLRACE_INBOX": "i", "MILLRACE_LAKE": "l"}


def without_registries() -> System:
    """Mirror's own wiring decides, by settings that name no server."""
    system = System(functions=EVERY_FUNCTION)
    mirror = system.doors["mirror"].wiring
    for name in ("registry", "vertex"):
        mirror.__dict__.pop(name, None)
    assert mirror.registries == []
    return system


def test_settings_that_name_no_server_make_no_client() -> None:
    """Neither for trainings nor for mirror; a variable that is set to nothing names none."""
    off = {"MLFLOW_TRACKING_URI": "", "MLFLOW_TRACKING_AUTH": "", "MILLRACE_VERTEX_REGISTRY": "off"}
    for env in (BARE, {**BARE, **off}):
        wiring = Wiring(Config.from_env(env))
        assert (wiring.tracker, wiring.registries) == (None, [])


def test_everything_else_goes_on() -> None:
    """Versions are promoted, and roll back; mirror takes what it is told and does nothing with it:
    no note, no message, no object, no dead letter."""
    system = without_registries()
    first = trained(system, SPEC)
    second = trained(system)
    assert system.champion() == second
    system.decide(model="m", action="rollback", reason="worse")
    assert system.champion() == first
    repeat(system, second)
    assert post_sweep(system, "mirror") == 204
    assert state_of(system, second) == "promoted"
    assert [info.name for info in system.lake.list("mirror/")] == []
    assert system.published("PromotionRequested") == []
    said = json.dumps([json.loads(item.data) for item in system.cloud.publisher.published])
    assert "MLflow" not in said
    assert "Vertex" not in said
    assert not [note for note in system.published("AutomationNoted") if note["source"] == "mirror"]
