"""`python -m infra.delivery COMMAND`: the steps of cloudbuild.yaml and infra/cloudbuild.apply.yaml
that are ours, and `make specs`.

    bake | plan | apply | drop-specs   of a build, for one commit and installation
    check-specs                        every spec in infra/specs, team/ included, without a cloud
    plan-specs CONTEXT SINCE           what the specs changed since a commit would do there
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.bundle import REPOSITORY
from infra.delivery import specs
from infra.delivery.pipeline import Delivery
from infra.deploy.deployment import Deployment
from infra.deploy.tools import StepFailed, Tools
from infra.deploy.trial import Database
from shared.cli import installations

# Of one's own repository; Millrace ships none. What differs by environment alone is beside it.
_SETTINGS = REPOSITORY / "infra" / "terraform" / "settings"
_HANDED_ON = REPOSITORY / ".millrace" / "delivery"


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if options.command == "check-specs":
        return _check_specs()
    if options.command == "plan-specs":
        text, good = specs.plan(specs.changed(options.since), options.context)
        print(text)
        return 0 if good else 1
    delivery = Delivery(_deployment(options), options.commit, _HANDED_ON)
    steps: Mapping[str, Callable[[Delivery], None]] = {
        "bake": _bake,
        "plan": _plan,
        "apply": lambda delivery: delivery.apply([Database()], _account(delivery, "apply")),
        "drop-specs": _drop_specs,
    }
    try:
        steps[options.command](delivery)
    except StepFailed as error:
        print(f"{options.command} failed: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.delivery")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("bake", "plan", "apply", "drop-specs"):
        command = commands.add_parser(name)
        for option in ("project", "region", "environment", "commit"):
            command.add_argument(f"--{option}", required=True)
    commands.add_parser("check-specs")
    planned = commands.add_parser("plan-specs")
    planned.add_argument("context")
    planned.add_argument("since")
    return parser.parse_args(arguments)


def _deployment(options: argparse.Namespace) -> Deployment:
    """Named after its environment, with the settings that its owners keep in git, if any."""
    own = _SETTINGS / f"{options.environment}.tfvars"
    logs = installations.HOME / "deploy" / options.environment / "logs"
    return Deployment(
        name=options.environment,
        project=options.project,
        region=options.region,
        environment=options.environment,
        tools=Tools(logs, REPOSITORY, _tell),
        home=installations.HOME,
        var_files=(own,) if own.is_file() else (),
    )


def _check_specs() -> int:
    problems = specs.check()
    print("\n".join(problems) or f"{len(specs.kept())} specs in {specs.TEAM}/ are well")
    return 1 if problems else 0


def _bake(delivery: Delivery) -> None:
    missing = delivery.bake()
    print(f"to build: {', '.join(missing)}" if missing else "every image is there already")


def _plan(delivery: Delivery) -> None:
    changes = delivery.plan()
    print(f"{'changes' if changes else 'no changes'}; the plan is kept in {delivery.shelf}/")


def _drop_specs(delivery: Delivery) -> None:
    kept: list[Path] = specs.kept()
    delivery.drop_specs(kept, _account(delivery, "specs"))
    print(f"{len(kept)} specs were dropped")


def _account(delivery: Delivery, name: str) -> str:
    """As infra/terraform/delivery calls it."""
    return f"mr-ci-{name}@{delivery.deployment.project}.iam.gserviceaccount.com"


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
