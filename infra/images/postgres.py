"""A Postgres of one's own on a socket, for the time of a check, as Cloud SQL has it: passwords are
asked for, and an account that is new may make no table. Where a machine has none there is none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_PLACES = ("/usr/lib/postgresql", "/usr/local/lib/postgresql")
_SECONDS = 60.0
ACCOUNT, OWNER = "mr-mlflow@p.iam", "cloudsqlsuperuser"


@dataclass(frozen=True, slots=True)
class Postgres:
    """`folder` has the socket; the account's password, and the administrator's, is `password`."""

    folder: Path
    password: str
    user: int | None

    @property
    def address(self) -> str:
        """Of the database `mlflow`, as the account, without a password."""
        account = ACCOUNT.replace("@", "%40")
        return f"postgresql+psycopg2://{account}@/mlflow?host={self.folder}"

    def make_member(self) -> None:
        """What `gcloud sql users assign-roles` does."""
        self.ask(f'GRANT {OWNER} TO "{ACCOUNT}"')

    def ask(self, *statements: str) -> None:
        command = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-h", os.fspath(self.folder)]
        command += ["-U", "postgres"]
        for statement in statements:
            command += ["-c", statement]
        env = {**os.environ, "PGPASSWORD": self.password}
        subprocess.run(command, env=env, check=True, capture_output=True)


@contextmanager
def running(password: str) -> Iterator[Postgres | None]:
    """None where the programs are not installed."""
    programs = _programs()
    if programs is None or shutil.which("psql") is None:
        yield None
        return
    with TemporaryDirectory(prefix="millrace-postgres-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        server = Postgres(folder, password, _nobody())
        (folder / "password").write_text(password)
        if server.user is not None:
            for path in (folder, folder / "password"):
                os.chown(path, server.user, server.user)
        process = _start(programs, server)
        try:
            _prepare(server, process)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _programs() -> Path | None:
    found = [path for place in _PLACES for path in Path(place).glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parts[-3])).parent if found else None


def _nobody() -> int | None:
    """Postgres refuses to be root."""
    return None if os.geteuid() else 65534


def _start(programs: Path, server: Postgres) -> subprocess.Popen[bytes]:
    data, file = server.folder / "data", server.folder / "password"
    make: list[str | Path] = [
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        f"--pwfile={file}",
        "--no-sync",
    ]
    subprocess.run(
        [programs / "initdb", *make],
        check=True,
        capture_output=True,
        user=server.user,
        group=server.user,
    )
    options: list[str | Path] = [
        "-D",
        data,
        "-k",
        server.folder,
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
    ]
    return subprocess.Popen(
        [programs / "postgres", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=server.user,
        group=server.user,
    )


def _prepare(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    """The account, and a database that is not its own."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            server.ask("SELECT 1")
            break
        except subprocess.CalledProcessError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)
    server.ask(
        f"CREATE ROLE {OWNER}", f"CREATE ROLE \"{ACCOUNT}\" LOGIN PASSWORD '{server.password}'"
    )
    server.ask(f"CREATE DATABASE mlflow OWNER {OWNER}")
