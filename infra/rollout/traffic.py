"""Who gets which share of a Cloud Run service's requests: read and written through gcloud.

    tag        the revision that ...
    stable     has all traffic, or gets it back when a rollout fails
    candidate  is being rolled out; there is none between rollouts
    previous   was `stable` before: where `back` leads

The tags are the whole memory of a rollout, so another machine can go on with it or undo it.
Standard library only: this runs with the Python of the Cloud SDK's image.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from infra.complaints import next_step

STABLE, CANDIDATE, PREVIOUS = "stable", "candidate", "previous"
_SECONDS = 600


class GcloudFailed(Exception):
    """gcloud did not do what it was asked; the text is its own."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """`shares` are percent by revision, above 0; `tags` are revisions by tag, `urls` where a tag
    answers. `follows_latest`: the next revision would get traffic as soon as it is there."""

    url: str
    shares: Mapping[str, int]
    tags: Mapping[str, str]
    urls: Mapping[str, str]
    latest_created: str
    latest_ready: str
    follows_latest: bool = False

    @property
    def serving(self) -> str:
        """The revision that most requests reach; of equals the stable one."""
        stable = self.tags.get(STABLE)
        return max(self.shares, key=lambda name: (self.shares[name], name == stable))


class Service(Protocol):
    def read(self) -> Traffic | None:
        """As it is now; None when there is no such service. Raises GcloudFailed."""

    def write(self, shares: Mapping[str, int], tags: Mapping[str, str]) -> None:
        """Both at once, whole: a tag that is not named is gone. Raises GcloudFailed."""


def parsed(body: Mapping[str, Any]) -> Traffic:
    """From what `gcloud run services describe --format=json` prints."""
    status = body.get("status", {})
    shares: dict[str, int] = {}
    tags: dict[str, str] = {}
    urls: dict[str, str] = {}
    latest = status.get("latestReadyRevisionName", "")
    follows = False
    for entry in status.get("traffic", ()):
        revision = entry.get("revisionName") or latest
        if entry.get("percent"):
            shares[revision] = shares.get(revision, 0) + entry["percent"]
            follows |= bool(entry.get("latestRevision"))
        if entry.get("tag"):
            tags[entry["tag"]] = revision
            urls[entry["tag"]] = entry.get("url", "")
    created = status.get("latestCreatedRevisionName", "")
    return Traffic(status.get("url", ""), shares, tags, urls, created, latest, follows)


@dataclass(frozen=True, slots=True)
class Gcloud:
    """A Cloud Run service, by name."""

    name: str
    project: str
    region: str
    program: Sequence[str] = field(default=("gcloud",))

    def read(self) -> Traffic | None:
        asked = ["run", "services", "list", *self._place, "--format=json"]
        wanted = f"--filter=metadata.name={self.name}"
        said = run([*self.program, *asked, wanted], want=f"to read the traffic of {self.name}")
        found = json.loads(said or "[]")
        named = [item for item in found if item["metadata"]["name"] == self.name]
        return parsed(named[0]) if named else None

    def write(self, shares: Mapping[str, int], tags: Mapping[str, str]) -> None:
        told = ["run", "services", "update-traffic", self.name, *self._place, "--quiet"]
        told += [f"--to-revisions={_pairs(shares)}"]
        told += [f"--set-tags={_pairs(tags)}" if tags else "--clear-tags"]
        run([*self.program, *told], want=f"to move the traffic of {self.name}")

    @property
    def _place(self) -> tuple[str, str]:
        return (f"--project={self.project}", f"--region={self.region}")


def _pairs(items: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in items.items())


def run(command: Sequence[str], told: str | None = None, *, want: str = "") -> str:
    """What a command prints. `told` is its standard input, `want` what it is for, as "to ...".
    Raises GcloudFailed, with what to do where that is known."""
    shown = f"{want and f'{want}: '}`{' '.join(command[:4])} ...`"
    try:
        done = subprocess.run(
            command, input=told, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GcloudFailed(f"{shown}: {error}") from error
    if done.returncode:
        said, step = " ".join(done.stderr.split())[-1000:], next_step(done.stderr)
        if step:  # said better than by gcloud, after its warnings
            said = said[max(said.find("ERROR:"), 0) :].partition(" Please run:")[0]
        hint = f"\n  What to do: {step}" if step else ""
        raise GcloudFailed(f"{shown} ended with {done.returncode}: {said}{hint}")
    return done.stdout
