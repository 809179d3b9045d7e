"""Make `.venv` from `infra/locks/dev.txt`: one at a time, all or nothing, repaired when torn.

Started by `ensure` next to it, with a plain Python and nothing installed. The scans have a virtual
environment of their own, made in the same way (`infra.scan`): `install.py LOCK FOLDER`.

    lock .millrace/venv.lock -> already there? -> remove lock.txt -> new .venv -> pip install
                                                  -> compile -> copy the lock to lock.txt (last)

Whatever dies in between leaves no lock.txt, and the next call starts again from an empty folder;
what pip has downloaded already comes from its cache.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".millrace"
LOG = STATE / "install.log"


@dataclass(frozen=True)
class Target:
    """A virtual environment and the lock that it holds."""

    lock: Path
    venv: Path

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.venv / "lock.txt"


DEVELOPMENT = Target(ROOT / "infra" / "locks" / "dev.txt", ROOT / ".venv")


class InstallFailed(Exception):
    """pip or venv gave up; the message is for people."""


def main(arguments: list[str]) -> int:
    target = Target(Path(arguments[0]), Path(arguments[1])) if arguments else DEVELOPMENT
    started = time.monotonic()
    STATE.mkdir(exist_ok=True)
    try:
        with alone():
            if not up_to_date(target):
                install(target)
                print(f"Installed in {time.monotonic() - started:.0f} s.", file=sys.stderr)
    except InstallFailed as error:
        print(f"{error}\nThe whole log: {LOG}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the next call starts over.", file=sys.stderr)
        return 130
    return 0


@contextmanager
def alone() -> Iterator[None]:
    """Several `make` at once: one installs, the others wait. The lock dies with the process."""
    with (STATE / "venv.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another call is installing; waiting for it.", file=sys.stderr)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def up_to_date(target: Target) -> bool:
    if not (target.python.exists() and target.stamp.is_file()):
        return False
    return target.stamp.read_bytes() == target.lock.read_bytes()


def install(target: Target) -> None:
    lock = target.lock.read_text(encoding="utf-8")
    count = len(re.findall(r"(?m)^[A-Za-z0-9].*==", lock))
    print(
        f"Setting up {target.venv.name}: {count} locked packages, once (a few minutes).",
        file=sys.stderr,
    )
    target.stamp.unlink(missing_ok=True)
    make_venv(target)
    with LOG.open("w", encoding="utf-8") as log:
        pip_install(target, count, log)
        run([target.python, "-m", "compileall", "-q", "-j", "0", target.venv / "lib"], log)
    target.stamp.write_text(lock, encoding="utf-8")


def make_venv(target: Target) -> None:
    try:
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=True).create(target.venv)
    except (subprocess.CalledProcessError, ModuleNotFoundError) as error:
        shutil.rmtree(target.venv, ignore_errors=True)
        raise InstallFailed(
            f"{sys.executable} cannot make virtual environments ({error}); on Debian and Ubuntu "
            "install python3-venv, elsewhere a complete Python 3.11 or newer."
        ) from error


def pip_install(target: Target, count: int, log: TextIO) -> None:
    """pip with hashes; compiling is left out here because pip does it on one core only."""
    command = [
        *(str(target.python), "-m", "pip", "install", "--disable-pip-version-check"),
        *("--no-input", "--no-compile", "--prefer-binary", "--progress-bar", "off"),
        # Complete, so nothing to resolve.
        *("--no-deps", "--require-hashes", "-r", str(target.lock)),
    ]
    seen = 0
    tail: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        for line in process.stdout or ():
            log.write(line)
            tail = [*tail[-7:], line.rstrip()]
            if line.startswith("Collecting "):
                seen += 1
                progress(seen, count, line.split()[1].split("==")[0])
            elif line.startswith("Installing collected"):
                progress(count, count, "writing files")
    if process.returncode != 0:
        raise InstallFailed("pip could not install the locked packages:\n" + "\n".join(tail))


def progress(seen: int, count: int, what: str) -> None:
    """One line that rewrites itself on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        end = "\n" if what == "writing files" else ""
        print(f"\r\033[K  {seen}/{count} {what}", end=end, file=sys.stderr, flush=True)
    elif seen % 50 == 0 or what == "writing files":
        print(f"  {seen}/{count} {what}", file=sys.stderr, flush=True)


def run(command: list[str | Path], log: TextIO) -> None:
    """A step whose failure does not matter beyond speed (a package may ship broken examples)."""
    arguments = [os.fspath(part) for part in command]
    subprocess.run(arguments, stdout=log, stderr=subprocess.STDOUT, check=False)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
