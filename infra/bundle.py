"""What is deployed: a door's folder plus `shared/`, as one self-contained folder or zip.

    <root>/<name>-<hash>/   main.py  requirements.txt  shared/...

The hash is over names and contents, so an existing folder is the same bundle. The local stack runs
these folders and Terraform uploads their zips; neither knows how they are made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["functions", "jobs"]

REPOSITORY = Path(__file__).resolve().parents[1]
DOOR_FILES = ("main.py", "requirements.txt")
# People's tools and fakes stay at home.
_LEFT_OUT = ("shared/cli/", "shared/adapters/memory")
_HASH_LENGTH = 12


def build(name: str, kind: Kind, root: Path) -> Path:
    """The bundle's folder under `root`, made if its contents are new; older ones of the same name
    are removed. Safe against a crash and against another build at the same moment.
    Raises FileNotFoundError when the door lacks one of its files."""
    contents = dict(_contents(REPOSITORY / kind / name))
    bundle = root / f"{name}-{_hash(contents)}"
    if not bundle.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root) as scratch:
            _copy(contents, Path(scratch) / "bundle")
            try:
                (Path(scratch) / "bundle").rename(bundle)
            except OSError:
                if not bundle.is_dir():  # else another build was faster with the same contents
                    raise
    _prune(name, keep=bundle)
    return bundle


def zip_bundle(path: Path) -> Path:
    """`<path>.zip`: the same bytes for the same contents, whenever and wherever it is made."""
    target = path.with_name(path.name + ".zip")
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(_files(path), key=lambda file: file.relative_to(path).as_posix()):
            entry = zipfile.ZipInfo(file.relative_to(path).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, file.read_bytes())
    scratch.replace(target)
    return target


def fingerprint(door: Path, more: Mapping[str, Path] | None = None, *, shared: bool = True) -> str:
    """The hash of a door's contents, as in the name of its bundle; of an image, with `more`
    files by name, and without `shared/` where it has nothing of it."""
    contents = {
        name: file for name, file in _contents(door) if shared or not name.startswith("shared/")
    }
    return _hash({**contents, **(more or {})})


def _contents(door: Path) -> Iterator[tuple[str, Path]]:
    """Name in the bundle and file on disk."""
    for file_name in DOOR_FILES:
        if not (door / file_name).is_file():
            raise FileNotFoundError(f"{door} has no {file_name}, so it cannot be deployed")
        yield file_name, door / file_name
    for file in _files(REPOSITORY / "shared"):
        name = file.relative_to(REPOSITORY).as_posix()
        if not name.startswith(_LEFT_OUT):
            yield name, file


def _files(folder: Path) -> Iterator[Path]:
    """What people wrote: no caches, nothing hidden."""
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        if file.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in parts):
            yield file


def _hash(contents: dict[str, Path]) -> str:
    total = hashlib.sha256()
    for name in sorted(contents):
        digest = hashlib.sha256(contents[name].read_bytes()).hexdigest()
        total.update(f"{name}\0{digest}\n".encode())
    return total.hexdigest()[:_HASH_LENGTH]


def _copy(contents: dict[str, Path], to: Path) -> None:
    for name, file in contents.items():
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _prune(name: str, *, keep: Path) -> None:
    for old in keep.parent.glob(f"{name}-" + "[0-9a-f]" * _HASH_LENGTH + "*"):
        if old.is_dir() and old != keep:
            shutil.rmtree(old, ignore_errors=True)
        elif old.is_file() and old.name != keep.name + ".zip":
            old.unlink(missing_ok=True)
