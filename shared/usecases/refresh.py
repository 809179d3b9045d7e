"""Refreshes that are due: a champion that has served long enough is trained again on what is new.

    champion asked for      +refresh            +2 refresh
          |-------------------|-------------------|------->
                              slot 1: decided     slot 2: decided once, and so on
                              once

A slot is an occasion like an alert's, with the same guard; it waits where only the cooldown or the
weekly budget is in the way, and a note that there is nothing to learn from ends it. A new champion
starts to count anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared import claims, paths
from shared.documents import timestamp
from shared.manifests import Manifest
from shared.spec.registry import find_spec
from shared.usecases.retrain import RetrainPorts, has_to_wait, settle
from shared.usecases.retrain_facts import Occasion, champion_of


def look_after(manifest: Manifest, ports: RetrainPorts) -> int:
    """Decide the model's refresh if one is due; 1 when something was decided. Raises InProgress."""
    model = manifest.model
    registered = find_spec(model, lake=ports.lake)
    stretch = registered.spec.retrain.refresh if registered else None
    if stretch is None:
        return 0
    since, now = champion_of(manifest, lake=ports.lake).since, ports.clock.now()
    slot = slot_at(now, since, stretch)
    if slot is None:
        return 0
    occasion = Occasion(
        model=model,
        cause="refresh",
        incident_id=f"{model}-refresh-{slot:%Y%m%dT%H%M%SZ}",
        about_version=manifest.version,
        facts={"due": timestamp(slot)},
    )
    before = claims.peek(paths.claim(occasion.key), lake=ports.lake)
    if before is not None and before.done:
        return 0
    if before is None and has_to_wait(occasion, ports):
        return 0
    return int(settle(occasion, ports) != "later")


def slot_at(now: datetime, since: datetime, stretch: timedelta) -> datetime | None:
    """The last moment that was a whole number of stretches after `since`, None before the first."""
    passed = (now - since) // stretch
    return since + stretch * passed if passed > 0 else None
