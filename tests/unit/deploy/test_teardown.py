"""Taking an installation down: what goes in which order, what stays, and interruptions."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from infra.deploy import stages, teardown
from infra.deploy.every import ALL
from infra.deploy.teardown import LAKE
from infra.deploy.tools import StepFailed
from infra.deploy.trial import Trial
from shared.cli import installations
from shared.cli.main import cli
from tests.support.fake_cloud import FakeCloud
from tests.unit.deploy.conftest import Site

MADE = tuple(stage for stage in ALL if not isinstance(stage, Trial))


@pytest.fixture
def standing(site: Site) -> Site:
    """An installation that was deployed from here."""
    deployment = site.deployment()
    deployment.remember()
    stages.apply(MADE, deployment)
    site.cloud.forget_calls()
    return site


def verbs(cloud: FakeCloud) -> list[str]:
    """What terraform did, by root."""
    found = []
    for call in cloud.changes():
        _, place, *words = call.split()
        root = place.rpartition("/")[2]
        found.append(f"{root} {' '.join(words[:2] if words[0] == 'state' else words[:1])}")
    return found


def test_the_lake_stays_and_the_rest_goes_in_reverse(standing: Site) -> None:
    """Protection off, the lake out of the state, the installation, then what it stood on."""
    stages.apply(teardown.stages(with_data=False), standing.deployment())
    assert verbs(standing.cloud) == [
        "terraform apply",
        "terraform state rm",
        "terraform destroy",
        "foundation apply",
        "foundation destroy",
    ]
    forgotten = next(call for call in standing.cloud.calls if " state rm " in call)
    assert forgotten.endswith(LAKE)
    destroyed = [call for call in standing.cloud.calls if " destroy " in call]
    assert all("-var=deletion_protection=false" in call for call in destroyed)
    assert installations.find("acme") is None


def test_with_its_data_the_lake_goes_too(standing: Site) -> None:
    """Nothing is taken out of the state before."""
    stages.apply(teardown.stages(with_data=True), standing.deployment())
    assert "terraform state rm" not in verbs(standing.cloud)
    assert verbs(standing.cloud)[1] == "terraform destroy"


@pytest.mark.parametrize("pattern", ["state rm", "terraform destroy", "foundation destroy"])
def test_interrupted_it_goes_on_and_makes_nothing_again(standing: Site, pattern: str) -> None:
    """Once protection is off, no plan is made any more: it would make what is deleted already."""
    standing.cloud.fail(pattern)
    chosen = teardown.stages(with_data=False)
    again = "./millrace teardown acme --apply"
    with pytest.raises(StepFailed, match="go on with: " + again):
        stages.apply(chosen, standing.deployment(), again)
    standing.cloud.forget_calls()
    stages.apply(chosen, standing.deployment(), again)
    assert "terraform apply" not in verbs(standing.cloud)
    assert verbs(standing.cloud)[-1] == "foundation destroy"
    assert installations.find("acme") is None


def test_what_was_taken_down_can_be_made_again(standing: Site) -> None:
    """With the lake that stayed; and taken down once more."""
    stages.apply(teardown.stages(with_data=False), standing.deployment())
    buckets = {**standing.cloud.world["buckets"], "acme-data-millrace-lake": {}}
    standing.cloud.be(buckets=buckets)
    stages.apply(MADE, standing.deployment())
    assert any(" import " in call for call in standing.cloud.calls)
    standing.cloud.forget_calls()
    stages.apply(teardown.stages(with_data=False), standing.deployment())
    assert verbs(standing.cloud)[0] == "terraform apply"


@pytest.mark.parametrize(
    ("account", "told"),
    [
        ("", "Not looked up: gs://acme-data-millrace-state"),
        ("ada@example.com", "Not deployed, as far as is known"),
    ],
)
def test_what_was_never_deployed_is_no_fact(
    site: Site, monkeypatch: pytest.MonkeyPatch, account: str, told: str
) -> None:
    """The plan says what it does not know."""
    monkeypatch.setenv("PATH", str(site.cloud.bin))
    site.cloud.be(account=account)
    words = ["teardown", "acme", "--project", "acme-data", "--region", "europe-west1"]
    result = CliRunner().invoke(cli, [*words, "--environment", "dev"])
    assert result.exit_code == 0, result.output
    assert told in result.stdout
    assert "--apply --project acme-data --region europe-west1 --environment dev" in result.stderr
    stages_told = [line for line in result.stdout.splitlines() if line.startswith("[")]
    assert all(line.endswith(": not looked up") for line in stages_told)


def test_a_state_that_cannot_be_read_deletes_no_lake(standing: Site) -> None:
    """Whether the lake is in it is not known, so nothing is destroyed."""
    chosen = teardown.stages(with_data=False)
    stages.apply(chosen[:1], standing.deployment())
    standing.cloud.forget_calls()
    standing.cloud.fail("state list")
    with pytest.raises(StepFailed, match="state list: ERROR: told to fail"):
        stages.apply(chosen, standing.deployment())
    assert verbs(standing.cloud) == []


def test_from_another_checkout_it_is_not_guessed(site: Site) -> None:
    """Without the settings and images of what is deployed, nothing is deleted."""
    with pytest.raises(StepFailed, match="another than the one that was deployed"):
        stages.apply(teardown.stages(with_data=False), site.deployment())
    assert site.cloud.changes() == []


def test_the_command_shows_a_plan_and_asks_for_the_project(
    standing: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing happens without --apply, nor with another project's id."""
    monkeypatch.setenv("PATH", str(standing.cloud.bin))
    result = CliRunner().invoke(cli, ["teardown", "acme"])
    assert result.exit_code == 0, result.output
    assert "kept: gs://acme-data-millrace-lake" in result.stdout
    assert "gcloud storage rm --recursive gs://acme-data-millrace-state" in result.stdout
    rows = json.loads(CliRunner().invoke(cli, ["teardown", "acme", "--json"]).stdout)
    assert rows[0]["stage"] == "protection"
    assert "not looked up" not in result.stdout.lower()
    words = ["teardown", "acme", "--apply", "--dry-run", "--confirm-project", "acme-data"]
    assert CliRunner().invoke(cli, words).exit_code == 0
    for words in ([], ["--confirm-project", "other"]):
        result = CliRunner().invoke(cli, ["teardown", "acme", "--apply", *words])
        assert result.exit_code == 1
        assert "acme-data" in result.output
    assert standing.cloud.changes() == []
    words = ["teardown", "acme", "--apply", "--confirm-project", "acme-data"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert installations.find("acme") is None
