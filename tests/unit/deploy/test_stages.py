"""A deployment from nothing, again, and after a failure anywhere: with programs that remember."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra.deploy import stages
from infra.deploy.deployment import BadDeployment, Deployment
from infra.deploy.every import ALL
from infra.deploy.ground import place
from infra.deploy.images import NOT_YET, build_config, wanted
from infra.deploy.installation import bundle_paths, settings
from infra.deploy.tools import StepFailed
from infra.images.dockerfile import Ignored
from shared.cli import installations
from shared.cli.main import cli
from tests.support.fake_cloud import DIGEST, FakeCloud
from tests.unit.deploy.conftest import AFTER_APPLY, OUTPUT, PLACE, Site

KEYS = ["doctor", "ground", "foundation", "region", "bundles", "images", "installation"]
KEYS += ["mlflow", "context", "trial", "traffic"]


def short(calls: list[str]) -> list[str]:
    """What was changed, in two or three words."""
    return [" ".join(call.replace("-chdir=infra/", "").split()[:4]) for call in calls]


# --- the plan ------------------------------------------------------------------------------------


def test_a_plan_shows_every_stage_and_changes_nothing(site: Site) -> None:
    """With the exact commands; nothing is written either, not even locally."""
    planned = stages.plan(ALL, site.deployment())
    assert [item.key for item in planned] == KEYS
    assert planned[0].look.state == "done"
    ground = planned[1].look.commands
    assert ground[1].startswith("gcloud storage buckets create gs://acme-data-millrace-state ")
    assert any(
        "terraform -chdir=infra/terraform apply" in line for line in planned[6].look.commands
    )
    assert site.cloud.changes() == []
    assert not (site.home / "deploy").exists()


def test_production_gets_new_revisions_step_by_step(site: Site) -> None:
    """Elsewhere at once, after a smoke test."""
    careful, quick = (
        stages.plan(ALL, site.deployment(environment=name))[-1].look.commands[0]
        for name in ("prod", "dev")
    )
    assert careful.endswith("roll --project=acme-data --region=europe-west1")
    assert "--steps=100 --watch-seconds=0" in quick


def test_two_at_once_do_not_get_into_each_others_way(site: Site) -> None:
    """The second one says so and changes nothing."""
    deployment = site.deployment()
    with (
        stages.held(deployment.folder),
        pytest.raises(StepFailed, match="deployed from here already"),
    ):
        stages.apply(ALL, deployment)
    assert site.cloud.calls == []


def test_without_a_login_a_plan_still_shows_every_stage(site: Site) -> None:
    """It says what it could not look up, and how to log in."""
    site.cloud.be(account="", adc=False)
    planned = stages.plan(ALL, site.deployment())
    assert [item.key for item in planned] == KEYS
    assert {item.key for item in planned if item.look.state == "unknown"} == {
        *("ground", "region", "images")
    }
    assert "gcloud auth login" in "\n".join(planned[0].look.notes)
    assert planned[5].look.commands


def test_without_tools_a_plan_still_shows_every_stage(site: Site) -> None:
    """Neither gcloud nor terraform: where to get them, and the commands that would run."""
    for tool in ("gcloud", "terraform"):
        (site.cloud.bin / tool).unlink()
    planned = stages.plan(ALL, site.deployment())
    assert "not installed" in "\n".join(planned[0].look.notes)
    assert all(planned[index].look.commands for index in (1, 2, 5, 6))


# --- applying ------------------------------------------------------------------------------------


def test_a_first_installation_goes_in_order(site: Site) -> None:
    """State bucket, foundation, images, the rest; in the end the command line knows it."""
    progress = stages.apply(ALL, site.deployment())
    assert short(site.cloud.changes()) == [
        "gcloud services enable cloudresourcemanager.googleapis.com",
        "gcloud storage buckets create",
        "gcloud storage buckets update",
        "terraform terraform/foundation apply -input=false",
        "gcloud builds submit " + str(site.home / "deploy/acme/context"),
        "python -m infra.rollout hold",
        "terraform terraform apply -input=false",
        "python -m infra.rollout roll",
    ]
    # In order; built by whichever test was first; off.
    there = ("region", "bundles", "mlflow")
    assert [key for key in progress.done if key not in there] == [
        key for key in KEYS[1:] if key not in there
    ]
    known = installations.find("acme")
    assert known is not None
    assert known.promote_url == OUTPUT["promote_url"]


def test_what_terraform_is_told(site: Site) -> None:
    """Every bundle by its hash, with a path that is the same wherever it is deployed from; every
    image by digest; and where secrets have a version, which one."""
    site.cloud.be(secrets={"millrace-slack-webhook-url": 3})
    deployment = site.deployment()
    stages.apply(ALL, deployment)
    body = json.loads((deployment.folder / "installation.tfvars.json").read_text())
    topology = deployment.topology
    assert set(body["bundles"]) == set(topology.functions)
    for name, bundle in body["bundles"].items():
        file = deployment.root / bundle["path"]
        assert file.resolve().name == f"{name}-{bundle['hash']}.zip"
        assert file.is_file()
        assert not bundle["path"].startswith("/")
    registry = "europe-west1-docker.pkg.dev/acme-data/millrace"
    assert body["images"] == {
        name: f"{registry}/{name}@{DIGEST}" for name in ("predict", "train", "score", "label")
    }
    assert body["secret_versions"] == {"slack-webhook-url": "3"}
    assert (body["project"], body["environment"]) == ("acme-data", "dev")
    assert body["context"] == "acme"
    own = site.home / "own.tfvars"
    own.write_text('secret_versions = { slack-webhook-url = "2" }\n')
    assert "secret_versions" not in settings(site.deployment(var_files=(own,)))


@pytest.mark.parametrize("said", ["not currently have an active account", "PERMISSION_DENIED", ""])
def test_a_failed_look_up_of_secrets_switches_nothing_off(site: Site, said: str) -> None:
    """A deployment without their versions would take Slack and mail away, so there is none."""
    site.cloud.be(secrets={"millrace-slack-webhook-url": 3})
    stages.apply(ALL, site.deployment())
    settings_of = site.home / "deploy" / "acme" / "installation.tfvars.json"
    before = settings_of.read_text()
    site.cloud.forget_calls()
    site.cloud.fail("secrets versions list", said=f"ERROR: {said}")
    with pytest.raises(StepFailed, match="millrace-slack-webhook-url has a value was not looked"):
        stages.apply(ALL, site.deployment())
    assert settings_of.read_text() == before
    assert not any("infra/terraform apply" in call for call in site.cloud.calls)


def test_a_plan_that_cannot_be_read_is_not_applied(site: Site) -> None:
    """It might delete a bucket."""
    site.cloud.be(deletes=['google_storage_bucket.bucket["lake"]'])
    site.cloud.fail("show -json")
    with pytest.raises(StepFailed, match="deletes what is precious was not read"):
        stages.apply(ALL, site.deployment())
    assert not any(" apply " in call for call in site.cloud.calls)


def test_a_failed_look_up_of_an_image_builds_and_deploys_nothing(site: Site) -> None:
    """What is there is not built twice, and no digest of zeros is deployed."""
    stages.apply(ALL, site.deployment())
    site.cloud.forget_calls()
    for _ in range(5):  # the look, and then the stage itself
        site.cloud.fail("docker images describe", said="ERROR: Failed to resolve")
    with pytest.raises(StepFailed, match="has an image was not looked up"):
        stages.apply(ALL, site.deployment())
    assert not any("builds submit" in call for call in site.cloud.calls)
    site.cloud.be(fail=[])
    site.cloud.fail("docker images describe")
    with pytest.raises(StepFailed, match="has an image was not looked up"):
        settings_versions(site)


def test_a_secret_that_is_not_made_yet_has_no_version(site: Site) -> None:
    """Before the first apply there is none; that is no failed look-up."""
    site.cloud.fail("secrets versions list", said="ERROR: NOT_FOUND: Secret not found.")
    assert settings_versions(site) == {}


def settings_versions(site: Site) -> object:
    deployment = site.deployment()
    place(deployment)
    return settings(deployment)["secret_versions"]


def test_the_second_time_nothing_is_built(site: Site) -> None:
    """What is there stays; terraform looks, and applies nothing when nothing changes."""
    stages.apply(ALL, site.deployment())
    site.cloud.forget_calls()
    site.cloud.be(changes=False)
    progress = stages.apply(ALL, site.deployment())
    assert short(site.cloud.changes()) == ["python -m infra.rollout roll"]
    assert progress.there == ["doctor", "ground", "region", "bundles", "images", "mlflow"]


@pytest.mark.parametrize(
    ("pattern", "stage"),
    [
        ("services enable", "ground"),
        ("buckets create", "ground"),
        ("buckets update", "ground"),
        ("foundation init", "foundation"),
        ("foundation plan", "foundation"),
        ("foundation apply", "foundation"),
        ("builds submit", "images"),
        (r"terraform \S+terraform init", "installation"),
        (r"terraform \S+terraform plan", "installation"),
        (r"terraform \S+terraform apply", "installation"),
        ("rollout hold", "installation"),
        ("output -json", "context"),
        ("rollout roll", "traffic"),
    ],
)
def test_after_a_failure_the_same_call_goes_on(site: Site, pattern: str, stage: str) -> None:
    """It names the stage, the command and how to go on; nothing that was done is done again."""
    site.cloud.fail(pattern)
    with pytest.raises(StepFailed) as failed:
        stages.apply(ALL, site.deployment())
    told = str(failed.value)
    assert f"stage {stage} failed" in told
    assert "told to fail" in told
    assert "./millrace deploy acme --apply" in told
    site.cloud.be(changes=False)
    stages.apply(ALL, site.deployment())
    for once in ("buckets create", "builds submit"):
        tried = sum(once in call for call in site.cloud.changes())
        assert tried == (2 if pattern == once else 1)
    assert installations.find("acme") is not None


def test_a_build_that_still_runs_is_waited_for(site: Site) -> None:
    """An interrupted call left a build behind: it is followed, not submitted twice."""
    site.cloud.be(build_status="WORKING")
    site.cloud.fail("builds describe")
    site.cloud.fail("builds describe")
    site.cloud.fail("builds describe")
    with pytest.raises(StepFailed):
        stages.apply(ALL, site.deployment())
    deployment = site.deployment()
    config = json.loads((deployment.folder / "cloudbuild.json").read_text())
    site.cloud.be(builds={"build-1": "WORKING"}, build_status="SUCCESS")
    site.cloud.forget_calls()
    told = site.told

    def finish(line: str) -> None:
        told.append(line)
        if "build-1: working" in line:
            site.cloud.be(builds={"build-1": "SUCCESS"}, images=config["images"])

    deployment.tools.tell = finish
    stages.apply(ALL, deployment)
    assert not any("builds submit" in call for call in site.cloud.calls)
    assert "build build-1 of an earlier call goes on" in site.text


def test_a_failed_build_shows_its_log_and_is_submitted_again(site: Site) -> None:
    """The last lines, oldest first; the next call builds anew."""
    site.cloud.be(build_status="FAILURE")
    with pytest.raises(StepFailed, match=r"(?s)build-1 ended with FAILURE.*first.*second.*third"):
        stages.apply(ALL, site.deployment())
    site.cloud.be(build_status="SUCCESS")
    stages.apply(ALL, site.deployment())
    assert sum("builds submit" in call for call in site.cloud.calls) == 2


def test_what_is_missing_stops_before_anything_is_changed(site: Site) -> None:
    """The doctor's findings, with the command for each."""
    site.cloud.be(billing=False)
    with pytest.raises(StepFailed, match="missing: billing"):
        stages.apply(ALL, site.deployment())
    assert "gcloud billing projects link acme-data" in site.text
    assert site.cloud.changes() == []


def test_a_region_that_lacks_something_stops_before_anything_is_built(site: Site) -> None:
    """In a new project that shows only once the APIs are on."""
    site.cloud.be(apis=[], regions=["europe-north1"])
    with pytest.raises(StepFailed, match="not in europe-west1; near: europe-north1"):
        stages.apply(ALL, site.deployment())
    assert not any("builds submit" in call for call in site.cloud.calls)


def test_a_plan_that_deletes_a_bucket_is_not_applied(site: Site) -> None:
    """Unless that is said in so many words."""
    site.cloud.be(deletes=['google_storage_bucket.bucket["lake"]', "google_pubsub_subscription.s"])
    with pytest.raises(StepFailed, match=r"lake.*--allow-destroy") as failed:
        stages.apply(ALL, site.deployment())
    assert "google_pubsub_subscription" not in str(failed.value)
    assert not any(" apply " in call for call in site.cloud.changes() if "foundation" not in call)
    stages.apply(ALL, site.deployment(allow_destroy=True))
    assert installations.find("acme") is not None


def test_a_plan_that_nobody_agrees_to_is_not_applied(site: Site) -> None:
    """Production shows it to whoever is there; what was made before stays."""
    with pytest.raises(StepFailed, match="not agreed to"):
        stages.apply(ALL, site.deployment(agree=lambda what: False))
    assert short(site.cloud.changes())[-1].startswith("gcloud builds submit")


def test_what_terraform_would_change_can_be_read(path: FakeCloud) -> None:
    """It locks nothing and applies nothing."""
    result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", "--diff"])
    assert result.exit_code == 0, result.output
    plans = [call for call in path.calls if " plan " in call]
    assert len(plans) == 2
    assert all("-lock=false" in call and "-out" not in call for call in plans)
    assert path.changes() == []


def test_a_lake_that_was_kept_is_taken_over(site: Site) -> None:
    """`teardown` leaves it; the next installation imports it instead of failing on its name."""
    site.cloud.be(buckets={"acme-data-millrace-lake": {"versioning_enabled": False}})
    stages.apply(ALL, site.deployment())
    imports = [call for call in site.cloud.changes() if " import " in call]
    assert [call.split()[-2:] for call in imports] == [
        ['google_storage_bucket.bucket["lake"]', "acme-data-millrace-lake"]
    ]


def test_mlflows_tables_are_made_after_its_server(site: Site) -> None:
    """By the commands that Terraform names, in their order, before the doctor looks."""
    stages.apply(ALL, site.deployment(mlflow="server"))
    assert site.cloud.changes()[-3:-1] == AFTER_APPLY
    site.cloud.fail("jobs execute")
    with pytest.raises(StepFailed, match=r"stage mlflow failed[^$]*restore the backup"):
        stages.apply(ALL, site.deployment(mlflow="server"))


# --- images --------------------------------------------------------------------------------------


def test_an_images_tag_is_its_content(site: Site, tmp_path: Path) -> None:
    """What is built is what the tag was made of: MLflow's has nothing of ours but its door."""
    deployment = site.deployment(mlflow="server")
    tags = {image.name: image.tag for image in wanted(deployment)}
    assert set(tags) == {"predict", "train", "score", "label", "mlflow"}
    assert len(set(tags.values())) == 5
    zips = bundle_paths(deployment)
    assert set(zips) == set(deployment.topology.functions)


def test_the_build_gets_what_an_image_may_hold(site: Site) -> None:
    """The context that is sent is what .dockerignore lets through, and the Dockerfile."""
    deployment = site.deployment()
    stages.apply(ALL, deployment)
    sent = deployment.folder / "context"
    ignored = Ignored((deployment.repository / ".dockerignore").read_text())
    names = {file.relative_to(sent).as_posix() for file in sent.rglob("*") if file.is_file()}
    assert {"infra/images/Dockerfile", ".dockerignore", "jobs/train/main.py"} <= names
    assert {name for name in names if name in ignored} <= {
        "infra/images/Dockerfile",
        ".dockerignore",
    }


def test_images_are_built_as_the_dockerfile_wants_them(site: Site) -> None:
    """By the build account, side by side, logged where that account may log."""
    deployment = site.deployment(mlflow="server")
    config = build_config(wanted(deployment), deployment)
    doors = {step["id"]: step["args"] for step in config["steps"]}
    assert "DOOR=infra/images/mlflow" in doors["mlflow"]
    assert doors["train"][doors["train"].index("--target") + 1] == "job"
    assert all(step["waitFor"] == ["-"] for step in config["steps"])
    assert config["serviceAccount"].endswith("/mr-build@acme-data.iam.gserviceaccount.com")
    assert config["options"]["logging"] == "CLOUD_LOGGING_ONLY"


# --- the command line ----------------------------------------------------------------------------


def test_deploy_plans_unless_told_to_apply(path: FakeCloud) -> None:
    """And says how; the second time the name is enough."""
    result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev"])
    assert result.exit_code == 0, result.output
    assert "./millrace deploy acme --project acme-data" in result.stderr
    assert path.changes() == []
    rows = json.loads(CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", "--json"]).stdout)
    assert [row["stage"] for row in rows] == KEYS
    assert CliRunner().invoke(cli, ["deploy", "acme", "--apply"]).exit_code == 2
    result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", "--apply"])
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(cli, ["deploy", "acme", "--apply"]).exit_code == 0
    moved = CliRunner().invoke(cli, ["deploy", "acme", "--region", "europe-north1", "--apply"])
    assert "another place is another installation" in moved.output


def test_production_asks_for_the_installations_name(path: FakeCloud) -> None:
    """A script says it with --confirm; nothing is changed without."""
    words = ["deploy", "acme", *PLACE, "prod", "--apply"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "--confirm acme" in result.output
    assert path.changes() == []
    assert CliRunner().invoke(cli, ["--confirm", "acme", *words]).exit_code == 0


def test_a_secret_goes_through_stdin(path: FakeCloud, site: Site) -> None:
    """Into no argument, no file and nothing that is shown; the next deploy hands it out."""
    CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", "--apply"])
    value = "https://hooks.slack.example/very-secret"
    words = ["--context", "acme", "secret", "set", "slack-webhook-url"]
    assert CliRunner().invoke(cli, [*words, "--dry-run"], input=value).exit_code == 0
    assert path.world["secrets"] == {}
    result = CliRunner().invoke(cli, words, input=value + "\n")
    assert result.exit_code == 0, result.output
    assert path.world["secrets"] == {"millrace-slack-webhook-url": 1}
    assert "deploy acme --apply" in result.output
    assert CliRunner().invoke(cli, ["deploy", "acme", "--apply"]).exit_code == 0
    everything = "\n".join(path.calls) + result.output
    everything += "\n".join(
        file.read_text(errors="replace")
        for file in (site.home / "deploy").rglob("*")
        if file.is_file() and file.suffix != ".zip"
    )
    assert value not in everything
    assert "version 1" in CliRunner().invoke(cli, [*words[:3], "list"]).output
    path.be(account="")
    lost = CliRunner().invoke(cli, [*words[:3], "list"])
    assert (lost.exit_code, lost.stdout.count("not looked up")) == (1, 2)
    assert "no value" not in lost.output
    assert "gcloud auth login" in lost.stderr
    path.be(account="ada@example.com")
    announced = "context acme (dev, project acme-data, bucket acme-data-millrace-inbox): set"
    assert announced in result.stderr
    assert "no part asks for" in CliRunner().invoke(cli, [*words[:4], "nothing"]).output


@pytest.mark.parametrize("changed", [{"project": "NO"}, {"region": "europe"}])
def test_a_place_that_is_none_is_refused(site: Site, changed: dict[str, str]) -> None:
    """Before any program is called."""
    with pytest.raises(BadDeployment):
        site.deployment(**changed)


def test_a_plan_may_be_read_before_images_are_built(site: Site) -> None:
    """What is not built yet stands as a digest of zeros, which nobody can deploy."""
    from infra.deploy.images import references

    assert all(ref.endswith(NOT_YET) for ref in references(site.deployment()).values())


def test_settings_of_ones_own_have_a_word(site: Site, tmp_path: Path) -> None:
    """Files with settings go to terraform in order, what deploy knows last; MLflow in one of them
    means its image."""
    own = tmp_path / "own.tfvars"
    own.write_text('mlflow = "server"\n')
    deployment: Deployment = site.deployment(mlflow="", var_files=(own,))
    assert deployment.runs_mlflow
    stages.apply(ALL, deployment)
    plan = next(call for call in site.cloud.calls if "infra/terraform plan" in call)
    files = [word for word in plan.split() if word.startswith("-var-file=")]
    assert files[-2:] == [
        f"-var-file={own}",
        f"-var-file={deployment.folder / 'installation.tfvars.json'}",
    ]
