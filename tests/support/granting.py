"""The memory cloud refuses what infra/topology.yaml does not grant, as Google Cloud would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import click

from infra import access, topology
from infra.topology import Party, Topology
from tests.support.recording import Touch, watching

DEPLOYERS = "deployers"  # who deploys may do everything


class NotGranted(BaseException):
    """The cloud would refuse this for ever. No handler of ours may catch it."""


@cache
def finished_topology() -> Topology:
    """Checking the file takes a quarter of a second, and tests make many systems."""
    return topology.load()


@contextmanager
def refusing(found: Topology) -> Iterator[None]:
    """Whatever a function, service or job of this topology does without a grant raises
    NotGranted."""
    with watching(_refuser(found)):
        yield


def _refuser(found: Topology) -> Callable[[Touch], None]:
    def look(touch: Touch) -> None:
        known = touch.who in found.parties or touch.who == "people"
        if known and not is_granted(touch, found):
            raise NotGranted(
                f"{touch.who} may not {touch.operation} {touch.where}/{touch.name}: "
                "infra/topology.yaml does not grant it"
            )
        if touch.who == "people" and not may_by_command(touch, found):
            raise NotGranted(
                f"this command needs to {touch.operation} {touch.where}/{touch.name}: the roles "
                "under `commands` in infra/topology.yaml do not suffice"
            )

    return look


def is_granted(touch: Touch, found: Topology) -> bool:
    """Whether the topology lets this party do this, or (people) one of their roles."""
    if touch.who == "people":
        return any(_may(people, touch) for people in found.people.values())
    return _may(found.parties[touch.who], touch)


def may_by_command(touch: Touch, found: Topology) -> bool:
    """Whether the roles that the topology names for the command that is at work let people do
    this. True where no command is."""
    words: list[str] = []
    context = click.get_current_context(silent=True)
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    if not words:
        return True
    roles = access.roles_for(words, found)
    return DEPLOYERS in roles or any(_may(found.people[role], touch) for role in roles)


def _may(party: Party, touch: Touch) -> bool:
    match touch.operation:
        case "publish":
            return touch.where in party.publishes
        case "run" | "watch":
            return touch.where in getattr(party, "runs", ())
        case operation:
            return access.allows(party, operation, touch.where, touch.name)
