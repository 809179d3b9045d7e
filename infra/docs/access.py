"""Writes access.md: who may touch what, from infra/topology.yaml.

python -m infra.docs.access       (`make docs`)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infra import topology
from infra.access import AGENT, PUSH, Edge, edges
from infra.docs.tables import table
from infra.topology import Party, People, Topology

PAGE = Path(__file__).with_name("access.md")
NOTHING = "-"
_WORDS = ("every function", "all of the lake")

_OPENING = """\
<!-- Written by `make docs` from infra/topology.yaml; change it there, words in access.py. -->
# Who may touch what

Every function, service and job has a service account of its own (`mr-<name>`), without keys, and
may do what stands here and nothing else. `infra/topology.yaml` says it, Terraform grants it
(`infra/terraform/iam.tf`), and tests hold both to the code: in every test a part that does what is
not granted here is refused, and what is granted and never used fails one
([how](../../tests/unit/access/test_used.py)).

Prefixes are those of the [lake](lake.md) unless a bucket is named. Each word holds the ones before
it: who *creates* also reads, and can write what is not there yet but never over it; who *changes*
also overwrites and deletes. *Lists* are names only, and nobody sees those beside the prefix.
"""
_OBJECTS = "## Our parts and objects\n"
_REST = """\
## Our parts and everything else

Functions and services write no logs themselves: Cloud Run keeps what they print. Images are pulled
by Cloud Run's own agent. Starting a job (of any size) goes with seeing its executions, through a
role of our own.
"""
_PEOPLE = """\
## People

Nobody is any of these unless the Terraform variable `people` says so, as in
`people = { deciders = ["group:ml-leads@example.com"] }`. Rights end at prefixes: there are none per
model. Whoever may call `promote` may decide; so operators, who replay dead letters to every
function, may too.
"""
_COMMANDS = """\
## What a command takes

Against an installation, all roles of a line together; `analysts` may stand where `watchers` do,
since they read more. Words in capitals tell the uses of a command apart. `deployers` are those who
[deploy](deployment.md#rights). In tests a command is refused what the roles here may not. Where a
role is lacking, Google Cloud answers 403, and the command says what was refused. What takes no role
reads files on your disk, or is for the local stack.
"""
_AGENTS = """\
## What acts in between

Messages are pushed by Pub/Sub as an account per function (`mr-push-<function>`), which may call
that function and nothing else, and which nobody can become but whoever deploys. Google's own agents
do the rest.
"""
_PROJECT = """\
## Rights on the whole project

There is nothing smaller for these; all others are on one bucket, topic, subscription, job, service
or secret.
"""
_LIMITS = """\
## What a prefix cannot do

- Grants on prefixes are [conditions](https://cloud.google.com/storage/docs/access-control/iam) on
  the object's name, and for lists on the prefix that is asked for. Google takes 12 logical
  operators in a condition and 20 conditions per role and account; a test counts.
- A model is the second part of a name, so a part that may read `runs/` reads those of all models.
- Who writes a file again when it is tried again (`datasets/`, `models/`, `quarantine/`, stages of a
  label run) may overwrite there. Lost races are told apart from missing rights by looking, since
  Google may answer 403 to a create that came second.
- Whoever deploys may do everything: [delivery](../terraform/delivery/grants.tf) says who that is.
"""


def render(plan: Topology | None = None) -> str:
    """The page."""
    plan = plan or topology.load()
    every = edges(plan)
    return "\n".join(
        [
            _OPENING,
            _OBJECTS,
            _objects(plan.parties),
            _REST,
            _rest(plan),
            _PEOPLE,
            _people(plan),
            _COMMANDS,
            _commands(plan),
            _AGENTS,
            _agents(every),
            _PROJECT,
            table(("what", "why"), ((f"`{x}`", why) for x, why in plan.project_roles.items())),
            _LIMITS,
        ]
    )


def _objects(parties: Mapping[str, Party]) -> str:
    words = ("reads", "creates", "changes", "lists")
    rows = ((f"`{name}`", *(_places(getattr(x, w)) for w in words)) for name, x in parties.items())
    return table(("part", *words), rows)


def _rest(plan: Topology) -> str:
    verbs = ("publishes", "runs", "secrets", "calls")
    rows = (
        (f"`{name}`", *(_names(getattr(party, verb, ())) for verb in verbs))
        for name, party in plan.parties.items()
    )
    return table(("part", "publishes to", "starts", "secrets", "calls"), rows)


def _people(plan: Topology) -> str:
    rows = (
        (f"**{name}**", people.purpose, _may(people), _names(people.calls))
        for name, people in plan.people.items()
    )
    return table(("role", "to", "objects", "calls"), rows)


def _commands(plan: Topology) -> str:
    rows: dict[tuple[str, ...], list[str]] = {}
    for command, roles in plan.commands.items():
        rows.setdefault(roles, []).append(command)
    said = {roles: " and ".join(roles) or "no role" for roles in rows}
    return table(("roles", "commands"), ((said[x], _names(found)) for x, found in rows.items()))


def _may(people: People) -> str:
    words = {"reads": people.reads, "changes": people.changes, "lists": people.lists}
    said = [f"{word} {_places(found)}" for word, found in words.items() if found]
    said += [f"not {_places(people.excludes)}"] if people.excludes else []
    said += [f"publishes {_names(people.publishes)}"] if people.publishes else []
    said += [f"on the project {_names(people.project)}"] if people.project else []
    return "; ".join(said) or NOTHING


def _agents(every: Sequence[Edge]) -> str:
    verbs = {
        "publishes": "publishes to {}",
        "subscribes": "takes off {} what is given up",
        "creates": "writes {}",
        "calls": "calls {}",
    }
    rows = []
    for who in dict.fromkeys(edge.who for edge in every if edge.who.startswith(AGENT)):
        for verb, words in verbs.items():
            found = [edge.what for edge in every if (edge.who, edge.verb) == (who, verb)]
            if found:
                named = "every subscription" if verb == "subscribes" else _names(found)
                rows.append((f"Google's {who.removeprefix(AGENT)} agent", words.format(named)))
    pushed = [edge.what for edge in every if edge.who.startswith(PUSH)]
    rows.append(("Pub/Sub as `mr-push-...`", f"calls {_names(pushed)}, each as its own"))
    return table(("who", "does"), rows)


def _places(places: Iterable[str]) -> str:
    return _names(place.removeprefix("lake/") or "all of the lake" for place in places)


def _names(names: Iterable[str]) -> str:
    said = ("every function" if name == "*" else name for name in names)
    return ", ".join(name if name in _WORDS else f"`{name}`" for name in said) or NOTHING


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
