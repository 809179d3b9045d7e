"""Whoever forgets somebody needs what the role `erasers` grants, and no more than that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra import topology
from shared import paths
from tests.unit.forgetting.test_places import snapshot
from tests.unit.forgetting.world import KEY, world

ROLE = topology.load().people["erasers"]
CHANGES = {"write", "upload", "delete", "delete_generation"}
LISTS = {"list", "folders", "generations"}


class Watched:
    """Notes which objects are touched, and how."""

    def __init__(self, bucket: Any, trail: set[tuple[str, str]]) -> None:
        self._bucket, self._trail = bucket, trail

    def __getattr__(self, name: str) -> Any:
        found: Any = getattr(self._bucket, name)
        if not callable(found):
            return found
        kind = "changes" if name in CHANGES else "lists" if name in LISTS else "reads"

        def call(*args: Any, **more: Any) -> Any:
            place = str(args[0]) if args else ""
            self._trail.add((kind, f"{self._bucket.name}/{place}"))
            return found(*args, **more)

        return call


def _under(places: Any) -> Callable[[str], bool]:
    return lambda name: any(name.startswith(place) for place in places)


def test_the_role_suffices(tmp_path: Path) -> None:
    """Every object that is read, listed, written or deleted on the way lies where an eraser may."""
    found, trail = world(), set[tuple[str, str]]()
    champion = found.system.champion()
    assert champion is not None
    snapshot(found, "20250101T000000-aaaaaaaa", tmp_path, KEY)
    found.forget(lake=Watched(found.lake, trail), inbox=Watched(found.inbox, trail))
    may = {
        "changes": _under(ROLE.changes),
        "reads": _under((*ROLE.changes, *ROLE.reads)),
        "lists": _under(ROLE.lists),
    }
    refused = sorted((kind, name) for kind, name in trail if not may[kind](name))
    assert refused == []
    assert not [name for _, name in trail if name.startswith(tuple(ROLE.excludes))]
    used = {name.partition("/")[2].partition("/")[0] for kind, name in trail if kind == "changes"}
    granted = {place.split("/")[1] for place in ROLE.changes if place.startswith("lake/")}
    assert granted - used == set(), "rights that nobody needs"
    assert paths.forgotten().startswith("forgotten/")
