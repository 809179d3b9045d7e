"""One installation that is to be: where it goes, with which settings, and the names that follow.

All that `deploy` writes on this disk lies under `.millrace/deploy/`, never in the tree.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from infra import topology as topologies
from infra.bundle import REPOSITORY
from infra.deploy.tools import Tools
from infra.topology import Topology
from shared.errors import MillraceError

PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_REMEMBERED = ("project", "region", "environment", "mlflow", "var_files")


class BadDeployment(MillraceError):
    """What was asked for cannot be deployed."""


@dataclass(frozen=True)
class Deployment:
    """`home` is `.millrace`; `var_files` are people's own settings, later ones win; `mlflow` is
    empty where those files decide; `agree` is asked before a plan of Terraform is
    applied."""

    name: str
    project: str
    region: str
    environment: str
    tools: Tools
    home: Path
    var_files: tuple[Path, ...] = ()
    mlflow: str = ""
    allow_destroy: bool = False
    agree: Callable[[str], bool] = field(default=lambda _: True, repr=False)
    repository: Path = REPOSITORY

    def __post_init__(self) -> None:
        if not PROJECT.fullmatch(self.project):
            raise BadDeployment(f"{self.project!r} is no project id (6 to 30 of a-z, 0-9 and -)")
        if not REGION.fullmatch(self.region):
            raise BadDeployment(f"{self.region!r} is no region; one looks like europe-west1")

    # --- names that follow -----------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self.home / "deploy" / self.name

    @property
    def bundles(self) -> Path:
        """Of all installations of this checkout: Terraform remembers the path of a bundle, and it
        must be the same wherever the same content is deployed from."""
        return self.home / "deploy" / "bundles"

    @property
    def state_bucket(self) -> str:
        return f"{self.project}-millrace-state"

    @property
    def bundle_bucket(self) -> str:
        return f"{self.project}-millrace-bundles"

    @property
    def registry(self) -> str:
        return f"{self.region}-docker.pkg.dev/{self.project}/millrace"

    @property
    def builder(self) -> str:
        return f"mr-build@{self.project}.iam.gserviceaccount.com"

    @property
    def root(self) -> Path:
        return self.repository / "infra" / "terraform"

    @property
    def foundation(self) -> Path:
        return self.root / "foundation"

    @property
    def settings(self) -> list[Path]:
        """Files with settings, the last word last."""
        shipped = self.root / "environments" / f"{self.environment}.tfvars"
        return [*([shipped] if shipped.is_file() else []), *self.var_files]

    @cached_property
    def topology(self) -> Topology:
        return topologies.load()

    def setting(self, name: str, default: str) -> str:
        """A plain setting, as the files say."""
        if name == "mlflow" and self.mlflow:
            return self.mlflow
        found = default
        for file in self.settings:
            found = _assigned(file, name) or found
        return found

    @property
    def runs_mlflow(self) -> bool:
        return self.setting("mlflow", "off") == "server"

    def again(self, *words: str) -> str:
        return " ".join(["./millrace", "deploy", self.name, *words])

    @property
    def place_words(self) -> list[str]:
        """Options that say where it is."""
        place = ["--project", self.project, "--region", self.region]
        return [*place, "--environment", self.environment]

    def typed(self, *words: str) -> str:
        """As `again`, for whom nothing is remembered yet."""
        place = self.place_words
        place += ["--mlflow", self.mlflow] if self.mlflow else []
        for file in self.var_files:
            place += ["--var-file", os.fspath(file)]
        return self.again(*place, *words)

    # --- what is remembered ----------------------------------------------------------------------

    def remember(self) -> None:
        """So that the next call needs the name alone."""
        body = {
            "project": self.project,
            "region": self.region,
            "environment": self.environment,
            "mlflow": self.mlflow,
            "var_files": [os.fspath(file) for file in self.var_files],
        }
        write_private(self.folder / "deployment.json", body)


def remembered(home: Path, name: str) -> dict[str, Any]:
    """What `deploy` was told about an installation before; empty when never."""
    try:
        body = json.loads((home / "deploy" / name / "deployment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: body[key] for key in _REMEMBERED if key in body}


def write_private(file: Path, body: Mapping[str, Any]) -> Path:
    """JSON, whole or not at all, for this user only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(file.name + ".new")
    draft.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(file)
    return file


def _assigned(file: Path, name: str) -> str:
    """The last plain value that a .tfvars or .tfvars.json file gives a variable."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        value = json.loads(text).get(name)
        return "" if value is None else str(value)
    found = re.findall(rf'^[ \t]*{re.escape(name)}[ \t]*=[ \t]*"?([^"\s#]+)"?', text, re.MULTILINE)
    return found[-1] if found else ""
