"""`gcloud` as the rollout knows it: a service with revisions and a bucket with generations, in a
folder. Every call is a line of calls.log. Started as a program: fake_gcloud.py FOLDER WORDS...
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def install(folder: Path) -> None:
    """`gcloud` for a PATH, in the folder."""
    program = folder / "gcloud"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {__file__} {folder} "$@"\n')
    program.chmod(0o755)


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return found


def save(folder: Path, found: dict[str, Any]) -> None:
    (folder / "state.json").write_text(json.dumps(found))


def service(found: dict[str, Any]) -> dict[str, Any]:
    """As `gcloud run services list --format=json` has it."""
    entries = [{"revisionName": name, "percent": found["shares"][name]} for name in found["shares"]]
    for tag, name in found["tags"].items():
        entries.append({"revisionName": name, "tag": tag, "url": f"{found['url']}/{tag}"})
    latest = found["revisions"][-1]
    status = {"url": found["url"], "traffic": entries, "latestReadyRevisionName": latest}
    return {
        "metadata": {"name": "predict"},
        "status": {**status, "latestCreatedRevisionName": latest},
    }


def pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split(","))


def answer(folder: Path, words: list[str]) -> str:
    flags = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
    plain = [word for word in words if not word.startswith("--")]
    found = state(folder)
    match plain:
        case ["run", "services", "list"]:
            return json.dumps([service(found)] if found["revisions"] else [])
        case ["run", "services", "update-traffic", "predict"]:
            shares = pairs(flags["--to-revisions"])
            found["shares"] = {name: int(share) for name, share in shares.items()}
            found["tags"] = pairs(flags.get("--set-tags", "")) if "--set-tags" in flags else {}
            save(folder, found)
            return ""
        case ["auth", "print-identity-token" | "print-access-token" as kind]:
            if found.get("person") and "--audiences" in flags:
                raise SystemExit("Invalid account type for `--audiences`.")
            return f"{kind} {flags.get('--audiences', '')}"
        case ["storage", *rest]:
            return stored(folder, found, rest, flags.get("--if-generation-match", ""))
    raise SystemExit(f"unknown: {words}")


def stored(folder: Path, found: dict[str, Any], words: list[str], condition: str) -> str:
    generation = str(found.get("generation", 0))
    if condition and condition != generation:
        raise SystemExit("HTTPError 412: precondition failed")
    match words:
        case ["cp", "-", _]:
            number = found["last"] = found.get("last", 100) + 1
            save(folder, {**found, "generation": number, "lease": sys.stdin.read()})
            return ""
    if generation == "0":
        raise SystemExit("not found: 404")
    match words:
        case ["objects", "describe", _]:
            return generation
        case ["cat", address]:
            if address.rpartition("#")[2] != generation:
                raise SystemExit("not found: 404")
            return str(found["lease"])
        case ["rm", _]:
            save(folder, {**found, "generation": 0})
            return ""
    raise SystemExit(f"unknown: {words}")


def main(folder: Path, words: list[str]) -> int:
    with (folder / "calls.log").open("a") as log:
        log.write(json.dumps(words) + "\n")
    if f"{words[0]} {words[1]}" == os.environ.get("GCLOUD_REFUSES"):
        sys.stderr.write("ERROR: (gcloud) the caller does not have permission\n")
        return 1
    sys.stdout.write(answer(folder, words) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2:]))
