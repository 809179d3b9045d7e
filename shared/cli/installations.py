"""Named installations on Google Cloud: a small file about each, and which one is the default.

Written by `deploy` or `context add`, in `.millrace/contexts/`. There is nothing secret in one: who
may do what is for Google Cloud to say, with the credentials of whoever asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import click

HOME = Path(__file__).resolve().parents[2] / ".millrace"
LOCAL = ("local", "demo")
ENVIRONMENTS = ("dev", "staging", "prod")
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
# Of the shell: other services than Google's, for a rehearsal. Never written to a file.
ENDPOINTS = (
    "STORAGE_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "MILLRACE_PUBSUB_ENDPOINT",
    "MILLRACE_RUN_ENDPOINT",
    "MILLRACE_ANONYMOUS",
)
_NEEDED = ("project", "region", "environment", "inbox", "lake", "predict_url", "promote_url")


class BadContext(click.ClickException):
    """A context's file, or what was given for one, cannot be used."""


@dataclass(frozen=True, slots=True)
class Installation:
    """URLs are base URLs without a trailing slash; empty means it is not there. `impersonate` is a
    service account that decides and asks in the caller's place."""

    name: str
    project: str
    region: str
    environment: str
    inbox: str
    lake: str
    predict_url: str
    promote_url: str
    mlflow_url: str = ""
    console_url: str = ""
    project_number: str = ""
    impersonate: str = ""
    functions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, name: str, body: object) -> Installation:
        """From a context's file, Terraform's output `installation`, or all of its outputs.
        Raises BadContext naming what is missing."""
        check_name(name)
        body = bare(body)
        if not isinstance(body, dict):
            raise BadContext("a context is a JSON object, as `terraform output -json` prints it")
        missing = [key for key in _NEEDED if not body.get(key)]
        if missing:
            raise BadContext(f"context {name} lacks {', '.join(missing)}")
        if body["environment"] not in ENVIRONMENTS:
            raise BadContext(
                f"environment {body['environment']!r} is none of {', '.join(ENVIRONMENTS)}"
            )
        texts = {
            item.name: str(body.get(item.name) or "").rstrip("/")
            for item in fields(cls)
            if item.name not in ("name", "functions")
        }
        functions = body.get("functions") or {}
        if not isinstance(functions, dict):
            raise BadContext("`functions` of a context is a map from names to URLs")
        return cls(name=name, **texts, functions={k: str(v) for k, v in functions.items()})

    @classmethod
    def predicted(
        cls, name: str, project: str, number: str, region: str, environment: str, *, mlflow: bool
    ) -> Installation:
        """What an installation that `deploy` made looks like, from the names alone."""
        body = {
            "project": project,
            "project_number": number,
            "region": region,
            "environment": environment,
            "inbox": f"{project}-millrace-inbox",
            "lake": f"{project}-millrace-lake",
            "predict_url": run_url("predict", number, region),
            "promote_url": run_url("promote", number, region),
            "mlflow_url": run_url("mlflow", number, region) if mlflow else "",
        }
        return cls.from_json(name, body)

    @property
    def production(self) -> bool:
        return self.environment == "prod"

    def function(self, name: str) -> str:
        """Where a function answers. Raises BadContext when nothing here tells."""
        if name == "promote":
            return self.promote_url
        if name in self.functions:
            return self.functions[name].rstrip("/")
        if not self.project_number:
            raise BadContext(
                f"context {self.name} knows no URL of {name}; add its project_number to "
                f"{file_of(self.name)}"
            )
        return run_url(name, self.project_number, self.region)

    def env(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The environment that leads a client there."""
        return {
            "MILLRACE_PROJECT": self.project,
            "MILLRACE_REGION": self.region,
            "MILLRACE_CONTEXT": self.name,
            "MILLRACE_INBOX": self.inbox,
            "MILLRACE_LAKE": self.lake,
            "MILLRACE_PREDICT_URL": self.predict_url,
            "MILLRACE_PROMOTE_URL": self.promote_url,
            "MILLRACE_CONSOLE_URL": self.console_url,
            "MLFLOW_TRACKING_URI": self.mlflow_url,
            **{key: environ[key] for key in ENDPOINTS if environ.get(key)},
        }

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value}


def bare(body: object) -> object:
    """The output `installation` alone, when all outputs of Terraform are given."""
    found = body.get("installation") if isinstance(body, dict) else None
    return found.get("value", found) if isinstance(found, dict) else body


def run_url(service: str, project_number: str, region: str) -> str:
    """The deterministic URL of a Cloud Run service."""
    return f"https://{service}-{project_number}.{region}.run.app"


def check_name(name: str) -> None:
    """Raises BadContext for what cannot be a context's name."""
    if name in LOCAL:
        raise BadContext(f"{name} is a stack on this machine; give the installation another name")
    if not NAME.fullmatch(name):
        raise BadContext(f"{name!r} is no name for a context: use [a-z][a-z0-9-]*, at most 31")


# --- files ---------------------------------------------------------------------------------------


def folder() -> Path:
    return HOME / "contexts"


def file_of(name: str) -> Path:
    return folder() / f"{name}.json"


def known() -> list[str]:
    """The installations that have a file here."""
    return sorted(file.stem for file in folder().glob("*.json"))


def find(name: str) -> Installation | None:
    """Raises BadContext for a file that cannot be read."""
    try:
        text = file_of(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        body = json.loads(text)
    except ValueError as error:
        raise BadContext(f"{file_of(name)} is no JSON: {error}") from error
    return Installation.from_json(name, body)


def save(installation: Installation) -> Path:
    """Written whole or not at all."""
    file = file_of(installation.name)
    _write(file, json.dumps(installation.to_json(), indent=1) + "\n")
    return file


def remove(name: str) -> None:
    file_of(name).unlink(missing_ok=True)
    if current() == name:
        use("local")


def current() -> str:
    """The context of commands that name none."""
    try:
        return (folder() / "current").read_text(encoding="utf-8").strip() or "local"
    except FileNotFoundError:
        return "local"


def use(name: str) -> None:
    _write(folder() / "current", name + "\n")


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)
