"""The build files: what their published schemas do not check, and that all of them do the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.bundle import REPOSITORY

BUILDS = [REPOSITORY / "cloudbuild.yaml", REPOSITORY / "infra" / "cloudbuild.apply.yaml"]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"
STEP = REPOSITORY / "infra" / "delivery" / "step"
TRIGGERS = (REPOSITORY / "infra" / "terraform" / "delivery" / "main.tf").read_text("utf-8")
# https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
GIVEN = {"PROJECT_ID", "PROJECT_NUMBER", "BUILD_ID", "LOCATION", "COMMIT_SHA", "TRIGGER_NAME"}
KEYS = {"steps", "timeout", "options", "substitutions", "tags", "images", "artifacts"}
# One `$` is replaced by Cloud Build; `$$` is one for the shell.
VARIABLE = re.compile(r"(?<!\$)(?:\$\$)*\$(?:\{(\w+)\}|(\w+))")


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def words_of(step: dict[str, Any]) -> str:
    return " ".join([*step.get("args", ()), *step.get("env", ()), step["name"]])


def targets(file: Path) -> list[str]:
    """The Makefile's targets in the order in which a file calls them, with their arguments."""
    if file == WORKFLOW:
        runs = [step.get("run", "") for step in read(file)["jobs"]["check"]["steps"]]
        return [run.removeprefix("make ") for run in runs if run.startswith("make ")]
    if file.suffix == ".yaml":
        steps = [step for step in read(file)["steps"] if step.get("entrypoint") == "make"]
        return [" ".join(step["args"][1:]) for step in steps]
    return re.findall(r"make --no-print-directory (\w+)", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", [*BUILDS, WORKFLOW], ids=lambda file: file.name)
def test_files_meet_their_published_schemas(file: Path) -> None:
    schema = "github-workflows" if file == WORKFLOW else "cloudbuild"
    program = REPOSITORY / ".venv" / "bin" / "check-jsonschema"
    command: list[str | Path] = [program, "--builtin-schema", f"vendor.{schema}", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_a_build_has_no_key_that_nobody_reads(file: Path) -> None:
    """Cloud Build refuses them, its schema does not; and an alias is for no reader but ours."""
    assert set(read(file)) <= KEYS
    assert not re.search(r"(?m)[:-] [&*]\w", file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_steps_wait_for_steps_that_come_before(file: Path) -> None:
    """And each says for whom: without `waitFor` a step waits for all, which hides what it needs."""
    seen: list[str] = []
    for step in read(file)["steps"]:
        assert step["id"] not in seen
        assert set(step["waitFor"]) <= {"-", *seen}, step["id"]
        seen.append(step["id"])


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_nothing_is_delivered_before_every_check_is_green(file: Path) -> None:
    """From any step that delivers, the way back leads through all that come before it."""
    steps = {step["id"]: step["waitFor"] for step in read(file)["steps"]}

    def before(name: str) -> set[str]:
        direct = {one for one in steps[name] if one != "-"}
        return direct.union(*(before(one) for one in direct))

    names = list(steps)
    for name in names[names.index("bake" if "bake" in steps else "apply") :]:
        assert before(name) == set(names[: names.index(name)]), name


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_substitutions_are_declared_and_used(file: Path) -> None:
    """An unknown one stays as it is or is empty; an unused one fails the build. In the options'
    `env` none is replaced at all, which is why none may stand there."""
    build = read(file)
    used = {a or b for step in build["steps"] for a, b in VARIABLE.findall(words_of(step))}
    declared = set(build["substitutions"])
    assert used - GIVEN == declared
    assert "$" not in " ".join(build["options"]["env"])


def test_triggers_set_what_the_builds_declare() -> None:
    """Neither more nor less: what a trigger sets and no step uses, fails the build."""
    set_by = {
        "cloudbuild.yaml": {"_ENVIRONMENT", "_REGION", "_DELIVER"},
        "cloudbuild.apply.yaml": {"_ENVIRONMENT", "_REGION"},
    }
    for file in BUILDS:
        assert set_by[file.name] <= set(read(file)["substitutions"])
        assert file.relative_to(REPOSITORY).as_posix() in TRIGGERS
    assert set(re.findall(r"\b(_[A-Z_]+) += ", TRIGGERS)) == set_by["cloudbuild.yaml"]


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_images_of_steps_are_pinned_and_the_same_everywhere(file: Path) -> None:
    """By digest: a tag may mean something else tomorrow, with all rights of the build."""
    names = {step["name"] for one in BUILDS for step in read(one)["steps"]}
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", name) for name in names)
    bare = [re.split(r"[:@]", name)[0] for name in names]
    assert len(bare) == len(set(bare)), "one image, two versions"


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_a_build_with_an_account_of_its_own_logs_to_cloud_logging(file: Path) -> None:
    """Else it needs a bucket for logs, or does not start."""
    assert read(file)["options"]["logging"] == "CLOUD_LOGGING_ONLY"
    assert "service_account " in TRIGGERS


def test_everybody_checks_the_same() -> None:
    """Cloud Build, GitHub and .ci/run call the same targets; with a network Terraform's providers
    themselves are asked."""
    checked = [
        sorted(one.partition(" ")[0] for one in targets(file))
        for file in (BUILDS[0], WORKFLOW, REPOSITORY / ".ci" / "run")
    ]
    assert checked[0] == checked[1] == checked[2]
    assert "terraform ARGS=--online" in targets(BUILDS[0])
    assert "terraform ARGS=--online" in targets(WORKFLOW)


@pytest.mark.parametrize("file", BUILDS, ids=lambda file: file.name)
def test_every_step_of_ours_is_one_that_the_script_knows(file: Path) -> None:
    """With four words of place before it, and a branch or subcommand of that name."""
    known = {"bake", "plan", "apply", "drop-specs", "doctor", "rollout hold", "rollout roll"}
    place = ["$PROJECT_ID", "$_REGION", "$_ENVIRONMENT", "$COMMIT_SHA"]
    found = [step["args"] for step in read(file)["steps"] if STEP.name in str(step["args"][:1])]
    assert found
    for args in found:
        assert args[0] == STEP.relative_to(REPOSITORY).as_posix()
        assert args[1:5] == place
        assert " ".join(args[5:]) in known


def test_a_pull_request_delivers_nothing(tmp_path: Path) -> None:
    """The step ends before it looks at anything else, and says why."""
    env = {"PATH": os.environ["PATH"], "DELIVER": "no"}
    done = subprocess.run([STEP], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "nothing to deliver" in done.stdout


def test_shell_in_builds_parses() -> None:
    """As the shell gets it: `$$` is one `$`."""
    bash = shutil.which("bash")
    assert bash
    scripts = [
        step["args"][-1].replace("$$", "$")
        for file in BUILDS
        for step in read(file)["steps"]
        if "-euc" in step.get("args", ())
    ]
    assert len(scripts) == 3
    for script in [*scripts, STEP.read_text(encoding="utf-8")]:
        subprocess.run([bash, "-n", "-c", script], check=True)


# --- GitHub --------------------------------------------------------------------------------------


def test_actions_are_pinned_by_commit() -> None:
    """With the version for people beside it."""
    text = WORKFLOW.read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[\d.]+", one) for one in uses)


def test_a_workflow_has_no_key_and_asks_for_little() -> None:
    """Nothing by default; a token for Google Cloud only in the job that asks it, and never for a
    fork. What others write reaches a script as a variable, not as text."""
    workflow = read(WORKFLOW)
    assert workflow["permissions"] == {}
    jobs = workflow["jobs"]
    assert jobs["check"]["permissions"] == {"contents": "read"}
    assert jobs["specs"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert "head.repo.full_name == github.repository" in jobs["specs"]["if"]
    text = WORKFLOW.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert "credentials_json" not in text
    for job in jobs.values():
        assert not any("${{" in step.get("run", "") for step in job["steps"])
