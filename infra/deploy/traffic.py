"""The predictor's traffic around an apply: what serves keeps it while Terraform makes a revision,
and the new one gets it once the doctor found everything in order. How, `infra.rollout` knows.
"""

from __future__ import annotations

import sys

from infra.deploy.deployment import Deployment
from infra.deploy.stages import Look
from infra.deploy.tools import shown

PROGRAM = (sys.executable, "-m", "infra.rollout")
# Where nobody relies on it, smoke tests alone decide, at once.
_AT_ONCE = ("--steps=100", "--watch-seconds=0", "--monitoring=")


def command(deployment: Deployment, what: str) -> tuple[str, ...]:
    place = (f"--project={deployment.project}", f"--region={deployment.region}")
    careful = deployment.environment == "prod"
    return (*PROGRAM, what, *place, *(() if careful or what != "roll" else _AT_ONCE))


def hold(deployment: Deployment) -> None:
    """The revision that serves keeps all traffic, whatever Terraform makes. Raises StepFailed."""
    deployment.tools.do(*command(deployment, "hold"), log="traffic")


class Traffic:
    key = "traffic"
    title = "The predictor's new revision gets the traffic: in production step by step, or back"
    help = (
        "The revision before has all traffic. Whoever deploys asks the new one: if that was a 403, "
        "name yourself in people.callers of the settings."
    )

    def look(self, deployment: Deployment) -> Look:
        return Look("to do", (shown(command(deployment, "roll")),))

    def apply(self, deployment: Deployment) -> None:
        deployment.tools.do(*command(deployment, "roll"), log=self.key)
