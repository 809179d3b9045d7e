"""A package that is corrupted in the lake, on the real local stack with several predictors."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import urllib3

from infra import bundle
from infra.local.state import find
from shared import documents, paths
from shared.ports import Bucket
from tests.support.gunicorn import Predicting, predicting
from tests.support.local import started
from tests.support.predictor import RECORD
from tests.unit.serving.models import binary_package, serve, store

pytestmark = pytest.mark.stack

PATIENCE_SECONDS = 60.0
PATH = "/models/adult/predict"


def versions(instances: list[Predicting]) -> set[str]:
    return {str(one.ask(PATH, RECORD)[1]["model_version"]) for one in instances}


def until_all_answer(version: str, instances: list[Predicting]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while versions(instances) != {version}:
        assert time.monotonic() < end, versions(instances)
        time.sleep(0.2)


def said(state: Path, word: str) -> list[str]:
    """Messages of the local Slack with that word, once there is one and a moment has passed."""
    found = find(state)
    assert found is not None
    end, texts = time.monotonic() + PATIENCE_SECONDS, list[str]()
    while not texts:
        assert time.monotonic() < end, word
        time.sleep(0.5)
        messages = urllib3.request("GET", f"{found.urls['slack']}/messages").json()
        texts = [item["message"]["text"] for item in messages if word in item["message"]["text"]]
    return texts


def damage(lake: Bucket, version: str) -> None:
    """One byte is another one."""
    name = paths.package("adult", version, "package.json")
    data = lake.read(name).data
    lake.write(name, data[:-2] + b" \n")


def promote(lake: Bucket, version: str, hashes: dict[str, str], revision: int) -> None:
    body = documents.require(lake, paths.manifest("adult"))
    champion = {
        **body["champion"],
        "version": version,
        "package": paths.package("adult", version),
        "files": hashes,
    }
    changed = {**body, "champion": champion, "revision": revision}
    lake.write(paths.manifest("adult"), documents.dumps(changed))


def test_a_corrupted_package_is_one_message_and_no_failed_request(tmp_path: Path) -> None:
    """Three instances keep answering with the version that they have, people read it once, and once
    that it is over."""
    state = tmp_path / "state"
    with started(state) as wiring, ExitStack() as stack:
        serve(binary_package(), wiring.lake, log="sync")
        running = find(state)
        assert running is not None
        folder = bundle.build("predict", "functions", tmp_path / "bundles")
        instances = [
            stack.enter_context(predicting(folder, running.env, tmp_path / f"log-{number}"))
            for number in range(3)
        ]
        until_all_answer("v1", instances)
        hashes = store(binary_package("v2"), wiring.lake)
        damage(wiring.lake, "v2")
        promote(wiring.lake, "v2", hashes, revision=2)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert versions(instances) == {"v1"}
            time.sleep(0.2)
        (text,) = said(state, "does not load")
        assert "v2 (revision 2)" in text
        assert "v1 answers instead" in text
        serve(binary_package("v3"), wiring.lake, log="sync", revision=3)
        until_all_answer("v3", instances)
        assert len(said(state, "is loaded")) == 1
        assert len(said(state, "does not load:")) == 1
