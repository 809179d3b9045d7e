"""`make scan`: a new finding fails, an excuse has its reason and ends with what it excused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from infra.bundle import REPOSITORY
from infra.scan import findings, packages, tools
from infra.scan.findings import BadBaseline, Entry, Finding, judge
from infra.scan.packages import NotAudited
from infra.scan.tools import Environment, ScanFailed

SQL = Finding("bandit", "B608", "shared/tables.py", "SQL from pieces", 7)
EXCUSE = Entry("bandit", "B608", "shared/*.py", "names are numbers of ours", 1)


def test_a_new_finding_is_told_with_its_place() -> None:
    """Nothing is excused by a rule elsewhere, or by a place with another rule."""
    others = [
        Entry("bandit", "B608", "infra/*", "names are numbers of ours"),
        Entry("bandit", "B311", "shared/*", "no secret is made of it"),
        Entry("checkov", "B608", "shared/*", "another tool's rule"),
    ]
    assert judge([SQL], others, []) == ["new: bandit B608 shared/tables.py:7: SQL from pieces"]


def test_what_was_decided_is_not_told_again() -> None:
    assert judge([SQL], [EXCUSE], ["bandit"]) == []


def test_an_excuse_for_one_does_not_cover_a_second() -> None:
    """A new line of the same kind in the same file is looked at."""
    second = Finding("bandit", "B608", "shared/new.py", "SQL from pieces")
    assert judge([SQL, second], [EXCUSE], ["bandit"]) == [
        "baseline: bandit B608 shared/*.py excuses 1, found 2: one of them is new: look at each"
    ]


def test_an_excuse_ends_with_what_it_excused() -> None:
    """Only of a scanner that did run: one that could not run has proved nothing."""
    problem = "baseline: bandit B608 shared/*.py excuses nothing any more: remove it"
    assert judge([], [EXCUSE], ["bandit"]) == [problem]
    assert judge([], [EXCUSE], ["checkov"]) == []
    two = Entry("bandit", "B608", "shared/*.py", EXCUSE.reason, 2)
    assert judge([SQL], [two], ["bandit"]) == [
        "baseline: bandit B608 shared/*.py excuses 2, found 1: lower the number"
    ]


@pytest.mark.parametrize(
    "entry",
    [
        {"rule": "B1", "where": "a.py"},
        {"rule": "B1", "where": "a.py", "reason": "ok"},
        {"rule": "B1", "reason": "a sentence that says why it stays"},
        {"rule": "B1", "where": "a.py", "reason": "a sentence that says why", "until": "2030"},
    ],
)
def test_an_entry_says_what_where_and_why(tmp_path: Path, entry: dict[str, str]) -> None:
    file = tmp_path / "baseline.yaml"
    file.write_text(json.dumps({"bandit": [entry]}))
    with pytest.raises(BadBaseline):
        findings.read(file)


def test_the_committed_baseline_is_one() -> None:
    """And names scanners that exist, so that none of its entries is never judged."""
    known = {scanner.__name__ for scanner in tools.SCANNERS} | {"licences", "pip-audit"}
    assert {entry.tool for entry in findings.read()} <= known


# --- what the scanners say ------------------------------------------------------------------------


def scanners(folder: Path, answers: dict[str, tuple[int, Any]]) -> Environment:
    """Programs that end with a code and print an answer."""
    for name, (code, answer) in answers.items():
        file = folder / name
        said = answer if isinstance(answer, str) else json.dumps(answer)
        file.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {code}\n")
        file.chmod(0o755)
    return Environment(folder, Path("python"))


def failed(check: str, file: str, resource: str = "") -> dict[str, Any]:
    row = {"check_id": check, "check_name": "a rule", "file_path": file, "resource": resource}
    return {"parsing_errors": None, "failed_checks": [row]}


def test_findings_of_terraform_are_known_by_their_address(tmp_path: Path) -> None:
    """A file may be split; the resource keeps its excuse. The rest is known by its file."""
    answer = [
        {"check_type": "terraform", "results": failed("CKV_GCP_1", "/a.tf", "google_x.y")},
        {"check_type": "dockerfile", "results": failed("CKV_DOCKER_2", "/infra/images/Dockerfile")},
        {"check_type": "github_actions"},
    ]
    found = list(tools.checkov(scanners(tmp_path, {"checkov": (1, answer)})))
    assert [(one.rule, one.where) for one in found] == [
        ("CKV_GCP_1", "google_x.y"),
        ("CKV_DOCKER_2", "infra/images/Dockerfile"),
    ]


def test_a_file_that_a_scanner_cannot_read_is_no_clean_file(tmp_path: Path) -> None:
    results = {"parsing_errors": ["/main.tf"], "failed_checks": []}
    on = scanners(tmp_path, {"checkov": (0, {"check_type": "terraform", "results": results})})
    with pytest.raises(ScanFailed, match=r"main\.tf"):
        list(tools.checkov(on))


@pytest.mark.parametrize(("code", "said"), [(2, "{}"), (0, "no JSON")])
def test_a_scanner_that_breaks_is_no_clean_scan(tmp_path: Path, code: int, said: str) -> None:
    with pytest.raises(ScanFailed, match="bandit"):
        list(tools.bandit(scanners(tmp_path, {"bandit": (code, said)})))


def test_checkov_is_asked_about_all_that_is_deployed_from() -> None:
    """Terraform of every root, Dockerfiles, workflows, builds; and no Python file by its name."""
    names = set(tools._for_checkov(REPOSITORY))
    assert "infra/images/Dockerfile" in names
    assert "cloudbuild.yaml" in names
    assert not [name for name in names if name.endswith(".py")]


def audited(folder: Path, known: dict[str, str]) -> Environment:
    """An advisory service that knows weaknesses by `name==version`."""
    program = folder / "pip-audit"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\n"
        f"known = {known!r}\n"
        "rows = []\n"
        "for pin in open(sys.argv[-1]).read().split():\n"
        "    vulns = [{'id': known[pin], 'fix_versions': ['9']}] if pin in known else []\n"
        "    name, version = pin.split('==')\n"
        "    rows.append({'name': name, 'version': version, 'vulns': vulns})\n"
        "print(json.dumps({'dependencies': rows}))\n"
    )
    program.chmod(0o755)
    return Environment(folder, Path("python"))


def test_a_service_that_knows_nothing_has_audited_nothing(tmp_path: Path) -> None:
    """A mirror without advisories answers politely to everything; that is no clean bill."""
    with pytest.raises(NotAudited, match="no lock was audited"):
        list(packages.audit(audited(tmp_path, {})))
    with pytest.raises(NotAudited, match="did not answer"):
        list(packages.audit(scanners(tmp_path, {"pip-audit": (1, "")})))


def test_a_weak_package_is_told_with_the_locks_that_have_it(tmp_path: Path) -> None:
    """Every lock is asked about, also those that are no part of the development lock."""
    known = packages.pins(packages.locks(REPOSITORY), REPOSITORY)
    flask = next(pin for pin in known if pin.startswith("flask=="))
    on = audited(tmp_path, {"requests==2.19.0": "CVE-1", flask: "CVE-2"})
    (found,) = packages.audit(on)
    assert (found.rule, found.where) == ("CVE-2", flask)
    assert "mended in 9" in found.text
    assert "functions/predict/requirements.txt" in found.text


def test_every_lock_is_audited() -> None:
    """Wherever one lies: a file with hashes of packages is a lock."""
    audited = {os.fspath(file.relative_to(REPOSITORY)) for file in packages.locks(REPOSITORY)}
    hidden = (".venv", ".millrace", ".git")
    locks = {
        os.fspath(file.relative_to(REPOSITORY))
        for top in REPOSITORY.iterdir()
        if top.is_dir() and top.name not in hidden
        for file in top.rglob("*.txt")
        if "--hash=sha256:" in file.read_text(encoding="utf-8")
    }
    assert audited == locks
    assert "infra/images/mlflow/requirements.txt" in audited


def test_a_licence_that_nobody_named_is_asked_about(tmp_path: Path) -> None:
    """Copyleft and none at all; what is known to be free is not."""
    rows = {"a": "MIT License", "b": "GNU Affero General Public License v3", "c": "UNKNOWN"}
    rows |= {"d": "LGPL-2.1", "e": "BSD-3-Clause AND MIT"}
    answer = [{"Name": name, "License": licence} for name, licence in rows.items()]
    found = packages.licences(scanners(tmp_path, {"pip-licenses": (0, answer)}))
    assert [one.where for one in found] == ["b", "c", "d"]
