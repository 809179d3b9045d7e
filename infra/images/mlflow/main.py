"""MLflow's tracking server on Cloud Run, with a database that has no password.

    python main.py serve      the server, in one process, by its environment:
                              MLFLOW_BACKEND_STORE_URI, MLFLOW_DEFAULT_ARTIFACT_ROOT, PORT
    python main.py upgrade    a job: make the database's tables, or bring them up to this version

`DATABASE_AUTH=google` logs in to the database with a token of the service account, new for every
connection, as Cloud SQL has it. While the tables are not those of this version the server answers
503 and says what to do, so that a deployment needs no order: the job may run before or after it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

_LOGIN_SCOPE = "https://www.googleapis.com/auth/sqlservice.login"
_PAUSE_SECONDS = 5.0  # between two looks at a database that was not ready
_TRIES = 36  # of the job, with pauses between: three minutes
_LOCK = 4_711_170  # any number, the same for all who change the tables
_RUN_THE_JOB = "run the job: gcloud run jobs execute mlflow-database --wait"
_GIVE_THE_RIGHT = (
    "the service account may log in to MLflow's database but not make tables there; run once:"
    " gcloud sql users assign-roles mr-mlflow@PROJECT.iam --instance millrace-mlflow"
    " --type CLOUD_IAM_SERVICE_ACCOUNT --database-roles cloudsqlsuperuser"
)
_ALIVE = "/health"
App = Callable[..., Any]


class NotReady(Exception):
    """The database cannot be used yet; the text says why, and what to do."""


def main() -> int:
    address = os.environ["MLFLOW_BACKEND_STORE_URI"]
    if os.environ.get("DATABASE_AUTH") == "google":
        log_in_with_tokens(TokenSource())
    match sys.argv[1:]:
        case ["serve"]:
            serve(address, os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"], int(os.environ["PORT"]))
        case ["upgrade"]:
            try:
                upgrade(address)
            except NotReady as error:
                say("ERROR", str(error))
                return 1
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


# --- the database --------------------------------------------------------------------------------


class TokenSource:
    """Tokens of the service account that are good for logging in to Cloud SQL."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __call__(self) -> str:
        """One that lasts some minutes at least. Raises google.auth's errors."""
        auth: Any = import_module("google.auth")
        transport: Any = import_module("google.auth.transport.urllib3")
        with self._lock:
            request = transport.Request(import_module("urllib3").PoolManager())
            if self._credentials is None:
                self._credentials, _ = auth.default(scopes=[_LOGIN_SCOPE], request=request)
            if not self._credentials.valid:
                self._credentials.refresh(request)
            return str(self._credentials.token)


def log_in_with_tokens(token: Callable[[], str], engines: Any = None) -> None:
    """Every connection that they open from now on has a token for a password; all of the process
    unless told otherwise."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(engines or Engine, "do_connect")
    def with_token(_dialect: Any, _record: Any, _args: Any, params: dict[str, Any]) -> None:
        params["password"] = token()


def upgrade(address: str) -> None:
    """Make the tables or migrate them; on Postgres one at a time. Raises NotReady."""
    from sqlalchemy import text

    utils = _tools()
    engine = utils.create_sqlalchemy_engine(address)
    with reached(engine) as held:
        if engine.dialect.name == "postgresql":
            held.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
            if not held.scalar(text("SELECT has_schema_privilege('public', 'CREATE')")):
                raise NotReady(_GIVE_THE_RIGHT)
        before = utils._get_schema_version(engine)
        if utils._is_empty_database(engine):
            utils._initialize_tables(engine)
        else:
            utils._upgrade_db(engine)
        after = utils._get_schema_version(engine)
    engine.dispose()
    say("INFO", f"the database has version {after}, before that {before or 'none'}")


def reached(engine: Any, sleep: Callable[[float], None] = time.sleep) -> Any:
    """A connection, in the minutes that a new grant takes to hold; MLflow itself would try for an
    hour. Raises NotReady."""
    from sqlalchemy.exc import OperationalError

    for left in reversed(range(_TRIES)):
        try:
            return engine.connect()
        except OperationalError as error:
            if not left:
                reason = str(error).partition("\n")[0]
                raise NotReady(f"MLflow cannot use its database ({reason})") from error
        sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def _check(address: str) -> None:
    """Raises NotReady unless the tables are those of this version."""
    from sqlalchemy.exc import SQLAlchemyError

    utils = _tools()
    engine = utils.create_sqlalchemy_engine(address)
    try:
        found, wanted = utils._get_schema_version(engine), utils._get_latest_schema_revision()
    except SQLAlchemyError as error:
        reason = str(error).partition("\n")[0]
        raise NotReady(f"MLflow cannot use its database ({reason})") from error
    finally:
        engine.dispose()
    if found != wanted:
        has = f"tables of version {found}" if found else "no tables yet"
        raise NotReady(f"MLflow's database has {has}, this image needs {wanted}; {_RUN_THE_JOB}")


def _tools() -> Any:
    return import_module("mlflow.store.db.utils")


# --- the server ----------------------------------------------------------------------------------


def serve(address: str, artifacts: str, port: int) -> None:
    """Until it is told to end."""
    import uvicorn

    server = Server(lambda: application(address, artifacts))
    server.look()  # with the CPU that an instance has at its start
    uvicorn.run(
        server,
        host="0.0.0.0",  # noqa: S104 - a container's only door
        port=port,
        lifespan="off",
        log_level="warning",
        timeout_graceful_shutdown=5,  # Cloud Run gives ten
    )


def application(address: str, artifacts: str) -> App:
    """MLflow's own, with artifacts that clients read and write themselves. Raises NotReady."""
    _check(address)
    server: Any = import_module("mlflow.server")
    os.environ |= {
        server.BACKEND_STORE_URI_ENV_VAR: address,
        server.REGISTRY_STORE_URI_ENV_VAR: address,
        server.ARTIFACT_ROOT_ENV_VAR: artifacts,
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    import_module("mlflow.server.handlers").initialize_backend_stores(address, address, artifacts)
    app: App = import_module("mlflow.server.fastapi_app").app
    return app


class Server:
    """An ASGI application: what `load` gives, once it does; until then 503 with the reason.
    `load` raises NotReady."""

    def __init__(
        self, load: Callable[[], App], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load, self._clock = load, clock
        self._lock = threading.Lock()
        self._app: App | None = None
        self._trouble, self._looked = "", float("-inf")

    def look(self) -> None:
        """Load, unless that was tried a moment ago."""
        with self._lock:
            if self._app is None and self._clock() - self._looked >= _PAUSE_SECONDS:
                try:
                    self._app = self._load()
                except NotReady as error:
                    if str(error) != self._trouble:
                        say("WARNING", str(error))
                    self._trouble = str(error)
                self._looked = self._clock()

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if self._app is None:
            await asyncio.to_thread(self.look)
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _answer(200 if scope["path"] == _ALIVE else 503, self._trouble, send)


async def _answer(status: int, message: str, send: Any) -> None:
    """As MLflow's clients read an error."""
    body = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"30")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def say(severity: str, message: str) -> None:
    """One line, as Cloud Logging reads it."""
    sys.stdout.write(json.dumps({"severity": severity, "message": message}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
