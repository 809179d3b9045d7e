"""deploy: an installation on Google Cloud, made or brought up to date, in stages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shared.cli import contexts, installations
from shared.cli.console import say, show_json
from shared.cli.contexts import Context
from shared.cli.installations import ENVIRONMENTS

settings_file = click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path)


@click.command()
@click.argument("name")
@click.option("--project", help="The Google project's id; one installation per project.")
@click.option("--region", help="For example europe-west1.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="What it is used for.")
@click.option("--mlflow", type=click.Choice(["server", "off"]), help="Else the settings say.")
@click.option(
    "--var-file",
    "var_files",
    multiple=True,
    type=settings_file,
    help="Settings of your own, as in infra/terraform/variables.tf; later files win.",
)
@click.option(
    "--plan", "mode", flag_value="plan", help="Show the stages, change nothing (default)."
)
@click.option("--dry-run", is_flag=True, help="The same as --plan, whatever else is said.")
@click.option("--apply", "mode", flag_value="apply", help="Go through them.")
@click.option("--diff", is_flag=True, help="With --plan: also what Terraform would change.")
@click.option("--allow-destroy", is_flag=True, help="Even if buckets or a database would go.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: print JSON instead.")
def deploy(
    name: str,
    *,
    mode: str | None,
    dry_run: bool,
    diff: bool,
    as_json: bool,
    allow_destroy: bool,
    **given: Any,
) -> None:
    """Make the installation NAME on Google Cloud, or bring it up to date.

    What was said about NAME with --apply is remembered; a plan remembers nothing. Interrupted
    anywhere, the same call goes on. Exit code 1 of a plan: something must be there first.
    """
    from infra.deploy import spelling, stages
    from infra.deploy.every import ALL

    deployment = deployment_of(name, given, allow_destroy=allow_destroy)
    spelling.check(deployment)
    if mode != "apply" or dry_run:
        _plan(deployment, diff=diff, as_json=as_json)
        return
    announce(deployment, "deploy")
    agree(name, deployment.environment)
    deployment.remember()
    with going_on(deployment.again("--apply")):
        stages.apply(ALL, deployment)
    say(f"{name} is deployed. To try all of it: ./millrace doctor {name} --end-to-end")


def _plan(deployment: Any, *, diff: bool, as_json: bool) -> None:
    from infra.deploy import stages
    from infra.deploy.every import ALL

    planned = stages.plan(ALL, deployment)
    show_plan(planned, as_json=as_json)
    stops = planned[0].look.state == "to do"  # nobody but people can do that
    if diff and not stops:
        show_diff(deployment)
    again = deployment.typed("--apply")
    if not as_json and stops:
        told = "Nothing was changed, and --apply would stop at stage 0, where something is MISSING."
        say(f"{told} After that: {again}", err=True)
    elif not as_json:
        say(f"Nothing was changed. To do it: {again}", err=True)
    if stops:
        raise SystemExit(1)


def announce(deployment: Any, what: str) -> None:
    """As every changing command: first where."""
    there = installations.find(deployment.name)
    inbox = there.inbox if there else f"{deployment.project}-millrace-inbox"
    where = f"{deployment.environment}, project {deployment.project}, bucket {inbox}"
    say(f"context {deployment.name} ({where}): {what}", err=True)


@contextmanager
def going_on(again: str) -> Iterator[None]:
    """Ctrl-C is no accident, but whoever pressed it wants to know what now."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"Interrupted; what was done stays. To go on: {again}", err=True)
        raise


def show_plan(planned: list[Any], *, as_json: bool) -> None:
    if as_json:
        show_json([item.to_json() for item in planned])
        return
    for item in planned:
        state = {
            "done": "there already",
            "to do": "",
            "unknown": "not looked up",
            "off": "not wanted",
        }
        mark = state[item.look.state]
        say(f"[{item.number}] {item.title}{f': {mark}' if mark else ''}")
        for note in item.look.notes:
            say(f"    {note}")
        for command in item.look.commands:
            say(f"    $ {command}")


def show_diff(deployment: Any) -> None:
    """Terraform's own plans, locking and changing nothing."""
    from infra.deploy.ground import Foundation
    from infra.deploy.installation import Bundles, Root

    Bundles().apply(deployment)
    for root in (Foundation(), Root()):
        say(f"{root.title}:", err=True)
        root.show(deployment)


def _sees_plan(environment: str) -> bool:
    """Whether somebody is there who should see a plan for production before it is applied."""
    return environment == "prod" and sys.stdin.isatty() and not contexts.confirmed()


def agree(name: str, environment: str) -> None:
    """Production asks for the installation's name. Raises ClickException."""
    known = installations.find(name)
    body = {
        **(known.to_json() if known else {}),
        **dict.fromkeys(("project", "region", "inbox", "lake"), name),
        "predict_url": name,
        "promote_url": name,
        "environment": environment,
    }
    there = installations.Installation.from_json(name, body)
    Context(name, installations.HOME, {}, None, there).agree("")


def deployment_of(name: str, given: dict[str, Any], *, allow_destroy: bool = False) -> Any:
    """From what is said now, what was said before, and the context of that name. Raises UsageError
    naming what nobody said."""
    from infra.bundle import REPOSITORY
    from infra.deploy.deployment import Deployment, remembered
    from infra.deploy.tools import Tools

    installations.check_name(name)
    before = remembered(installations.HOME, name)
    there = installations.find(name)
    known = {key: getattr(there, key) for key in _PLACE} if there else {}
    said = {key: value for key, value in given.items() if value}
    found = {**known, **before, **said}
    lacking = [f"--{key}" for key in _PLACE if not found.get(key)]
    if lacking:
        raise click.UsageError(
            f"say {', '.join(lacking)}; nothing is known of {name} yet (what is said with --apply "
            "is remembered, a plan is not)"
        )
    for there_already in (before, known):
        for key in ("project", "region"):
            if there_already.get(key, found[key]) != found[key]:
                raise click.UsageError(
                    f"{name} is in {key} {there_already[key]}; another place is another "
                    "installation: give it another name"
                )
    folder = installations.HOME / "deploy" / name
    return Deployment(
        name=name,
        project=found["project"],
        region=found["region"],
        environment=found["environment"],
        mlflow=found.get("mlflow", ""),
        var_files=tuple(Path(file) for file in found.get("var_files", ())),
        allow_destroy=allow_destroy,
        agree=lambda what: not _sees_plan(found["environment"]) or click.confirm(what, err=True),
        tools=Tools(folder / "logs", REPOSITORY, lambda line: say(line, err=True)),
        home=installations.HOME,
    )


_PLACE = ("project", "region", "environment")


def is_known(name: str) -> bool:
    """By a context, or because somebody began to deploy it from here."""
    from infra.deploy.deployment import remembered

    return name in installations.known() or bool(remembered(installations.HOME, name))


# --- teardown ------------------------------------------------------------------------------------


@click.command()
@click.argument("name")
@click.option("--with-data", is_flag=True, help="Delete the lake, too, with all that is in it.")
@click.option("--apply", "really", is_flag=True, help="Do it; else only the plan is shown.")
@click.option("--dry-run", is_flag=True, help="Only the plan, whatever else is said.")
@click.option("--confirm-project", metavar="ID", help="In scripts: the project's id.")
@click.option("--project", help="Where nothing is remembered of NAME.")
@click.option("--region", help="With --project.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="With --project.")
@click.option("--json", "as_json", is_flag=True, help="Of the plan: print JSON instead.")
def teardown(
    name: str,
    *,
    with_data: bool,
    really: bool,
    dry_run: bool,
    confirm_project: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Take the installation NAME down. The lake stays unless --with-data.

    Shows what would go and what stays; with --apply it asks for the project's id and does it.
    """
    from infra.deploy import stages
    from infra.deploy import teardown as down

    deployment = deployment_of(name, given, allow_destroy=True)
    chosen = down.stages(with_data=with_data)
    planned, unsure = stages.plan(chosen, deployment), down.unsure(deployment)
    show_plan([item.unsure() for item in planned] if unsure else planned, as_json=as_json)
    if unsure and not as_json:
        say(f"  {unsure} What would be deployed goes and stays as follows:")
    for line in () if as_json else down.stays(deployment, with_data=with_data):
        say(f"  {line}")
    more = " --with-data" if with_data else ""
    again = f"./millrace teardown {name}{more} --apply"
    typed = again if is_known(name) else f"{again} {' '.join(deployment.place_words)}"
    if not really or dry_run:
        say(f"Nothing was changed. To do it: {typed}", err=True)
        return
    announce(deployment, f"teardown{more}")
    _named(deployment.project, confirm_project, typed)
    deployment.remember()
    with going_on(again):
        stages.apply(chosen, deployment, again)
    say(f"{name} is gone.")


def _named(project: str, given: str | None, again: str) -> None:
    """Raises ClickException unless somebody names the project."""
    if given is None and not sys.stdin.isatty():
        raise click.ClickException(
            f"nobody is there to answer; in a script: {again} --confirm-project {project}"
        )
    if given is None:
        given = click.prompt("Type the project's id to go on", default="", err=True)
    if given != project:
        raise click.ClickException(f"{given!r} is not {project!r}; nothing was changed")
