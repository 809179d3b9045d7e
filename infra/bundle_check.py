"""`make bundles`: import every bundle in a .venv made of its own lock, as Google Cloud would.

What works in the development .venv may lack a package in a deployable's lock; this finds it.
Bundles whose locks are equal share a .venv. No variable of ours is set: importing reads none.
The predictor, the jobs and MLflow are deployed as images: theirs are built by the lines of the
Dockerfile and started (`infra.images.check`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.bundle import REPOSITORY, build
from infra.images import check

KINDS = ("functions", "jobs", "infra/images")


def main(names: list[str]) -> int:
    """Check all bundles, or those named. Exit code 1 when one does not import."""
    with tempfile.TemporaryDirectory(prefix="millrace-bundles-") as scratch:
        root = Path(scratch)
        images, groups = list[str](), defaultdict[str, list[Path]](list)
        for door in sorted(door for kind in KINDS for door in REPOSITORY.glob(f"{kind}/*/main.py")):
            name = door.parent.relative_to(REPOSITORY).as_posix()
            if names and door.parent.name not in names:
                continue
            if check.has_image(name):
                images.append(name)
            else:
                bundle = build(door.parent.name, "functions", root / "bundles")
                groups[_pins(bundle / "requirements.txt")].append(bundle)
        homes = [root / f"venv-{number}" for number in range(len(groups))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # pip works on one core
            built = pool.map(_bad_image, images, [root / f"image-{n}" for n in range(len(images))])
            found = list(pool.map(_broken, groups.values(), homes))
            bad = [name for name in built if name]
        bad += [_name(bundle) for bundles in found for bundle in bundles]
    if bad:
        print(f"These do not work with their own lock: {', '.join(bad)}")
    return 1 if bad else 0


def _bad_image(door: str, home: Path) -> str:
    """The door's name when its image is bad, else nothing."""
    started = time.monotonic()
    trouble = check.check(door, home)
    shutil.rmtree(home)
    seconds = time.monotonic() - started
    print(f"{door}: {trouble or f'its image was built and tried in {seconds:.0f} s'}", flush=True)
    return door if trouble else ""


def _broken(bundles: list[Path], home: Path) -> list[Path]:
    """Those of `bundles`, which share one lock, that cannot be imported."""
    started = time.monotonic()
    python = _install(bundles[0] / "requirements.txt", home)
    seconds = time.monotonic() - started
    bad = [bundle for bundle in bundles if not _imports(bundle, python)]
    names = ", ".join(_name(bundle) for bundle in bundles)
    print(f"{names}: one .venv of their lock, made in {seconds:.0f} s", flush=True)
    shutil.rmtree(home)
    return bad


def _install(lock: Path, home: Path) -> Path:
    """With dependencies resolved, which also proves that the lock is complete."""
    venv.EnvBuilder(with_pip=False, symlinks=True).create(home)
    python = home / "bin" / "python"
    command = [
        *(sys.executable, "-m", "pip", "--python", os.fspath(python), "install", "-qq"),
        *("--disable-pip-version-check", "--no-compile", "--require-hashes", "-r", os.fspath(lock)),
    ]
    subprocess.run(command, check=True)
    return python


def _imports(bundle: Path, python: Path) -> bool:
    env = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    started = time.monotonic()
    command = [os.fspath(python), "-c", "import main"]
    result = subprocess.run(
        command, cwd=bundle, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    seconds = time.monotonic() - started
    good = result.returncode == 0
    print(
        f"  {_name(bundle)}: {'imports in' if good else 'FAILS after'} {seconds:.1f} s", flush=True
    )
    if not good:
        print(result.stderr)
    return good


def _name(bundle: Path) -> str:
    return bundle.name.rpartition("-")[0]


def _pins(lock: Path) -> str:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
