"""Which roles of people a command takes, as the topology says and access.md shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from infra import access
from shared.cli.main import cli
from tests.support.granting import DEPLOYERS, finished_topology, may_by_command
from tests.support.recording import Touch

RUNBOOK = Path(access.__file__).with_name("docs") / "runbook.md"
# What somebody on call types, or opens, and the smallest of Google's roles that lets them.
SEEING = {
    "gcloud logging read": "roles/logging.viewer",
    "gcloud run jobs executions list": "roles/run.viewer",
    "gcloud scheduler jobs describe": "roles/cloudscheduler.viewer",
    "gcloud scheduler jobs run": "roles/cloudscheduler.jobRunner",
    "dashboard": "roles/monitoring.viewer",
}


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, bool]]:
    """Every command as it is typed, and whether it is asked why (`--reason`)."""
    if not isinstance(command, click.Group):
        yield " ".join(path), any("--reason" in param.opts for param in command.params)
        return
    here = click.Context(command)
    for name in command.list_commands(here):
        found = command.get_command(here, name)
        assert found is not None
        yield from commands(found, (*path, name))


def test_every_command_stands_there_and_no_other() -> None:
    """Whoever adds a command says which roles it takes."""
    known = {access.command_of(name) for name in finished_topology().commands}
    assert known == {name for name, _ in commands(cli)}


def test_roles_are_those_of_people() -> None:
    """Or of whoever deploys."""
    found = finished_topology()
    named = {role for roles in found.commands.values() for role in roles}
    assert named <= {*found.people, DEPLOYERS}
    assert len(named) > 7


def test_decisions_take_a_decider() -> None:
    """Whatever wants a reason goes to promote, but forgetting; so does taking a mute back."""
    decisions = {name for name, why in commands(cli) if why} - {"forget"} | {"unmute"}
    named = finished_topology().commands.items()
    assert {name for name, roles in named if "deciders" in roles} == decisions


@pytest.mark.parametrize(
    ("words", "touch", "may"),
    [
        (("status",), Touch("people", "read", "lake", "runs/m/r/x.json"), True),
        (("status",), Touch("people", "read", "lake", "predictions/m/r/p.csv"), False),
        (("get",), Touch("people", "read", "lake", "predictions/m/r/p.csv"), True),
        (("drop",), Touch("people", "change", "inbox", "_specs/m.yaml"), True),
        (("quarantine", "replay"), Touch("people", "change", "inbox", "_specs/m.yaml"), False),
        (("tick", "sweep"), Touch("people", "publish", "ticks"), True),
        (("tick", "sweep"), Touch("people", "publish", "alerts"), False),
        (("doctor",), Touch("people", "read", "lake", "labels/m/x"), True),
        ((), Touch("people", "read", "lake", "labels/m/x"), True),
    ],
)
def test_a_command_may_what_its_roles_may(words: tuple[str, ...], touch: Touch, may: bool) -> None:
    """No role of somebody else's helps it; where no command is at work, nobody asks."""
    context = click.Context(cli, info_name="millrace")
    for word in words:
        context = click.Context(click.Command(word), parent=context, info_name=word)
    with context:
        assert may_by_command(touch, finished_topology()) == may


def test_a_command_that_nobody_listed_is_an_error() -> None:
    """Not one that takes no role."""
    with pytest.raises(KeyError, match="versions hide"):
        access.roles_for(["versions", "hide"], finished_topology())


def test_on_call_may_what_the_runbook_tells_them_to_do() -> None:
    """Every call of gcloud says of which project, and the role has what they take and no more."""
    text = RUNBOOK.read_text(encoding="utf-8")
    typed = re.findall(r"`(gcloud [^`]+)`", text)
    assert len(typed) > 4
    for line in typed:
        assert "--project PROJECT" in line
        assert line.startswith(tuple(SEEING)), line
    for what in SEEING:
        assert what in text
    assert set(finished_topology().people["on-call"].project) == set(SEEING.values())


def test_the_runbook_names_the_roles_that_its_commands_take() -> None:
    """At its top, before somebody is on call without them."""
    text = RUNBOOK.read_text(encoding="utf-8")
    top = text.partition("\n## ")[0]
    typed = re.findall(r"\./millrace ([a-z-]+(?: [a-z]+)?)", text)
    paths = {access.command_of(name) for name in finished_topology().commands}
    found = {line if line in paths else line.split()[0] for line in typed} & paths
    assert len(found) > 12
    for name in found:
        for role in access.roles_for(name.split(), finished_topology()):
            assert f"`{role}`" in top, name
