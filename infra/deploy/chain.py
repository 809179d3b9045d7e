"""An installation as a doctor sees it: where it is, what it should be, and how to ask it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.deploy.tools import Said, Tools, shown
from infra.topology import Topology
from shared.cli.installations import Installation

# method, URL, JSON body, headers -> status and decoded answer; raises OSError when nobody answers
Ask = Callable[[str, str, object, Mapping[str, str]], tuple[int, Any]]
# a URL -> headers that say who asks
Authorize = Callable[[str], Mapping[str, str]]
AGAIN = "./millrace deploy {} --apply puts it back"


@dataclass(frozen=True)
class Chain:
    """An installation as a doctor sees it."""

    there: Installation
    topology: Topology
    tools: Tools
    ask: Ask
    authorize: Authorize

    def list(self, *words: str) -> tuple[list[dict[str, Any]], str]:
        """What `gcloud ... --format=json` lists, and why it could not."""
        command = ("gcloud", *words, f"--project={self.there.project}", "--format=json")
        said = self.tools.ask(*command)
        return (_list(said), "" if said.good else f"`{shown(command)}`: {said.why}")

    @property
    def again(self) -> str:
        return AGAIN.format(self.there.name)

    def account(self, part: str) -> str:
        return f"mr-{part}@{self.there.project}.iam.gserviceaccount.com"


def _list(said: Said) -> list[dict[str, Any]]:
    try:
        body = json.loads(said.out)
    except ValueError:
        return []
    return [item for item in body if isinstance(item, dict)] if isinstance(body, list) else []
