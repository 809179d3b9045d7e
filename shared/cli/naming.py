"""context: which installations on Google Cloud are known here, and which one commands mean."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import IO, Any

import click

from shared.cli import contexts, installations
from shared.cli.console import dry_run_option, json_option, nothing_done, say, show_json, show_rows
from shared.cli.installations import ENVIRONMENTS, LOCAL, BadContext, Installation, bare

_SECONDS = 60.0


@click.group()
def context() -> None:
    """Installations on Google Cloud that are known here.

    Local ones are local (`make up`) and demo (what `make demo` left).
    """


@context.command("list")
@json_option
def list_contexts(as_json: bool) -> None:
    """All contexts; the one that commands mean unless told otherwise is marked."""
    chosen = installations.current()
    rows: list[dict[str, Any]] = [
        {"default": name == chosen, "context": name, **dict.fromkeys(_SHOWN, "")} for name in LOCAL
    ]
    for row in rows:
        row["environment"] = "this machine"
    for name in installations.known():
        found = installations.find(name)
        about = {key: getattr(found, key) for key in _SHOWN}
        rows.append({"default": name == chosen, "context": name, **about})
    show_rows(rows, as_json=as_json)


_SHOWN = ("environment", "project", "region", "inbox")


@context.command("show")
@click.argument("name", default="")
@json_option
def show_context(name: str, as_json: bool) -> None:
    """What is known of NAME, or of the one in force."""
    name = name or installations.current()
    if name in LOCAL:
        found = contexts.running(name)
        body = {"name": name, "runs": found is not None, **(dict(found.env) if found else {})}
    else:
        body = _found(name).to_json()
    if as_json:
        show_json(body)
        return
    width = max(len(key) for key in body)
    for key, value in body.items():
        say(f"{key:<{width}}  {value if not isinstance(value, dict) else json.dumps(value)}")


@context.command("use")
@click.argument("name")
@dry_run_option
def use_context(name: str, dry_run: bool) -> None:
    """Let commands mean NAME unless they say --context."""
    if name not in LOCAL:
        there = _found(name)
        say(f"From now on: {name}, {there.environment}, project {there.project}.", err=True)
    else:
        say(f"From now on: {name}, on this machine.", err=True)
    if dry_run:
        nothing_done()
        return
    installations.use(name)


@context.command("remove")
@click.argument("name")
@dry_run_option
def remove_context(name: str, dry_run: bool) -> None:
    """Forget NAME here. Nothing on Google Cloud changes; `teardown` is for that."""
    if name in LOCAL:
        raise BadContext(f"{name} is the stack on this machine and stays")
    there = _found(name)
    say(f"forget context {name} (project {there.project}); the installation stays", err=True)
    if dry_run:
        nothing_done()
        return
    was_default = installations.current() == name
    installations.remove(name)
    if was_default:
        say("Commands mean local again.", err=True)


@context.command("add")
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=click.File("r"),
    help="What `terraform output -json installation` printed, or another context's file; - is "
    "stdin.",
)
@click.option("--project", help="The Google project's id, where names are as `deploy` makes them.")
@click.option("--project-number", default="", help="Asked of gcloud unless given.")
@click.option("--region", help="For example europe-west1.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="What it is used for.")
@click.option("--mlflow/--no-mlflow", default=False, help="With --project: it runs MLflow.")
@click.option(
    "--impersonate", default="", metavar="SERVICE_ACCOUNT", help="Who asks in your place."
)
@click.option("--replace", is_flag=True, help="Even if NAME is another project's until now.")
@dry_run_option
def add_context(
    name: str,
    *,
    source: IO[str] | None,
    project: str | None,
    project_number: str,
    region: str | None,
    environment: str | None,
    mlflow: bool,
    impersonate: str,
    replace: bool,
    dry_run: bool,
) -> None:
    """Make an installation known here as NAME."""
    installations.check_name(name)
    if source is not None:
        body = _json(source)
    elif project and region and environment:
        number = project_number or number_of(project)
        body = Installation.predicted(
            name, project, number, region, environment, mlflow=mlflow
        ).to_json()
    else:
        raise click.UsageError("give --from FILE, or --project, --region and --environment")
    found = Installation.from_json(name, {**body, **_said(environment, impersonate)})
    _look_at_old(found, replace=replace)
    say(f"context {name}: {_told(found)}")
    if dry_run:
        nothing_done()
        return
    say(f"Written: {installations.save(found)}", err=True)
    say(f"To let commands mean it: ./millrace context use {name}", err=True)


def _look_at_old(found: Installation, *, replace: bool) -> None:
    """Shows what would be replaced. Raises BadContext where that is another project's."""
    name = found.name
    try:
        old = installations.find(name)
    except BadContext:  # a broken file is to be mended by this very command
        return
    if old is None or old == found:
        return
    say(f"until now {name}: {_told(old)}", err=True)
    if old.project != found.project and not replace:
        raise BadContext(
            f"{name} is the context of project {old.project}, not of {found.project}; give this "
            "one another name, or say --replace"
        )


def _told(there: Installation) -> str:
    return f"{there.environment}, project {there.project}, bucket {there.inbox}"


def _said(environment: str | None, impersonate: str) -> dict[str, str]:
    given = {"environment": environment, "impersonate": impersonate}
    return {key: value for key, value in given.items() if value}


def _json(source: IO[str]) -> dict[str, Any]:
    try:
        body = bare(json.load(source))
    except ValueError as error:
        raise BadContext(f"{source.name} is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadContext(f"{source.name} holds no JSON object")
    return body


def number_of(project: str) -> str:
    """The number of a Google project, from gcloud. Raises BadContext saying how to do without."""
    other = "or name it with --project-number"
    if shutil.which("gcloud") is None:
        raise BadContext(f"gcloud is not installed, so nobody tells the project's number; {other}")
    command = ["gcloud", "projects", "describe", project, "--format=value(projectNumber)"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode or not done.stdout.strip().isdigit():
        said = " ".join(done.stderr.split())[-300:]
        raise BadContext(f"`{' '.join(command)}` says: {said or done.stdout.strip()}; {other}")
    return done.stdout.strip()


def _found(name: str) -> Installation:
    found = installations.find(name)
    if found is None:
        raise contexts.unknown_context(name)
    return found
