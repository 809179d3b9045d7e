"""secret: values that only deployed parts may read, by way of Secret Manager alone."""

from __future__ import annotations

import sys

import click

from shared.cli import contexts, installations
from shared.cli.console import dry_run_option, nothing_done, say
from shared.cli.deploying import agree, announce, deployment_of, is_known


@click.group()
def secret() -> None:
    """Values that only deployed parts may read: Slack's webhook, the mail relay's password."""


@secret.command("list")
@click.pass_obj
def list_secrets(context_name: str) -> None:
    """Which have a value. The values themselves are never shown.

    Exit code 1 when that could not be looked up.
    """
    from infra.deploy.installation import secret_shown, secret_version
    from infra.deploy.tools import StepFailed

    deployment = deployment_of(_installed(context_name), {})
    troubles = []
    for name in deployment.topology.secrets:
        try:
            version = secret_version(deployment, name)
        except StepFailed as error:
            troubles.append(str(error))
            state = "not looked up"
        else:
            state = f"version {version}" if version else "no value: what needs it is switched off"
        say(f"{secret_shown(name)}: {state}")
    if troubles:
        raise click.ClickException(troubles[0])


@secret.command("set")
@click.argument("name")
@dry_run_option
@click.pass_obj
def set_secret(context_name: str, name: str, dry_run: bool) -> None:
    """Give NAME a value, from stdin or, at a terminal, typed unseen.

    It goes straight to Secret Manager: into no argument, file or Terraform state.
    """
    from infra.deploy.installation import add_secret

    deployment = deployment_of(_installed(context_name), {})
    known = deployment.topology.secrets
    if name not in known:
        raise click.ClickException(f"no part asks for {name!r}; known: {', '.join(known)}")
    announce(deployment, f"set {name}")
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
    """Raises LocalOnly, or ClickException for an unknown name."""
    if context_name in installations.LOCAL:
        raise contexts.LocalOnly("secrets are of an installation: ./millrace --context NAME ...")
    if not is_known(context_name):
        raise contexts.unknown_context(context_name)
    return context_name
