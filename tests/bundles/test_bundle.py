"""The bundle builder: same contents, same folder, same zip."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra import bundle
from infra.bundle import build, zip_bundle


def test_a_bundle_is_a_door_and_shared(tmp_path: Path) -> None:
    """main.py, requirements.txt and the part of shared/ that runs in the cloud."""
    built = build("intake", "functions", tmp_path)
    assert sorted(item.name for item in built.iterdir()) == [
        "main.py",
        "requirements.txt",
        "shared",
    ]
    assert (built / "shared" / "boundary.py").is_file()
    assert not (built / "shared" / "cli").exists()
    assert not (built / "shared" / "adapters" / "memory").exists()
    assert not list(built.rglob("__pycache__"))


def test_the_same_contents_are_built_once(tmp_path: Path) -> None:
    """A second build finds the first one's folder and leaves it alone."""
    first = build("intake", "functions", tmp_path)
    before = (first / "main.py").stat().st_mtime_ns
    (first / "shared" / "__pycache__").mkdir()  # as running it leaves behind
    assert build("intake", "functions", tmp_path) == first
    assert (first / "main.py").stat().st_mtime_ns == before


def test_other_contents_replace_the_old_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed file gives another hash, and the old folder and zip go; others stay."""
    repository = tmp_path / "repository"
    for name, text in {
        "functions/a/main.py": "1",
        "functions/a/requirements.txt": "",
        "functions/a-b/main.py": "1",
        "functions/a-b/requirements.txt": "",
        "shared/x.py": "",
    }.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    monkeypatch.setattr(bundle, "REPOSITORY", repository)
    root = tmp_path / "bundles"
    old, other = build("a", "functions", root), build("a-b", "functions", root)
    zip_bundle(old)
    (repository / "shared" / "x.py").write_text("changed")
    new = build("a", "functions", root)
    assert sorted(root.iterdir()) == sorted([new, other])


def test_builds_at_the_same_moment_agree(tmp_path: Path) -> None:
    """Whoever is slower takes the faster one's folder; nothing half-made is left."""
    with ThreadPoolExecutor(8) as pool:
        built = set(pool.map(lambda _: build("sweep", "functions", tmp_path), range(8)))
    assert len(built) == 1
    assert list(tmp_path.iterdir()) == list(built)


def test_a_door_without_requirements_is_not_built(tmp_path: Path) -> None:
    """A bundle that could not be deployed is refused when it is made."""
    with pytest.raises(FileNotFoundError, match="nobody"):
        build("nobody", "functions", tmp_path)
    assert not list(tmp_path.iterdir())


def test_zips_are_the_same_bytes_for_the_same_contents(tmp_path: Path) -> None:
    """Terraform sees a new archive only when something changed, whoever builds it and when."""
    one = zip_bundle(build("intake", "functions", tmp_path / "one"))
    built = build("intake", "functions", tmp_path / "two")
    for file in built.rglob("*.py"):
        file.touch()
    (built / "__pycache__").mkdir()
    (built / "__pycache__" / "main.pyc").write_bytes(b"x")
    two = zip_bundle(built)
    assert one.read_bytes() == two.read_bytes()
    assert one.name == two.name
    assert "main.py" in zipfile.ZipFile(one).namelist()
