"""Who may do what: the edges of the topology, one by one.

infra/terraform/topology/access.tf makes grants of the same file; tests hold the two together and
ask of every edge that something uses it. Knows no cloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from infra.topology_parts import External, Function, Party, People, Topology

Operation = Literal["read", "list", "create", "change"]

ALWAYS = "always"
DEAD_LETTERS = "dead-letters"
PUSH, PEOPLE, AGENT = "push-", "people/", "agent/"
WORDS: Mapping[Operation, str] = {
    "read": "reads",
    "list": "lists",
    "create": "creates",
    "change": "changes",
}


class Edge(NamedTuple):
    """`who` is a topology key, `push-<function>` (as whom Pub/Sub pushes to it), `people/<role>` or
    `agent/<service of Google's>`; `when` is the switch that it depends on."""

    who: str
    verb: str
    what: str
    when: str = ALWAYS


def places(party: Party, operation: Operation) -> tuple[str, ...]:
    """Where a party may do that."""
    return {
        "read": (*party.reads, *party.creates, *party.changes),
        "list": party.lists,
        "create": (*party.creates, *party.changes),
        "change": party.changes,
    }[operation]


def allows(party: Party, operation: Operation, bucket: str, name: str) -> bool:
    """Whether a party may do that to an object, or (list) see the names that begin so: a list has
    no exceptions."""
    whole = f"{bucket}/{name}"
    if operation != "list" and isinstance(party, People) and whole.startswith(party.excludes):
        return False
    return whole.startswith(places(party, operation))


def roles_for(words: Iterable[str], topology: Topology) -> tuple[str, ...]:
    """All roles that some use of a command (`versions`, `list`) takes. Raises KeyError for one that
    the topology does not know."""
    path = " ".join(words)
    found = [roles for name, roles in topology.commands.items() if command_of(name) == path]
    if not found:
        raise KeyError(path)
    return tuple(dict.fromkeys(role for roles in found for role in roles))


def command_of(name: str) -> str:
    """A command as it is typed, of an entry that may tell its uses apart."""
    return " ".join(word for word in name.split() if not word[0].isupper())


# --- edges ---------------------------------------------------------------------------------------


def edges(topology: Topology) -> list[Edge]:
    """All there is, in the order of the file."""
    return list(_edges(topology))


def _edges(topology: Topology) -> Iterator[Edge]:
    for name, party in topology.parties.items():
        yield from _of_party(name, party, topology)
    for name, people in topology.people.items():
        yield from _of_party(PEOPLE + name, people, topology)
        yield from (Edge(PEOPLE + name, "but not", place) for place in people.excludes)
        yield from (Edge(PEOPLE + name, "has", role) for role in people.project)
    for pushed in dict.fromkeys(item.push for item in topology.subscriptions.values()):
        if pushed:
            yield Edge(PUSH + pushed, "calls", pushed)
    yield from _of_agents(topology)


def _of_party(who: str, party: Party, topology: Topology) -> Iterator[Edge]:
    when = party.switch if isinstance(party, External) else ALWAYS
    for verb in (*WORDS.values(), "publishes", "secrets"):
        yield from (Edge(who, verb, what, when) for what in getattr(party, verb))
    for job in party.runs if isinstance(party, Function) else ():
        yield from (Edge(who, "runs", f"{job}-{size}") for size in topology.jobs[job].sizes)
    for called in party.calls:
        external = topology.externals.get(called)
        names = topology.functions if called == "*" else (called,)
        yield from (Edge(who, "calls", n, external.switch if external else when) for n in names)


def _of_agents(topology: Topology) -> Iterator[Edge]:
    """Google's own services, which act between our parts."""
    for bucket in topology.buckets.values():
        if bucket.notify_topic:
            yield Edge(AGENT + "storage", "publishes", bucket.notify_topic)
    for topic in dict.fromkeys(item.topic for item in topology.schedules.values()):
        yield Edge(AGENT + "scheduler", "publishes", topic)
    for item in topology.subscriptions.values():
        if item.dead_letter:
            yield Edge(AGENT + "pubsub", "subscribes", item.name)
        if item.export:
            yield Edge(AGENT + "pubsub", "creates", f"{item.export.bucket}/{item.export.prefix}")
    yield Edge(AGENT + "pubsub", "publishes", DEAD_LETTERS)
