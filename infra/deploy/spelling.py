"""Names in people's settings, looked at before anything is planned: Terraform only warns of a
variable that no module has, and goes on without what it was to say.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import hcl2
from lark.exceptions import LarkError

from infra.deploy.deployment import BadDeployment, Deployment

_VARIABLE = re.compile(r'^variable "(\w+)"', re.MULTILINE)


def check(deployment: Deployment) -> None:
    """Raises BadDeployment naming every variable that neither root has, and every role of people
    that the topology does not have."""
    variables = declared(deployment)
    wrong = [line for file in deployment.var_files for line in _wrong(file, variables, deployment)]
    if wrong:
        raise BadDeployment("\n  ".join(["these settings would do nothing:", *wrong]))


def declared(deployment: Deployment) -> set[str]:
    """Variables of the installation and of its foundation."""
    return {
        name
        for folder in (deployment.root, deployment.foundation)
        for file in folder.glob("*.tf")
        for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))
    }


def _wrong(file: Path, variables: Collection[str], deployment: Deployment) -> Iterator[str]:
    body = _read(file)
    for name in body:
        if name not in variables:
            yield f"{file}: there is no variable {name!r}{_meant(name, variables)}"
    people = body.get("people")
    roles = deployment.topology.people
    for role in people if isinstance(people, dict) else ():
        if role not in roles:
            yield f"{file}: there is no role {role!r} of people{_meant(role, roles)}"


def _meant(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"


def _read(file: Path) -> dict[str, Any]:
    """Names as they are meant, without the parser's quotes and marks. Raises BadDeployment."""
    try:
        text = file.read_text(encoding="utf-8")
        body = json.loads(text) if file.suffix == ".json" else hcl2.loads(text)
    except OSError as error:
        raise BadDeployment(f"{file} cannot be read: {error.strerror}") from error
    except (LarkError, ValueError) as error:
        told = str(error).strip().partition("\n")[0]
        raise BadDeployment(f"{file} cannot be understood as settings: {told}") from error
    if not isinstance(body, dict):
        raise BadDeployment(f"{file} cannot be understood as settings: it holds no object")
    return {_bare(name): _names(value) for name, value in body.items() if not _mark(name)}


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {_bare(name): item for name, item in value.items() if not _mark(name)}
    return value


def _bare(name: object) -> str:
    return str(name).strip('"')


def _mark(name: object) -> bool:
    return str(name).startswith("__")
