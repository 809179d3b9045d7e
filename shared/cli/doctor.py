"""doctor: is everything there, before a deployment and after; the local stack as far as it goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import click

from infra.complaints import kind
from infra.deploy.checks import Check, missing, not_made, verdict
from shared.cli import contexts, identity, installations
from shared.cli.console import json_option, say, show_json
from shared.cli.contexts import Context
from shared.cli.installations import ENVIRONMENTS
from shared.cli.letters import letter_rows
from shared.cli.predict import request
from shared.ports import Bucket


@click.command()
@click.argument("name", default="")
@click.option("--project", help="Before a first deployment: where it is to go.")
@click.option("--region", default="europe-west1", show_default=True, help="With --project.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), default="dev", hidden=True)
@click.option("--end-to-end", is_flag=True, help="Also drop a tiny model, and clear it away.")
@json_option
@contexts.pass_name
def doctor(
    context_name: str,
    *,
    name: str,
    project: str | None,
    region: str,
    environment: str,
    end_to_end: bool,
    as_json: bool,
) -> None:
    """Look whether everything is there, with the command for what is missing.

    Of the installation NAME (else of --context): tools, logins, rights, then every link of its
    chain and its doors. With --project before there is one. Locally: the parts of the stack. Exit
    code 1 when something is missing, or Google Cloud was not reached.
    """
    name = name or context_name
    if project:
        checks = _before(
            {"project": project, "region": region, "environment": environment}, "not-yet-deployed"
        )
    elif name in installations.LOCAL:
        checks = local(contexts.load(name))
    else:
        checks = installed(name)
    found = list(_told(checks, as_json=as_json))
    if end_to_end and not project and not missing(found):
        from shared.cli.rehearsing import rehearse

        found += list(_told(rehearse(contexts.load(name)), as_json=as_json))
    if as_json:
        show_json([check.to_json() for check in found])
    else:
        say(verdict(found))
    raise SystemExit(1 if missing(found) or _unreached(found) else 0)


def _told(checks: Iterator[Check], *, as_json: bool) -> Iterator[Check]:
    """Each as it is found: some take a while."""
    for check in checks:
        if not as_json:
            say(check.line())
        yield check


def _before(place: dict[str, str], name: str) -> Iterator[Check]:
    from infra.deploy.before import before
    from shared.cli.deploying import deployment_of

    yield from before(deployment_of(name, place))


def installed(name: str) -> Iterator[Check]:
    """Of an installation that has a context here."""
    from infra.deploy.after import LINKS, after
    from infra.deploy.doors import DOORS
    from infra.deploy.trial import chain_of
    from shared.cli.deploying import deployment_of

    there = installations.find(name)
    if there is None:
        raise contexts.unknown_context(name)
    before: dict[str, Check] = {}
    for check in _before({}, name):
        before[check.name] = check
        needless = check.name == "terraform" and check.state == "missing"
        found = f"{check.found}; only whoever deploys needs it"
        yield replace(check, state="doubtful", found=found) if needless else check
    deployment = deployment_of(name, {})
    unasked, nobody = _unasked(before)
    if nobody:
        doors = [*DOORS, *(["door of mlflow"] if there.mlflow_url else [])]
        yield from not_made([*LINKS, *doors, "dead letters"], unasked)
        return
    yield from after(chain_of(there, deployment.topology, deployment.tools), unasked)
    try:
        context = contexts.load(name)
    except contexts.NoCredentials as error:
        yield Check("dead letters", "unknown", error.message)
        return
    yield _letters(context.lake, name)


def _unreached(found: Iterable[Check]) -> bool:
    return any(check.name == "project" and kind(check.found) == "network" for check in found)


def _unasked(before: Mapping[str, Check]) -> tuple[str, bool]:
    """Why the chain is not asked for, empty where it is; and whether nothing else is either."""
    login = before["login"]
    if _unreached(before.values()):
        return "Google Cloud was not reached", True
    if login.state == "ok":
        return "", False
    other = before["application default credentials"].state == "ok" or identity.TOKEN in os.environ
    return "nobody is logged in", not other


# --- the local stack -----------------------------------------------------------------------------


def local(context: Context) -> Iterator[Check]:
    """The same chain on this machine: its parts are processes here."""
    from infra import topology as topologies

    topology = topologies.load(local=True)
    for bucket in (context.inbox, context.lake):
        first = next(iter(bucket.list("")), None)
        yield Check(f"bucket {bucket.name}", "ok", "has objects" if first else "is empty")
    status, body = request("GET", f"{context.local.functions}/_admin/status")
    hosts: dict[str, Any] = body.get("hosts", {}) if status == 200 else {}
    for name in topology.functions:
        up = hosts.get(name, {}).get("pid")
        if name in hosts:
            yield Check(f"function {name}", "ok", "runs" if up else "starts at its first message")
        else:
            again = contexts.start_command(context.name)
            yield Check(
                f"function {name}", "missing", "not hosted", f"stop the stack, then {again}"
            )
    yield _backlog(body.get("backlog", {}) if status == 200 else {})
    yield _answers("predictor", "GET", f"{context.config.predict_url}/ready", 200)
    yield _answers("promote", "POST", f"{context.config.promote_url}/decide", 409)
    if context.local.mlflow:
        yield _answers("mlflow", "GET", f"{context.local.mlflow}/version", 200)
    yield _answers("slack", "GET", f"{context.local.slack}/messages", 200)
    yield _letters(context.lake, context.name)


def _backlog(backlog: dict[str, Any]) -> Check:
    waiting = {os.path.basename(name): count for name, count in backlog.items() if count}  # noqa: PTH119 - no path of a disk
    told = ", ".join(f"{name} {count}" for name, count in waiting.items())
    return Check("messages", "ok", f"under way: {told}" if told else "none waits")


def _answers(name: str, method: str, url: str, good: int) -> Check:
    try:
        status, _ = request(method, url, {} if method == "POST" else None)
    except click.ClickException as error:
        return Check(name, "missing", error.message, "./millrace logs")
    if status != good:
        return Check(name, "missing", f"{url} answered {status}", f"./millrace logs {name}")
    return Check(name, "ok", url)


def _letters(lake: Bucket, context: str) -> Check:
    waiting = sum(1 for row in letter_rows(lake) if not row["replayed"])
    if not waiting:
        return Check("dead letters", "ok", "none is parked")
    option = "" if context == "local" else f"--context {context} "
    fix = f"./millrace {option}dead-letters list"
    return Check("dead letters", "doubtful", f"{waiting} parked", fix)
