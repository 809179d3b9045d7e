"""deploy: an installation on Google Cloud, made or brought up to date, in stages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from shared.cli import contexts, installations
from shared.cli.console import dry_run_option, nothing_done, say, show_json
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
@click.option("--apply", "mode", flag_value="apply", help="Go through them.")
@click.option("--diff", is_flag=True, help="With --plan: also what Terraform would change.")
@click.option("--allow-destroy", is_flag=True, help="Even if buckets or a database would go.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: print JSON instead.")
def deploy(
    name: str, *, mode: str | None, diff: bool, as_json: bool, allow_destroy: bool, **given: Any
) -> None:
    """Make the installation NAME on Google Cloud, or bring it up to date.

    What was said once about NAME is remembered. Interrupted anywhere, the same call goes on.
    """
    from infra.deploy import stages
    from infra.deploy.every import ALL

    deployment = deployment_of(name, given, allow_destroy=allow_destroy)
    if mode != "apply":
        show_plan(stages.plan(ALL, deployment), as_json=as_json)
        if diff:
            show_diff(deployment)
        if not as_json:
            say(f"Nothing was changed. To do it: {deployment.typed('--apply')}", err=True)
        return
    where = f"{deployment.environment}, project {deployment.project}, {deployment.region}"
    say(f"context {name} ({where}): deploy", err=True)
    agree(name, deployment.environment)
    deployment.remember()
    with going_on(deployment.again("--apply")):
        stages.apply(ALL, deployment)
    say(f"{name} is deployed. To try all of it: ./millrace doctor {name} --end-to-end")


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
        state = {"done": "there already", "to do": "", "unknown": "not looked up"}
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
        raise click.UsageError(f"say {', '.join(lacking)}; nothing is known of {name} yet")
    moved = [key for key in ("project", "region") if before.get(key, found[key]) != found[key]]
    if moved:
        raise click.UsageError(
            f"{name} is in {moved[0]} {before[moved[0]]}; another place is another installation: "
            "give it another name"
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


# --- teardown ------------------------------------------------------------------------------------


@click.command()
@click.argument("name")
@click.option("--with-data", is_flag=True, help="Delete the lake, too, with all that is in it.")
@click.option("--apply", "really", is_flag=True, help="Do it; else only the plan is shown.")
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
    show_plan(stages.plan(chosen, deployment), as_json=as_json)
    for line in () if as_json else down.stays(deployment, with_data=with_data):
        say(f"  {line}")
    more = " --with-data" if with_data else ""
    again = f"./millrace teardown {name}{more} --apply"
    if not really:
        say(f"Nothing was changed. To do it: {again}", err=True)
        return
    say(f"context {name} (project {deployment.project}): teardown{more}", err=True)
    _named(deployment.project, confirm_project, again)
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


# --- secrets -------------------------------------------------------------------------------------


@click.group()
def secret() -> None:
    """Values that only deployed parts may read: Slack's webhook, the mail relay's password."""


@secret.command("list")
@click.pass_obj
def list_secrets(context_name: str) -> None:
    """Which have a value. The values themselves are never shown."""
    from infra.deploy.installation import secret_id, secret_names, secret_versions

    deployment = deployment_of(_installed(context_name), {})
    versions = secret_versions(deployment)
    for name in secret_names(deployment):
        version = versions.get(name)
        state = f"version {version}" if version else "no value: what needs it is switched off"
        say(f"{name} ({secret_id(name)}): {state}")


@secret.command("set")
@click.argument("name")
@dry_run_option
@click.pass_obj
def set_secret(context_name: str, name: str, dry_run: bool) -> None:
    """Give NAME a value, from stdin or, at a terminal, typed unseen.

    It goes straight to Secret Manager: into no argument, file or Terraform state.
    """
    from infra.deploy.installation import add_secret, secret_names

    deployment = deployment_of(_installed(context_name), {})
    known = secret_names(deployment)
    if name not in known:
        raise click.ClickException(f"no part asks for {name!r}; known: {', '.join(known)}")
    say(f"context {context_name} (project {deployment.project}): set {name}", err=True)
    if dry_run:
        nothing_done()
        return
    agree(context_name, deployment.environment)
    person = sys.stdin.isatty()
    typed = click.prompt(name, hide_input=True, err=True) if person else sys.stdin.read()
    value = str(typed).strip()
    if not value:
        raise click.ClickException("that is empty; nothing was changed")
    add_secret(deployment, name, value)
    say(f"Set. The parts get it with: {deployment.again('--apply')}")


def _installed(context_name: str) -> str:
    if context_name in installations.LOCAL:
        raise contexts.LocalOnly("secrets are of an installation: ./millrace --context NAME ...")
    return context_name
