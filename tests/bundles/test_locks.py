"""Locks: pinned, hashed, without addresses, and the same versions everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infra.bundle import REPOSITORY

DEV = REPOSITORY / "infra" / "locks" / "dev.txt"
DEPLOYED = sorted(
    path
    for kind in ("functions", "jobs", "infra/images")
    for path in REPOSITORY.glob(f"{kind}/*/*.in")
)
# Tried by hand with a real server; nothing here talks to Postgres.
UNTESTED = {"psycopg2-binary"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)(?: ; [^\\]+)? \\$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lock: Path) -> dict[str, set[str]]:
    """Versions by package; a package may have one per platform."""
    found: dict[str, set[str]] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if match := PIN.match(line):
            found.setdefault(normal(match[1]), set()).add(match[2])
    return found


def locks() -> list[Path]:
    return [DEV, DEV.with_name("scan.txt"), *(source.with_suffix(".txt") for source in DEPLOYED)]


@pytest.mark.parametrize("lock", locks(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_line_is_a_pin_or_a_hash(lock: Path) -> None:
    """Nothing unpinned, no hash missing, and no index address that only one network knows."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# Made by `make lock`")
    for line, following in zip(lines[1:], [*lines[2:], ""], strict=True):
        if PIN.match(line):
            assert following.startswith("    --hash=sha256:")
        else:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


@pytest.mark.parametrize("source", DEPLOYED, ids=lambda path: path.parent.name)
def test_what_is_tested_is_what_is_deployed(source: Path) -> None:
    """A deployable has the versions of the development lock and nothing beyond it."""
    tested = pins(DEV)
    for name, versions in pins(source.with_suffix(".txt")).items():
        assert versions <= tested.get(name, set()) or name in UNTESTED, name


@pytest.mark.parametrize("source", DEPLOYED, ids=lambda path: path.parent.name)
def test_every_wish_is_locked(source: Path) -> None:
    """A package added to requirements.in is in the lock; run `make lock` after a change."""
    locked = pins(source.with_suffix(".txt"))
    for line in source.read_text(encoding="utf-8").splitlines():
        wish = re.match(r"[A-Za-z0-9._-]+", line)
        if wish:
            assert normal(wish[0]) in locked, wish[0]


def test_pandas_stays_below_3_and_xgboost_without_gpu() -> None:
    """evidently 0.7 breaks on pandas 3, and xgboost's own wheel brings 300 MB of CUDA."""
    tested = pins(DEV)
    assert all(version.startswith("2.") for version in tested["pandas"])
    assert "xgboost-cpu" in tested
    linux = [line for line in DEV.read_text(encoding="utf-8").splitlines() if "xgboost==" in line]
    assert all("sys_platform == 'darwin'" in line for line in linux)
