"""The rollout as the build starts it: through `gcloud`, with a predictor that answers over HTTP."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.bundle import REPOSITORY
from infra.local.web import HttpServer, Request, Response
from infra.rollout.checks import FEWEST_REQUESTS, Counts, verdict
from infra.rollout.lease import ObjectLease, Taken
from infra.rollout.traffic import Gcloud, GcloudFailed, parsed
from tests.support import fake_gcloud


class Site:
    """A predictor under its tags (`/candidate/models`), and Cloud Monitoring beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: Callable[[str], bool] = lambda _: False
        self.models = {"stable": ["adult"], "candidate": ["adult"]}
        self.requests: list[tuple[str, str, str]] = []
        self.errors_5xx = 0
        self.server = HttpServer(self.answer)

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls.log").read_text().splitlines()]

    def answer(self, request: Request) -> Response:
        request.read()
        tag, _, path = request.path.lstrip("/").partition("/")
        self.requests.append((tag, path, request.headers["Authorization"]))
        if tag == "v3":
            return said(self.series(request))
        if self.broken(f"{tag} {path}"):
            return Response(500, b"it broke")
        example = {"path": "/models/adult/predict", "body": {"instances": [{}]}}
        bodies: dict[str, Any] = {
            "v2/health/live": {"live": True},
            "models": {"models": self.models[tag]},
            "models/adult": {"example": example},
            "models/adult/predict": {"predictions": [{"score": 0.5}]},
        }
        return said(bodies[path])

    def series(self, request: Request) -> dict[str, Any]:
        """Of the revision that the filter names: a thousand requests, some of them failed."""
        asked = str(request.query)
        if "request_latencies" in asked:
            points = [{"value": {"doubleValue": 12.5}}]
            return {"timeSeries": [{"metric": {"labels": {}}, "points": points}]}
        failed = self.errors_5xx if "two" in asked else 0
        counts = {"2xx": 1000 - failed, "5xx": failed}
        return {
            "timeSeries": [
                {
                    "metric": {"labels": {"response_code_class": kind}},
                    "points": [{"value": {"int64Value": str(count)}}],
                }
                for kind, count in counts.items()
            ]
        }


def said(body: Any) -> Response:
    return Response(200, json.dumps(body).encode())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    fake_gcloud.install(tmp_path)
    site = Site(tmp_path)
    state = {"url": site.server.url, "shares": {"one": 100}, "tags": {"stable": "one"}}
    fake_gcloud.save(tmp_path, {**state, "revisions": ["one", "two"]})
    yield site
    site.server.close()


def rollout(site: Site, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    place = ("--project=p", "--region=r", f"--monitoring={site.server.url}")
    return subprocess.run(
        [sys.executable, "-m", "infra.rollout", *words, *place, "--watch-seconds=0"],
        cwd=REPOSITORY,
        env={"PATH": f"{site.folder}:{os.environ['PATH']}", "BUILD_ID": "b1", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def moved(site: Site) -> list[list[str]]:
    """The shares and tags of each change of traffic."""
    changes = [call for call in site.calls if "update-traffic" in call]
    return [[word for word in call if word.startswith(("--to", "--set"))] for call in changes]


def test_a_good_revision_gets_all_traffic(site: Site) -> None:
    """Asked under its tag with a token for the service, judged by the counts of its share."""
    result = rollout(site, "roll", "--steps=5,100", "--as=sa@p.iam")
    assert (result.returncode, result.stderr) == (0, "")
    assert moved(site) == [
        ["--to-revisions=one=100", "--set-tags=stable=one,candidate=two"],
        ["--to-revisions=two=5,one=95", "--set-tags=stable=one,candidate=two"],
        ["--to-revisions=two=100", "--set-tags=stable=one,candidate=two"],
        ["--to-revisions=two=100", "--set-tags=stable=two,previous=one"],
    ]
    asked = {tag: token for tag, _, token in site.requests}
    assert asked["candidate"] == f"Bearer print-identity-token {site.server.url}"
    assert asked["v3"] == "Bearer print-access-token"
    assert ("candidate", "models/adult/predict", asked["candidate"]) in site.requests
    assert "0 of 1000 failed, 99 % within 12 ms" in result.stdout
    assert fake_gcloud.state(site.folder)["generation"] == 0, "the lease was let go"
    assert "print-" not in result.stdout, "no token is shown"


@pytest.mark.parametrize("person", [False, True])
def test_whoever_is_logged_in_asks(site: Site, person: bool) -> None:
    """A service account for the service, a person with the token that gcloud has for them."""
    fake_gcloud.save(site.folder, {**fake_gcloud.state(site.folder), "person": person})
    assert rollout(site, "roll", "--steps=100").returncode == 0
    asked = {token for tag, _, token in site.requests if tag == "candidate"}
    audience = "" if person else site.server.url
    assert asked == {f"Bearer print-identity-token {audience}".strip()}


def test_a_revision_that_breaks_gets_none(site: Site) -> None:
    """The smoke test of its tag comes before any traffic."""
    site.broken = lambda asked: asked == "candidate models/adult/predict"
    result = rollout(site, "roll")
    assert result.returncode == 1
    assert "one has all traffic again" in result.stderr
    assert "it broke" in result.stderr
    assert moved(site)[-1] == ["--to-revisions=one=100", "--set-tags=stable=one"]
    assert not [change for change in moved(site) if "two=5" in change[0]]


def test_errors_that_people_got_lead_back(site: Site) -> None:
    """What the smoke test does not see, the counts do."""
    site.errors_5xx = 30
    result = rollout(site, "roll")
    assert result.returncode == 1
    assert "30 of 1000 requests failed" in result.stderr
    assert moved(site)[-2:] == [
        ["--to-revisions=two=5,one=95", "--set-tags=stable=one,candidate=two"],
        ["--to-revisions=one=100", "--set-tags=stable=one"],
    ]


def test_a_revision_that_lost_a_model_gets_none(site: Site) -> None:
    site.models["candidate"] = []
    result = rollout(site, "roll")
    assert result.returncode == 1
    assert "does not serve adult" in result.stderr


def test_gcloud_that_refuses_is_shown(site: Site) -> None:
    """With its own words, and another exit code than a rollout that went back."""
    result = rollout(site, "roll", GCLOUD_REFUSES="run services")
    assert result.returncode == 2
    assert "does not have permission" in result.stderr


@pytest.mark.parametrize("command", ["roll", "show"])
def test_without_a_login_it_says_what_it_wanted_and_what_to_do(site: Site, command: str) -> None:
    """No traceback, and no bare command of gcloud."""
    (site.folder / "gcloud").write_text(
        "#!/bin/sh\necho 'ERROR: You do not currently have an active account selected.' >&2\n"
        "exit 1\n"
    )
    result = rollout(site, command)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    assert f"`{command}` (" in result.stderr
    assert "of predict, project p, r did not work" in result.stderr
    assert ("to have the lease" if command == "roll" else "to read the traffic") in result.stderr
    assert "What to do: gcloud auth login" in result.stderr


def test_help_explains_every_command_and_exit_code(site: Site) -> None:
    told = rollout(site, "--help").stdout
    for words in (
        "hold  the revision",
        "roll  the newest",
        "back  from",
        "show  print",
        "3  another",
    ):
        assert words in told


def test_a_second_rollout_is_told_who_is_at_work(site: Site) -> None:
    found = fake_gcloud.state(site.folder)
    lease = json.dumps({"owner": "b0", "until": 9e9})
    fake_gcloud.save(site.folder, {**found, "generation": 7, "lease": lease})
    for command in ("roll", "hold", "back"):
        result = rollout(site, command)
        assert result.returncode == 3
        assert "b0 is moving this service's traffic" in result.stderr
    assert moved(site) == []


def test_steps_rise_to_all(site: Site) -> None:
    for steps in ("5,50", "50,5,100", "0,100", "5,5,100"):
        assert rollout(site, "roll", f"--steps={steps}").returncode == 2


# --- the lease -----------------------------------------------------------------------------------


def lease(site: Site, owner: str, at: float = 1000.0) -> ObjectLease:
    program = (str(site.folder / "gcloud"),)
    return ObjectLease("gs://b/lease", owner, 600.0, program, now=lambda: at)


def test_a_lease_is_one_owners(site: Site) -> None:
    """Until it is let go, or has run out; then who had it can renew it no more."""
    first, second = lease(site, "first"), lease(site, "second")
    first.take()
    first.renew()
    with pytest.raises(Taken, match="first"):
        second.take()
    late = lease(site, "late", at=1601.0)
    late.take()
    with pytest.raises(Taken, match="late"):
        first.renew()
    late.release()
    second.take()


def test_the_same_build_takes_its_lease_again(site: Site) -> None:
    lease(site, "same").take()
    lease(site, "same").take()


def test_a_bucket_that_refuses_is_no_free_lease(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCLOUD_REFUSES", "storage cp")
    with pytest.raises(GcloudFailed, match="permission"):
        lease(site, "first").take()


# --- what gcloud says ----------------------------------------------------------------------------


def test_traffic_of_a_service_that_follows_its_latest_revision() -> None:
    """As Cloud Run prints it after a first deployment: no tag, and the latest revision named."""
    entry = {"latestRevision": True, "percent": 100, "revisionName": "predict-00001-abc"}
    status = {
        "url": "https://x",
        "traffic": [entry],
        "latestReadyRevisionName": entry["revisionName"],
    }
    found = parsed({"status": {**status, "latestCreatedRevisionName": "predict-00002-def"}})
    assert found.follows_latest
    assert found.shares == {"predict-00001-abc": 100}
    assert found.latest_created != found.latest_ready


def test_few_requests_are_no_verdict() -> None:
    assert verdict(Counts(FEWEST_REQUESTS - 1, 40, 9000), Counts(1000, 0, 10)) == ""
    assert "failed" in verdict(Counts(1000, 20, 10), Counts(1000, 0, 10))
    assert verdict(Counts(1000, 20, 10), Counts(1000, 15, 10)) == "", "the old one is as bad"
    assert "ms" in verdict(Counts(1000, 0, 900), Counts(1000, 0, 100))
    assert verdict(Counts(1000, 0, 900), Counts(1000, 0, 800)) == ""


@pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed here")
def test_gcloud_knows_every_command(site: Site, tmp_path: Path) -> None:
    """The real one parses what the rollout says: commands, flags, combinations."""
    assert rollout(site, "roll", "--steps=100", "--as=sa@p.iam").returncode == 0
    lines = sorted({" ".join(["gcloud", *call]) for call in site.calls})
    file = tmp_path / "commands.json"
    wrong = "gcloud run services update-traffic x --to-moon"
    file.write_text(json.dumps([{"command_string": line} for line in [*lines, wrong]]))
    env = {**os.environ, "CLOUDSDK_CONFIG": str(tmp_path), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
    lint = ["gcloud", "meta", "lint-gcloud-commands", f"--commands-file={file}"]
    done = subprocess.run(lint, env=env, capture_output=True, text=True, timeout=120, check=True)
    verdicts = {one["command_string"]: one["success"] for one in json.loads(done.stdout)}
    assert [line for line, fine in verdicts.items() if not fine] == [wrong]
    assert len(verdicts) == len(lines) + 1


def test_a_service_that_is_not_there_is_none(site: Site) -> None:
    fake_gcloud.save(site.folder, {**fake_gcloud.state(site.folder), "revisions": []})
    assert Gcloud("predict", "p", "r", (str(site.folder / "gcloud"),)).read() is None
    assert rollout(site, "hold").returncode == 0
