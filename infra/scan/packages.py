"""Packages: known weaknesses of every locked version, and licences that forbid shipping.

Weaknesses are asked of a service on the network. Where it does not answer nothing was audited, and
that is said, never counted as clean: a version that is known to be weak is asked about first.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.scan.findings import Finding
from infra.scan.tools import Environment, ScanFailed

# Weak since 2018 (CVE-2018-18074). A service that knows nothing of it audits nothing.
_KNOWN_TO_BE_WEAK = "requests==2.19.0"
_PIN = re.compile(r"(?m)^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)")
# Licences that may be shipped with ours, Apache-2.0. For copyleft or none a person decides.
_FREE = re.compile(
    r"MIT|BSD|Apache|PSF|Python Software Foundation|MPL|Mozilla|ISC|Unlicense|Zlib|CC0",
    re.IGNORECASE,
)
_COPYLEFT = re.compile(r"GPL|General Public|SSPL|BUSL|Business Source|Commercial|Proprietary|EUPL")


class NotAudited(Exception):
    """The service of known weaknesses was not reachable from here."""


def locks(root: Path) -> list[Path]:
    """Every file of pinned packages."""
    places = ("infra/locks/*.txt", "*/*/requirements.txt", "infra/images/*/requirements.txt")
    return sorted(file for place in places for file in root.glob(place))


def pins(files: list[Path], root: Path) -> Mapping[str, list[str]]:
    """`name==version` and the locks that have it."""
    found: dict[str, list[str]] = {}
    for file in files:
        for name, version in sorted(set(_PIN.findall(file.read_text(encoding="utf-8")))):
            places = found.setdefault(f"{name.lower()}=={version}", [])
            places.append(file.relative_to(root).as_posix())
    return found


def audit(on: Environment) -> Iterator[Finding]:
    """One question for all locks together. Raises NotAudited."""
    if not any(_ask(on, [_KNOWN_TO_BE_WEAK])):
        raise NotAudited(
            "the service of known weaknesses was not reachable, or knows nothing, from here; "
            "no lock was audited"
        )
    known = pins(locks(on.root), on.root)
    for name, version, weakness, text in _ask(on, sorted(known)):
        places = known.get(f"{name.lower()}=={version}", [])
        where = f"{name.lower()}=={version}"
        yield Finding("pip-audit", weakness, where, f"{text} ({', '.join(places)})")


def _ask(on: Environment, wanted: list[str]) -> Iterator[tuple[str, str, str, str]]:
    """Name, version, weakness and where it is mended, of those that have one."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(wanted) + "\n")
        file.flush()
        plain = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json")
        try:
            said = on.ask("pip-audit", *plain, "-r", file.name)
            answer = json.loads(said)
        except (ScanFailed, json.JSONDecodeError) as error:
            raise NotAudited(f"the service of known weaknesses did not answer: {error}") from error
    for package in answer["dependencies"]:
        for weakness in package.get("vulns", ()):
            mended = ", ".join(weakness["fix_versions"]) or "nowhere yet"
            found = (package["name"], package["version"], weakness["id"])
            yield (*found, f"mended in {mended}")


def licences(on: Environment) -> Iterator[Finding]:
    """Of everything in the development .venv, which holds what every image and bundle holds."""
    said = on.ask(
        "pip-licenses", "--python", str(on.python), "--from", "mixed", "--format", "json", good=(0,)
    )
    for package in json.loads(said):
        name = package["License"].splitlines()[0]
        if _COPYLEFT.search(package["License"]) or not _FREE.search(package["License"]):
            yield Finding("licences", name, package["Name"], "is this one shipped, and may it be?")
