"""The last stage: the chain as it is now, and how its doors are asked."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from typing import Any

import click
import urllib3

from infra.deploy.after import after
from infra.deploy.chain import Authorize, Chain
from infra.deploy.checks import missing, verdict
from infra.deploy.deployment import Deployment
from infra.deploy.installation import terraform_of
from infra.deploy.stages import Look
from infra.deploy.tools import StepFailed, Tools
from infra.topology import Topology
from shared.cli import identity, installations
from shared.cli.installations import Installation

TRIES = 4
PAUSE_SECONDS = 30.0
_SECONDS = 60.0  # a cold start is no reason to give up


class Database:
    key = "mlflow"
    title = "MLflow's database, where MLflow runs"
    help = (
        "A migration that failed half-way is looked at, not tried again: restore the backup of "
        "before (infra/docs/deployment.md), then go on."
    )

    def look(self, deployment: Deployment) -> Look:
        if not deployment.runs_mlflow:
            return Look("off", (), ("MLflow is off",))
        return Look("to do", (), ("the commands are Terraform's output `after_apply`",))

    def apply(self, deployment: Deployment) -> None:
        for command in terraform_of(deployment).output("after_apply"):
            deployment.tools.do(*shlex.split(command), log=self.key)


class Trial:
    key = "trial"
    title = "The doctor walks the whole chain"
    help = "`./millrace doctor NAME` looks again; what is new may take minutes."

    def look(self, deployment: Deployment) -> Look:
        return Look("to do", (f"./millrace doctor {deployment.name}",))

    def apply(self, deployment: Deployment) -> None:
        there = installations.find(deployment.name)
        if there is None:
            raise StepFailed(f"there is no context {deployment.name}")
        chain = chain_of(there, deployment.topology, deployment.tools)
        for attempt in range(TRIES):
            checks = list(after(chain))
            lacking = missing(checks)
            if not lacking or attempt == TRIES - 1:
                break
            names = ", ".join(check.name for check in lacking)
            deployment.tools.tell(f"  not yet: {names}; again in {PAUSE_SECONDS:.0f} s")
            time.sleep(PAUSE_SECONDS)
        for check in checks:
            if check.state != "ok":
                deployment.tools.tell(f"  {check.line()}")
        deployment.tools.tell(f"  {verdict(checks)}")
        if lacking:
            raise StepFailed(f"not in order: {', '.join(check.name for check in lacking)}")


def chain_of(there: Installation, topology: Topology, tools: Tools) -> Chain:
    return Chain(there, topology, tools, ask, authorize_as(there))


def ask(method: str, url: str, body: object, headers: Mapping[str, str]) -> tuple[int, Any]:
    """Status and decoded answer. Raises OSError when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **headers}
    try:
        with urllib3.PoolManager() as pool:
            reply = pool.request(
                method, url, body=data, headers=sent, timeout=_SECONDS, retries=False
            )
    except urllib3.exceptions.ReadTimeoutError as error:
        raise TimeoutError(f"{url} does not answer within {_SECONDS:.0f} s") from error
    except urllib3.exceptions.HTTPError as error:
        raise ConnectionError(f"{url} is not reached: {error}") from error
    try:
        return reply.status, json.loads(reply.data)
    except ValueError:
        return reply.status, reply.data.decode("utf-8", "replace")


def authorize_as(there: Installation) -> Authorize:
    """Whoever runs this, as the command line asks. Raises StepFailed without any token."""

    def headers(url: str) -> Mapping[str, str]:
        try:
            token = identity.id_token(identity.audience_of(url), there.impersonate)
        except click.ClickException as error:
            raise StepFailed(error.message) from error
        return {"Authorization": f"Bearer {token}"}

    return headers
