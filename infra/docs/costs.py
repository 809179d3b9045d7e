"""Writes what `./millrace cost` prints into infra/docs/cost.md, where its command stands.

python -m infra.docs.costs
"""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from shared.cli.main import cli

PAGE = Path(__file__).with_name("cost.md")
EXAMPLE = re.compile(r"```sh\n\./millrace (cost[^\n]*)\n```\n```\n(.*?)```", re.DOTALL)
_REST = "\nTaken for granted"


def printed(words: str) -> str:
    """What the command prints, without the assumptions."""
    said = CliRunner().invoke(cli, words.split()).stdout
    lines = [line.rstrip() for line in said.splitlines()]
    return "\n".join(lines).partition(_REST)[0]


def render(page: str) -> str:
    return EXAMPLE.sub(
        lambda found: f"```sh\n./millrace {found[1]}\n```\n```\n{printed(found[1])}```", page
    )


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
