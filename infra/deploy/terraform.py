"""Terraform, run for one installation: its working data lie outside of the tree, so that several
installations can be deployed from one checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from infra.deploy.deployment import Deployment
from infra.deploy.tools import StepFailed, shown

NO_CHANGES, CHANGES = 0, 2  # exit codes of `plan -detailed-exitcode`
LOCK = "-lock-timeout=120s"
# Deleted by mistake, these are gone with what is in them.
PRECIOUS = frozenset(
    {
        "google_storage_bucket",
        "google_sql_database_instance",
        "google_sql_database",
        "google_secret_manager_secret",
        "google_artifact_registry_repository",
        "google_pubsub_topic",
    }
)


class Terraform:
    """A root module with its state. `name` is foundation or installation."""

    def __init__(
        self, deployment: Deployment, directory: Path, name: str, var_files: list[Path]
    ) -> None:
        self._deployment, self._tools = deployment, deployment.tools
        self._directory, self._name = directory, name
        self._var_files = var_files
        self._folder = deployment.folder / name
        self._env = {"TF_DATA_DIR": os.fspath(self._folder / "data")}
        self._plan_file = self._folder / "tfplan"

    def _command(self, *words: str) -> tuple[str, ...]:
        place = self._directory.relative_to(self._deployment.repository)
        return ("terraform", f"-chdir={place}", *words)

    @property
    def plan_file(self) -> Path:
        """Where `plan` leaves its plan, and where `apply_plan` takes it from."""
        return self._plan_file

    @property
    def _settings(self) -> tuple[str, ...]:
        return tuple(f"-var-file={file}" for file in self._var_files)

    @property
    def commands(self) -> tuple[str, ...]:
        """What an apply runs, in order."""
        plan = ("plan", "-input=false", LOCK, f"-out={self._plan_file}", *self._settings)
        return (
            shown(self._init()),
            shown(self._command(*plan)),
            shown(self._command("apply", "-input=false", LOCK, os.fspath(self._plan_file))),
        )

    def _init(self) -> tuple[str, ...]:
        bucket = f"-backend-config=bucket={self._deployment.state_bucket}"
        return self._command("init", "-input=false", bucket)

    def init(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tools.do(*self._init(), log=self._name, env=self._env)

    def plan(self, *more: str) -> bool:
        """Make a plan; False when nothing would change. Raises StepFailed, also for a plan that
        would delete what cannot be made again, unless that is allowed."""
        words = ("plan", "-input=false", LOCK, "-detailed-exitcode", f"-out={self._plan_file}")
        code = self._tools.do(
            *self._command(*words, *self._settings, *more),
            log=self._name,
            env=self._env,
            good=(NO_CHANGES, CHANGES),
        )
        if code == CHANGES and not self._deployment.allow_destroy:
            self._check_deletions()
        return code == CHANGES

    def _check_deletions(self) -> None:
        said = self._tools.ask(
            *self._command("show", "-json", os.fspath(self._plan_file)), env=self._env
        )
        if not said.good:
            raise StepFailed(f"whether the plan deletes what is precious was not read: {said.why}")
        doomed = deletions(said.out)
        if doomed:
            raise StepFailed(
                f"the plan deletes what cannot be made again: {', '.join(doomed)}. Read it above; "
                "if that is meant, add --allow-destroy"
            )

    def text(self) -> str:
        """The plan as people read it. Raises StepFailed."""
        command = self._command("show", "-no-color", os.fspath(self._plan_file))
        said = self._tools.ask(*command, env=self._env)
        if not said.good:
            raise StepFailed(f"`{shown(command)}`: {said.why}")
        return said.out

    def apply_plan(self) -> None:
        apply = self._command("apply", "-input=false", LOCK, os.fspath(self._plan_file))
        self._tools.do(*apply, log=self._name, env=self._env)

    def apply(self) -> bool:
        """init, plan, apply; False when nothing changed."""
        self.init()
        changes = self.plan()
        if changes:
            self.apply_plan()
        return changes

    def show(self) -> None:
        """init and plan for reading: locks nothing and changes nothing."""
        self.init()
        words = ("plan", "-input=false", "-lock=false", *self._settings)
        self._tools.do(*self._command(*words), log=self._name, env=self._env)

    def destroying(self, *more: str) -> tuple[str, ...]:
        words = ("destroy", "-input=false", LOCK, "-auto-approve", *self._settings, *more)
        return self._command(*words)

    def destroy(self, *more: str) -> None:
        self._tools.do(*self.destroying(*more), log=self._name, env=self._env)

    def output(self, name: str) -> Any:
        """A value of the state. Raises StepFailed when it is not there."""
        command = self._command("output", "-json", name)
        said = self._tools.ask(*command, env=self._env)
        if not said.good:
            raise StepFailed(f"`{shown(command)}`: {said.why}")
        return json.loads(said.out)

    def owns(self, address: str) -> bool:
        """Whether a resource is in the state. Raises StepFailed when that is not known."""
        return address in self._held()

    def empty(self) -> bool:
        """Whether its state holds nothing. Raises StepFailed when that is not known."""
        return not self._held()

    def _held(self) -> list[str]:
        said = self._tools.ask(*self._command("state", "list"), env=self._env)
        if not said.good and "No state file was found" not in said.err:
            raise StepFailed(f"terraform state list: {said.why}")
        return [line for line in said.out.split("\n") if line.strip()]

    def adopt(self, address: str, identifier: str) -> None:
        """Take something that exists already into the state."""
        words = ("import", "-input=false", LOCK, *self._settings, address, identifier)
        self._tools.do(*self._command(*words), log=self._name, env=self._env)

    def forgetting(self, address: str) -> tuple[str, ...]:
        return self._command("state", "rm", LOCK, address)

    def forget(self, address: str) -> None:
        """Take something out of the state; it stays."""
        self._tools.do(*self.forgetting(address), log=self._name, env=self._env)


def deletions(plan: str) -> list[str]:
    """Addresses of precious things that a plan, as `terraform show -json` prints it, would delete
    or replace."""
    return [
        change["address"]
        for change in json.loads(plan).get("resource_changes", ())
        if change["type"] in PRECIOUS and "delete" in change["change"]["actions"]
    ]
