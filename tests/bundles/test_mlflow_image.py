"""MLflow's door on Cloud Run: it waits for its database, and logs in without a password. `make
bundles` starts the image itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

from infra.images.mlflow import main as door
from infra.images.mlflow.main import NotReady, Server


def get(server: Server, path: str = "/api/2.0/mlflow/experiments/search") -> tuple[int, str]:
    """Status and message."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(server({"type": "http", "path": path}, None, send))
    return sent[0]["status"], json.loads(sent[1]["body"])["message"]


async def mlflow(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"message": "MLflow"}'})


def test_the_server_waits_for_its_tables() -> None:
    """It is up before the job has run, so that Terraform can make both; it says what to do, looks
    again after a while and not at every request, and is MLflow from then on."""
    answers: list[Any] = [NotReady("no tables yet; run the job"), NotReady("still none"), mlflow]
    now = [0.0]

    def load() -> Any:
        found = answers.pop(0)
        if isinstance(found, NotReady):
            raise found
        return found

    server = Server(load, lambda: now[0])
    server.look()
    assert get(server) == (503, "no tables yet; run the job")
    assert get(server, "/health")[0] == 200
    now[0] = 10.0
    assert get(server) == (503, "still none")
    now[0] = 20.0
    assert get(server) == get(server) == (200, "MLflow")
    assert answers == []


def test_a_fault_of_ours_is_not_waited_for() -> None:
    """What no job can mend ends the process: a new revision that cannot work takes no traffic."""

    def load() -> Any:
        raise KeyError("MLFLOW")

    with pytest.raises(KeyError):
        Server(load).look()


class Engine:
    """Refuses as often as it is told to."""

    def __init__(self, refusals: int) -> None:
        self.refusals, self.asked = refusals, 0

    def connect(self) -> str:
        self.asked += 1
        if self.asked <= self.refusals:
            raise OperationalError("login", {}, Exception("permission denied\nby IAM"))
        return "connected"


def test_the_job_waits_for_a_grant_that_is_new() -> None:
    """IAM takes minutes to believe a grant; one that never comes is told in one line."""
    pauses: list[float] = []
    assert door.reached(Engine(3), pauses.append) == "connected"
    assert len(pauses) == 3
    with pytest.raises(NotReady, match=r"permission denied\)$"):
        door.reached(Engine(1000), pauses.append)
    assert 120 < sum(pauses) < 600


def test_every_connection_has_a_new_token() -> None:
    """Cloud SQL's tokens last an hour, a server lives longer."""
    tokens = iter(["token-1", "token-2"])
    engine = create_engine("sqlite://")
    door.log_in_with_tokens(lambda: next(tokens), engine)
    seen: list[dict[str, Any]] = []

    @event.listens_for(engine, "do_connect")
    def without(_dialect: Any, _record: Any, _args: Any, params: dict[str, Any]) -> None:
        seen.append(dict(params))  # SQLite has no password
        del params["password"]

    for _ in range(2):
        with engine.connect():
            pass
        engine.dispose()
    assert [one["password"] for one in seen] == ["token-1", "token-2"]
