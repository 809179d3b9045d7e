"""The typed, finished form of `topology.yaml`: what exists, who talks to whom, who may do what.

The file is checked by `topology.schema.json` (which refuses unknown keys), defaults are filled in
once, here, and for one machine the `local` block and the `local_*` keys win. Knows no cloud, no
adapters and no environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from infra.topology_parts import (
    Bucket,
    Export,
    External,
    Function,
    Job,
    Party,
    People,
    Runtime,
    Schedule,
    Service,
    Size,
    Subscription,
    Topology,
)

__all__ = [
    "BadTopology",
    "Bucket",
    "Export",
    "External",
    "Function",
    "Job",
    "Party",
    "People",
    "Runtime",
    "Schedule",
    "Service",
    "Size",
    "Subscription",
    "Topology",
    "finish",
    "load",
    "read",
]

FILE = Path(__file__).with_name("topology.yaml")
SCHEMA = Path(__file__).with_name("topology.schema.json")
LOCAL_PREFIX = "local_"
_DECIMAL = re.compile(r"0|-?[1-9][0-9]*")


class BadTopology(ValueError):
    """topology.yaml breaks its schema, or the subset of YAML that Terraform reads the same way."""


def load(local: bool = False, *, file: Path = FILE) -> Topology:
    """The topology of Google Cloud, or of one machine. Raises BadTopology."""
    return finish(read(file), local=local)


def read(file: Path = FILE) -> dict[str, Any]:
    """The checked file as plain maps. Raises BadTopology."""
    text = file.read_text(encoding="utf-8")
    _check_subset(text, file)
    raw: dict[str, Any] = yaml.safe_load(text)
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    problems = sorted(validator.iter_errors(raw), key=lambda error: list(map(str, error.path)))
    if problems:
        lines = [f"at {_place(error.path)}: {error.message}" for error in problems]
        raise BadTopology(f"{file.name}, " + "; ".join(lines))
    return raw


def _place(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path)) or "the top"


def finish(raw: Mapping[str, Any], *, local: bool = False) -> Topology:
    """Fill in the defaults. Every value has one origin; the last of these that names it wins:
    defaults, local block, the entry itself, the entry's `local_*`."""
    defaults = raw["defaults"]
    here = raw.get("local", {}) if local else {}
    common = {
        "claim_seconds": here.get("claim_seconds", defaults["claim_seconds"]),
        "spec_wait_seconds": here.get("spec_wait_seconds", defaults["spec_wait_seconds"]),
    }

    def entries(kind: str, part: str = "") -> dict[str, dict[str, Any]]:
        base = {**defaults.get(part, {}), **here.get(part, {})}
        return {
            name: _entry(name, {**base, **values}, local=local)
            for name, values in raw[kind].items()
        }

    return Topology(
        buckets={name: _bucket(item) for name, item in entries("buckets").items()},
        topics=tuple(raw["topics"]),
        functions={
            name: _function({"claim_seconds": common["claim_seconds"], **item})
            for name, item in entries("functions", "function").items()
        },
        services={name: _service(item) for name, item in entries("services", "function").items()},
        jobs={name: _job(item) for name, item in entries("jobs").items()},
        subscriptions={
            name: _subscription(item)
            for name, item in entries("subscriptions", "subscription").items()
        },
        schedules={name: Schedule(**item) for name, item in entries("schedules").items()},
        externals={name: _external(item) for name, item in entries("externals").items()},
        people={name: _people(item) for name, item in entries("people").items()},
        commands={name: tuple(roles) for name, roles in raw["commands"].items()},
        project_roles=dict(raw["project_roles"]),
        **common,
    )


def _entry(name: str, values: Mapping[str, Any], *, local: bool) -> dict[str, Any]:
    found = {key: value for key, value in values.items() if not key.startswith(LOCAL_PREFIX)}
    if local:
        found |= {
            key.removeprefix(LOCAL_PREFIX): value
            for key, value in values.items()
            if key.startswith(LOCAL_PREFIX)
        }
    return {"name": name, **found}


def _bucket(item: Mapping[str, Any]) -> Bucket:
    return Bucket(
        item["name"],
        item.get("versioning", False),
        item.get("notify_topic"),
        item.get("retention", {}),
        item.get("kept", {}),
        item.get("noncurrent_days"),
        item.get("soft_delete_days", 7),
    )


def _party(item: Mapping[str, Any]) -> dict[str, Any]:
    lists = ("reads", "lists", "creates", "changes", "publishes", "secrets", "calls")
    named = {"name": item["name"], "purpose": item["purpose"]}
    return named | {key: tuple(item.get(key, ())) for key in lists}


def _runtime(item: Mapping[str, Any]) -> dict[str, Any]:
    plain = ("timeout_seconds", "memory", "cpu", "concurrency", "max_instances")
    return _party(item) | {key: item[key] for key in plain}


def _function(item: Mapping[str, Any]) -> Function:
    return Function(
        **_runtime(item),
        runs=tuple(item.get("runs", ())),
        claim_seconds=item["claim_seconds"],
        path=item.get("path"),
    )


def _service(item: Mapping[str, Any]) -> Service:
    return Service(**_runtime(item), command=tuple(item["command"]))


def _job(item: Mapping[str, Any]) -> Job:
    return Job(
        **_party(item),
        timeout_seconds=item["timeout_seconds"],
        max_retries=item["max_retries"],
        sizes={name: Size(**size) for name, size in item["sizes"].items()},
        task_mib=item.get("task_mib", 128),
        max_tasks=item.get("max_tasks", 1),
    )


def _external(item: Mapping[str, Any]) -> External:
    return External(**_party(item), switch=item["switch"], account=item.get("account", True))


def _people(item: Mapping[str, Any]) -> People:
    excludes, project = (tuple(item.get(key, ())) for key in ("excludes", "project"))
    return People(**_party(item), excludes=excludes, project=project)


def _subscription(item: Mapping[str, Any]) -> Subscription:
    export = {
        key.removeprefix("export_"): value
        for key, value in item.items()
        if key.startswith("export_")
    }
    rest = {key: value for key, value in item.items() if not key.startswith("export_")}
    return Subscription(
        **{"push": None, "filter": "", "dead_letter": True, **rest},
        export=Export(**export) if export else None,
    )


def _check_subset(text: str, file: Path) -> None:
    """Terraform and PyYAML differ on `yes`, `0o17`, `1e3`, dates, bare words and repeated keys, so
    none of them may stand in the file. Raises BadTopology."""
    try:
        for token in yaml.scan(text):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken | yaml.TagToken):
                raise _misfit(file, token, "anchors, aliases and tags are not for this file")
        _check_node(yaml.compose(text), file)
    except yaml.YAMLError as error:
        raise BadTopology(f"{file.name} is no YAML: {error}") from error


def _check_node(node: Any, file: Path) -> None:
    if isinstance(node, yaml.ScalarNode):
        plain = node.style is None and node.value not in ("true", "false")
        if plain and not _DECIMAL.fullmatch(node.value):
            why = f"{node.value!r} must be a quoted string, a decimal integer, true or false"
            raise _misfit(file, node, why)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_node(item, file)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise _misfit(file, key, "a key stands here twice, or is no plain word")
            seen.add(key.value)
            _check_node(value, file)


def _misfit(file: Path, where: Any, why: str) -> BadTopology:
    return BadTopology(f"{file.name}, line {where.start_mark.line + 1}: {why}")
