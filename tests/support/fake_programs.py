"""What the fake gcloud and terraform of `fake_cloud` answer, from a world in a file. Standard
library alone: it is started anew for every call.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, TextIO

DIGEST = "sha256:" + "a" * 64
NUMBER = "123456789"

Streams = tuple[str, TextIO, TextIO]


def main(tool: str, words: list[str], home: str, streams: Streams | None = None) -> int:
    """`streams` are stdin, stdout and stderr; else the process's own."""
    file = Path(home) / "world.json"
    world = json.loads(file.read_text())
    if streams is None:
        streams = (sys.stdin.read() if "--data-file=-" in words else "", sys.stdout, sys.stderr)
    stdin, out, err = streams
    command = " ".join([tool, *words])
    with (Path(home) / "calls.jsonl").open("a") as log:
        log.write(json.dumps({"command": command, "stdin": bool(stdin)}) + "\n")
    for index, (pattern, said) in enumerate(world["fail"]):
        if re.search(pattern, command):
            del world["fail"][index]
            file.write_text(json.dumps(world))
            err.write(said + "\n")
            return 1
    for pattern, answer in world["answers"].items():
        if re.search(pattern, command):
            out.write(answer if isinstance(answer, str) else json.dumps(answer))
            return 0
    if tool == "python" or words[0] == "rollout":
        answer, code = "", 0
    else:
        answer, code = (_terraform if tool == "terraform" else _gcloud)(words, world, stdin)
    file.write_text(json.dumps(world))
    (err if code == 1 else out).write(answer + "\n")
    return code


def _gcloud(words: list[str], world: dict[str, Any], stdin: str) -> tuple[str, int]:
    line = " ".join(word for word in words if not word.startswith("--"))
    bucket = next((word[5:] for word in words if word.startswith("gs://")), "")
    if not world["account"] and not line.startswith(("version", "auth list")):
        return "ERROR: (gcloud) You do not currently have an active account selected.", 1
    simple = {
        "version": json.dumps({"Google Cloud SDK": "528.0.0"}),
        "auth list": world["account"],
        "projects get-iam-policy": "\n".join(world["roles"]),
        "billing projects describe": str(world["billing"]),
        "services list": "\n".join(world["apis"]),
        "run regions list": "\n".join(world["regions"]),
        "functions regions list": "\n".join(world["regions"]),
        "scheduler locations list": "\n".join(world["regions"]),
        "projects describe": json.dumps({"lifecycleState": "ACTIVE", "projectNumber": NUMBER}),
        "sql users assign-roles": "",
        "run jobs execute": "done",
        "logging read": "third\nsecond\nfirst",
    }
    for start, answer in simple.items():
        if line.startswith(start):
            return answer, 0
    return _found(line, bucket, words, world, stdin)


def _found(
    line: str, bucket: str, words: list[str], world: dict[str, Any], stdin: str
) -> tuple[str, int]:
    answer = (f"ERROR: the fake knows no {line}", 1)
    if line.startswith("auth application-default"):
        answer = ("a-token", 0) if world["adc"] else ("ERROR: no default credentials", 1)
    elif line.startswith("services enable"):
        world["apis"] += words[2:-1]
        answer = ("", 0)
    elif line.startswith("beta quotas info list"):
        details = {"applicableLocations": world["regions"], "details": {"value": world["quota"]}}
        info = {"quotaId": "CpuAllocPerProjectRegion", "dimensionsInfos": [details]}
        answer = (json.dumps([info]), 0)
    elif line.startswith("storage buckets"):
        answer = _bucket(words[2], bucket, world)
    elif line.startswith("artifacts docker images describe"):
        found = words[4] in world["images"]
        answer = (DIGEST, 0) if found else ("ERROR: Image not found.", 1)
    elif line.startswith("builds"):
        answer = _build(words, world)
    elif line.startswith("secrets versions"):
        answer = _secret(words, world, stdin)
    return answer


def _bucket(verb: str, bucket: str, world: dict[str, Any]) -> tuple[str, int]:
    buckets = world["buckets"]
    if verb == "create":
        buckets[bucket] = {"versioning_enabled": False}
    elif bucket not in buckets:
        return f"ERROR: gs://{bucket} not found: 404.", 1
    elif verb == "update":
        buckets[bucket]["versioning_enabled"] = True
    return json.dumps({"name": bucket, **buckets[bucket]}), 0


def _build(words: list[str], world: dict[str, Any]) -> tuple[str, int]:
    if words[1] == "describe":
        return world["builds"][words[2]], 0
    build = f"build-{len(world['builds']) + 1}"
    config = next(word for word in words if word.startswith("--config=")).partition("=")[2]
    world["builds"][build] = world["build_status"]
    if world["build_status"] == "SUCCESS":
        world["images"] += json.loads(Path(config).read_text())["images"]
    return build, 0


def _secret(words: list[str], world: dict[str, Any], stdin: str) -> tuple[str, int]:
    name = words[3]
    if words[2] == "add":
        world["secrets"][name] = world["secrets"].get(name, 0) + 1
        return ("", 0) if stdin else ("ERROR: nothing on stdin", 1)
    version = world["secrets"].get(name)
    return (f"projects/{NUMBER}/secrets/{name}/versions/{version}" if version else ""), 0


def _terraform(words: list[str], world: dict[str, Any], _: str) -> tuple[str, int]:
    if words[0] == "version":
        return json.dumps({"terraform_version": "1.12.2"}), 0
    root = "foundation" if words[0].endswith("/foundation") else "installation"
    state, verb = world["state"][root], words[1]
    if verb == "plan":
        changes = world["changes"] or not state
        return "Plan: 1 to add", 2 if changes and "-detailed-exitcode" in words else 0
    if verb == "apply":
        state.append('google_storage_bucket.bucket["lake"]')
    elif verb == "import":
        state.append(words[-2])
    elif verb == "destroy":
        world["state"][root] = []
    elif verb == "state" and words[2] == "list":
        return "\n".join(item for item in state if not words[3:] or item == words[3]), 0
    elif verb == "state":
        world["state"][root] = [item for item in state if item != words[-1]]
    elif verb == "show":
        changes = [
            {"address": item, "type": item.split(".")[0], "change": {"actions": ["delete"]}}
            for item in world["deletes"]
        ]
        return json.dumps({"resource_changes": changes}), 0
    elif verb == "output":
        return json.dumps(world["output"][words[-1]]), 0
    return "", 0
