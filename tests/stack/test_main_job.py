"""The main job on the real local stack: processes, HTTP, gRPC, SIGKILL. Small seeded data."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import urllib3
from click.testing import CliRunner

from infra.local.state import find
from shared import documents, paths, runs
from shared.cli import identity, installations
from shared.cli.demo.synthetic import synthetic_rows
from shared.cli.demo.use_cases import ADULT
from shared.cli.installations import Installation
from shared.cli.main import cli
from shared.errors import TrackingUnavailable
from shared.events import DigestDue, WindowDue, parse_time, publish
from shared.wiring import Wiring
from tests.support.local import kill_everything, start, started

pytestmark = pytest.mark.stack

T = TypeVar("T")
MODEL = "income"
SPEC = b"""
task: binary
target: {column: income, positive: ">50K"}
columns:
  age: {type: number}
  education_num: {type: number}
  occupation: {}
  relationship: {}
  hours_per_week: {type: number}
  income: {}
training: {candidates: [linear, xgboost], trials: 1, folds: 2}
promotion: {approval: auto}
monitoring: {grace: 0s, label_delay: 0s, persistence: [1, 1]}
"""
FEATURES = ("age", "education_num", "occupation", "relationship", "hours_per_week")
Record = dict[str, str]


def table(records: list[Record], *names: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


@pytest.fixture(scope="module")
def records() -> list[Record]:
    rows = synthetic_rows(ADULT)[:4000]
    return [dict(zip(ADULT.columns, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Wiring]]:
    """One running stack for the module, with MLflow."""
    state = tmp_path_factory.mktemp("stack") / "state"
    with started(state, mlflow=True) as wiring:
        yield state, wiring


@pytest.fixture(scope="module")
def champion(stack: tuple[Path, Wiring], records: list[Record]) -> str:
    """The version that a spec and a training file, dropped together, led to."""
    wiring = stack[1]
    source = drop(wiring, f"{MODEL}/train/train.csv", table(records[:3000], *FEATURES, "income"))
    drop(wiring, f"_specs/{MODEL}.yaml", SPEC)
    assert ends(wiring, source) == "promoted"
    return run_of(wiring, source)


def drop(wiring: Wiring, name: str, data: bytes) -> str:
    info = wiring.inbox.write(name, data)
    return f"gs://{wiring.inbox.name}/{name}#{info.generation}"


def run_of(wiring: Wiring, source: str) -> str:
    return str(documents.require(wiring.lake, paths.claim(source))["run_id"])


def wait_for(look: Callable[[], T | None], seconds: float = 120) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError(f"nothing within {seconds} s")


def ends(wiring: Wiring, source: str) -> str:
    """The terminal state of an upload's run."""

    def state() -> str | None:
        claim = documents.read(wiring.lake, paths.claim(source)).body
        if not claim:
            return None
        found = runs.state(MODEL, claim["run_id"], lake=wiring.lake)
        return found.state if found.terminal else None

    return wait_for(state)


def ask(state: Path, path: str, body: bytes) -> tuple[int, Any]:
    """One request to the predictor or a function of the stack."""
    found = find(state)
    assert found is not None
    name, _, rest = path.partition("/")
    headers = {"Content-Type": "application/json"}
    answer = urllib3.request("POST", f"{found.urls[name]}/{rest}", body=body, headers=headers)
    return answer.status, json.loads(answer.data) if answer.data else None


def slack(state: Path) -> list[str]:
    """The fallback texts of what people would have read."""
    found = find(state)
    assert found is not None
    messages = urllib3.request("GET", f"{found.urls['slack']}/messages").json()
    return [json.dumps(message) for message in messages]


def test_a_drop_is_trained_promoted_and_served(
    stack: tuple[Path, Wiring], champion: str, records: list[Record]
) -> None:
    """The predictor answers with the version that came out of the drop, and refuses garbage."""
    state, _ = stack
    instance = {name: records[3500][name] for name in FEATURES}
    status, answer = ask(state, "predict/predict", json.dumps(instance).encode())
    assert status == 200
    (prediction,) = answer["predictions"]
    assert prediction["model_version"] == champion
    assert 0 <= prediction["score"] <= 1
    assert ask(state, "predict/predict", b"not json")[0] == 400
    assert ask(state, "predict/models/nobody/predict", b"{}")[0] == 404


def test_the_version_is_in_mlflow_under_its_aliases(
    stack: tuple[Path, Wiring], champion: str
) -> None:
    """MLflow mirrors the manifest: the alias champion leads to the version that serves."""
    registry = stack[1].registry
    assert registry is not None

    def told() -> bool | None:
        try:
            return True if registry.alias(MODEL, "champion") == champion else None
        except TrackingUnavailable:  # a busy machine serves a model before MLflow has started
            return None

    wait_for(told)


def test_scores_labels_and_windows_lead_to_messages(
    stack: tuple[Path, Wiring], champion: str, records: list[Record]
) -> None:
    """A shifted file is scored row by row, its window drifts, its labels are recorded, and people
    read of the drift at once and of the rest in the digest."""
    state, wiring = stack
    shifted = [{**record, "age": str(int(record["age"]) + 40)} for record in records[3000:3600]]
    source = drop(wiring, f"{MODEL}/score/late.csv", table(shifted, *FEATURES))
    assert ends(wiring, source) == "scored"
    run_id = run_of(wiring, source)
    summary = documents.require(wiring.lake, paths.predictions(MODEL, run_id, "summary.json"))
    assert (summary["rows"], summary["errors"], summary["version"]) == (600, 0, champion)
    scored = wiring.lake.read(paths.predictions(MODEL, run_id, "predictions.csv")).data.decode()
    rows = list(csv.DictReader(io.StringIO(scored)))
    assert [row["age"] for row in rows] == [row["age"] for row in shifted]

    labels = [
        {"prediction_id": row["prediction_id"], "label": record["income"]}
        for row, record in zip(rows, shifted, strict=True)
    ]
    source = drop(wiring, f"{MODEL}/labels/late.csv", table(labels, "prediction_id", "label"))
    assert ends(wiring, source) == "labelled"

    start_of_second = parse_time(summary["started"]).replace(microsecond=0)
    end = parse_time(summary["finished"]).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep(1.1)  # windows of the future are not judged, and this one is to be over
    due = WindowDue(model=MODEL, channel="batch", window_start=start_of_second, window_end=end)
    publish(due, publisher=wiring.publisher, clock=wiring.clock)
    folder = f"{start_of_second:%Y%m%dT%H%M%SZ}_{end:%Y%m%dT%H%M%SZ}"
    name = paths.reports(MODEL, "batch", folder, "latest.json")
    wait_for(lambda: documents.read(wiring.lake, name).body or None, 60)
    wait_for(lambda: True if any("drift" in text for text in slack(state)) else None, 30)
    assert not any("rows are scored" in text for text in slack(state))
    publish(DigestDue(), publisher=wiring.publisher, clock=wiring.clock)
    wait_for(lambda: True if any("rows are scored" in text for text in slack(state)) else None, 30)


def test_a_bad_file_is_refused_in_slack_and_in_the_lake(
    stack: tuple[Path, Wiring], champion: str
) -> None:
    """A wrong header ends as rejected, with the missing column named where people read."""
    state, wiring = stack
    source = drop(wiring, f"{MODEL}/train/bad.csv", b"age,occupation,income\n1,x,>50K\n")
    assert ends(wiring, source) == "rejected"
    wait_for(lambda: True if any("education_num" in text for text in slack(state)) else None, 30)


def test_a_malformed_push_is_kept_and_acknowledged(stack: tuple[Path, Wiring]) -> None:
    """Whatever is posted to a function is answered without a traceback and parked."""
    state, wiring = stack
    assert ask(state, "intake/", b"<html>") == (204, None)
    kept = [info.name for info in wiring.lake.list("rejections/_messages/intake")]
    assert len(kept) == 1


def test_commands_take_it_for_an_installation(
    stack: tuple[Path, Wiring], champion: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A context's file and the endpoints of the stack in the environment: the commands for Google
    Cloud read, decide, publish, ask and fetch there with an ID token, by Google's own clients."""
    found = find(stack[0])
    assert found is not None
    monkeypatch.setattr(installations, "HOME", tmp_path)
    for variable in (*installations.ENDPOINTS, "NO_PROXY", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.setenv(variable, found.env[variable])
    claims = base64.urlsafe_b64encode(b'{"email": "ada@example.com"}').decode().rstrip("=")
    monkeypatch.setenv(identity.TOKEN, f"e30.{claims}.x")
    identity.id_token.cache_clear()
    there = replace(
        Installation.predicted("acme", "acme-data", "1", "europe-west1", "prod", mlflow=False),
        project=found.env["MILLRACE_PROJECT"],
        inbox="inbox",
        lake="lake",
        predict_url=found.urls["predict"],
        promote_url=found.urls["promote"],
    )
    installations.save(there)

    def typed(*words: str) -> str:
        line = ["--context", "acme", "--confirm", MODEL, *words]
        result = CliRunner().invoke(cli, line)
        assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"
        return result.stdout

    assert champion in typed("status", MODEL)
    assert "automation" in typed("pin", MODEL)
    assert json.loads(typed("status", MODEL, "--json"))["pinned"] is True
    typed("unpin", MODEL)
    assert champion in typed("predict", MODEL, "--example", "--json")
    assert "promoted" in typed("why", champion)
    assert champion in typed("trace", champion)
    typed("get", champion, "-o", str(tmp_path / "got"))
    assert typed("approvals", "list")
    assert typed("dead-letters", "list") == "No dead letters.\n"
    sweep = ["--context", "acme", "--confirm", "acme", "tick", "sweep"]
    assert CliRunner().invoke(cli, sweep).exit_code == 0
    assert "nobody is there" in CliRunner().invoke(cli, ["--context", "acme", "pin", MODEL]).output
    identity.id_token.cache_clear()


def test_sigkill_of_everything_while_training_loses_nothing(
    tmp_path: Path, records: list[Record]
) -> None:
    """Kill every process in the middle of the training; the next start ends with one version, one
    move of the manifest, on the second attempt, and no process is left behind."""
    state = tmp_path / "state"
    process, wiring = start(state, mlflow=False)
    drop(wiring, f"_specs/{MODEL}.yaml", SPEC)
    source = drop(wiring, f"{MODEL}/train/train.csv", table(records[:3000], *FEATURES, "income"))

    def prepared() -> str | None:
        claim = documents.read(wiring.lake, paths.claim(source)).body
        if not claim:
            return None
        name = paths.run_event(MODEL, claim["run_id"], "prepared")
        return claim["run_id"] if documents.read(wiring.lake, name).exists else None

    run_id = wait_for(prepared)
    assert len(kill_everything(process)) > 3
    process, wiring = start(state, mlflow=False)
    try:
        assert ends(wiring, source) == "promoted"
        manifest = documents.require(wiring.lake, paths.manifest(MODEL))
        assert [move["version"] for move in manifest["moves"]] == [run_id]
        assert list(wiring.lake.folders(f"models/{MODEL}/")) == [f"models/{MODEL}/{run_id}/"]
        names = {event["name"] for event in runs.history(MODEL, run_id, lake=wiring.lake)}
        assert {"started-1", "started-2"} <= names
    finally:
        process.terminate()
        process.wait(timeout=60)
