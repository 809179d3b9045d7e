"""The page about deploying tells what is there: commands, options, stages, roles of people."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from infra import access, topology
from infra.bundle import REPOSITORY
from infra.deploy.before import ROLES, ROLES_MLFLOW
from infra.deploy.every import ALL
from shared.cli.main import cli

PAGE = (REPOSITORY / "infra" / "docs" / "deployment.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
LINES = [
    line.partition(" #")[0].strip()
    for line in "\n".join(BLOCKS).splitlines()
    if line.startswith("./millrace")
]


def options(command: click.Command) -> set[str]:
    return {"--help", *(name for param in command.params for name in param.opts)}


def groups_of(command: click.Command, words: list[str]) -> tuple[click.Command, set[str]]:
    """The command that the words call, and every option on the way to it."""
    known = options(command)
    here = click.Context(command)
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(here, word)
        if found is not None:
            command = found
            known |= options(command)
    return command, known


@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_commands_of_the_page_exist_with_their_options(line: str) -> None:
    """What people are told to type is understood when they type it."""
    words = [word for word in shlex.split(line)[1:] if word != "|"]
    command, known = groups_of(cli, words)
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert used <= known
    assert command is not cli


def test_every_stage_is_explained() -> None:
    """In order, with what to do when it fails."""
    table = re.findall(r"^\| (\w+) \|", PAGE[PAGE.index("| stage |") :], re.MULTILINE)
    assert table[1 : len(ALL) + 1] == [stage.key for stage in ALL]


READING = {
    *("demo", "up", "down", "logs", "ui", "slack", "cost"),  # this machine's, or nobody's
    *("get", "status", "why", "trace", "predict", "doctor", "decision show", "mutes list"),
    *("quarantine export", "quarantine list", "quarantine show", "approvals list"),
    *("versions compare", "versions history", "versions list", "versions show"),
    *("experiment status", "canary status", "shadow status", "dead-letters list"),
    *("spec check", "spec diff", "spec plan", "spec show"),
    *("context list", "context show", "secret list"),
}


def leaves(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    here = click.Context(command)
    if not isinstance(command, click.Group):
        yield " ".join(words), options(command)
        return
    for name in command.list_commands(here):
        found = command.get_command(here, name)
        assert found is not None
        yield from leaves(found, (*words, name))


def test_what_changes_an_installation_takes_dry_run() -> None:
    """As README says; whoever adds a command decides which of both it is."""
    without = {name for name, known in leaves(cli) if "--dry-run" not in known}
    assert without == READING
    assert "changes an installation takes `--dry-run`" in " ".join(README.split())


def test_the_example_of_settings_names_roles_that_exist() -> None:
    """Of people, as the topology has them."""
    example = re.findall(r"^  ([a-z-]+)\s+= \[", PAGE, re.MULTILINE)
    assert example
    assert set(example) <= set(topology.load().people)
    assert "infra/docs/deployment.md" in README


def test_rights_of_whoever_deploys_are_the_doctors() -> None:
    """No role more, none less, those of MLflow apart; and the variable is explained."""
    rights = PAGE.partition("## Rights\n")[2].partition("\n## ")[0]
    listed = rights.partition("```\n")[2].partition("```")[0].split()
    assert listed == list(ROLES)
    assert all(f"`{role}`" in rights for role in ROLES_MLFLOW)
    assert "`deployers`" in rights


def test_the_example_suffices_for_the_first_model() -> None:
    """Whoever copies it, as the person it names, can type what comes next, and what the runbook
    asks of who is on call."""
    example = PAGE.partition("people = {\n")[2].partition("}\n")[0]
    has = {line.split()[0] for line in example.splitlines() if "user:ada@example.com" in line}
    found = topology.load()
    typed = PAGE.partition("## The first model\n")[2].partition("\n## ")[0]
    paths = {access.command_of(name) for name in found.commands}
    lines = [
        shlex.split(line)[1:] for line in re.findall(r"^(\./millrace [^#\n]*)", typed, re.MULTILINE)
    ]
    named = {" ".join(words[:2]) if " ".join(words[:2]) in paths else words[0] for words in lines}
    assert {"drop", "approvals approve", "predict"} <= named
    for name in named:
        for role in access.roles_for(name.split(), found):
            assert role in has or (role == "watchers" and "analysts" in has), (name, role)
    assert {"on-call", "operators", "deciders", "analysts"} <= has


def test_what_is_decided_first_are_settings_that_exist() -> None:
    """Each a variable of Terraform, or a secret."""
    table = PAGE.partition("**Decide before the first apply**")[2].partition("\n## ")[0]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    variables = (REPOSITORY / "infra/terraform/variables.tf").read_text(encoding="utf-8")
    known = set(re.findall(r'^variable "(\w+)"', variables, re.MULTILINE))
    secrets = {x for item in topology.load().functions.values() for x in item.secrets}
    named = {name for cell in first for name in re.findall(r"`([\w-]+)`", cell)}
    assert {"docs_url", "billing_account", "mail", "console_url", "people"} <= named
    assert named <= known | secrets
