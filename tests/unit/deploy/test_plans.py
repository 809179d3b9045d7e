"""What is looked at before anything is done: settings, contexts, what would stop it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from infra.bundle import REPOSITORY
from infra.deploy import spelling
from infra.deploy.deployment import BadDeployment
from shared.cli import installations
from shared.cli.installations import Installation
from shared.cli.main import cli
from tests.support.fake_cloud import FakeCloud
from tests.unit.deploy.conftest import PLACE, Site


def test_a_plan_says_that_it_would_stop(path: FakeCloud) -> None:
    """With the doctor's exit code, and what is missing first."""
    path.be(account="", adc=False)
    result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev"])
    assert result.exit_code == 1
    assert "--apply would stop at stage 0" in result.stderr
    assert "MLflow's database, where MLflow runs: not wanted" in result.stdout
    assert "there already\n    MLflow is off" not in result.stdout
    again = CliRunner().invoke(cli, ["deploy", "acme"])
    assert (again.exit_code, "a plan is not" in again.output) == (2, True)
    told = CliRunner().invoke(cli, ["deploy", "--help"]).output
    assert "a plan remembers nothing" in " ".join(told.split())


def test_a_dry_run_wins(path: FakeCloud, site: Site) -> None:
    """Whatever else is said, nothing is changed and nothing remembered."""
    for words in (["--dry-run"], ["--dry-run", "--apply"], ["--apply", "--dry-run"]):
        result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", *words])
        assert result.exit_code == 0, result.output
        assert "Nothing was changed" in result.stderr
    assert path.changes() == []
    assert not (site.home / "deploy" / "acme").exists()


def test_another_projects_context_is_not_deployed_over(path: FakeCloud) -> None:
    """It was added by hand and says another project."""
    there = Installation.predicted("acme", "other", "1", "europe-west1", "dev", mlflow=False)
    installations.save(there)
    result = CliRunner().invoke(cli, ["deploy", "acme", *PLACE, "dev", "--apply"])
    assert result.exit_code == 2
    assert "acme is in project other" in result.output
    assert path.changes() == []


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.tfvars", "peeple = {}", "no variable 'peeple'; did you mean 'people'?"),
        (
            "a.tfvars",
            'people = { dropper = ["user:a@b.c"] }',
            "no role 'dropper' of people; did you mean 'droppers'?",
        ),
        ("a.tfvars", 'people = { "spec_writers" = [] }', "did you mean 'spec-writers'?"),
        ("a.tfvars", "zzz = 1", "no variable 'zzz'; known: alert_emails"),
        ("a.tfvars", "people = {", "cannot be understood as settings"),
        ("a.tfvars.json", '{"mlfow": "off"}', "did you mean 'mlflow'?"),
        ("a.tfvars.json", "[]", "it holds no object"),
    ],
)
def test_misspelt_settings_are_found_before_a_plan(
    path: FakeCloud, site: Site, name: str, text: str, told: str
) -> None:
    """Terraform would only warn of them, in the middle of much else; nothing is asked."""
    file = site.home.parent / name
    file.write_text(text)
    for mode in ("--plan", "--apply"):
        words = ["deploy", "acme", *PLACE, "dev", mode, "--var-file", str(file)]
        result = CliRunner().invoke(cli, words)
        assert isinstance(result.exception, BadDeployment)
        assert told in str(result.exception)
    assert path.calls == []


def test_settings_that_are_right_are_taken(site: Site) -> None:
    """Those that the repository ships, the example of the page, and variables of either root."""
    page = (REPOSITORY / "infra" / "docs" / "deployment.md").read_text(encoding="utf-8")
    example = page.split("```hcl\n")[1].split("```")[0]
    file = site.home.parent / "own.tfvars"
    file.write_text(example + 'github_repository = "a/b"\n')
    shipped = sorted((REPOSITORY / "infra" / "terraform" / "environments").glob("*.tfvars"))
    assert len(shipped) == 3
    spelling.check(site.deployment(var_files=(*shipped, file)))
