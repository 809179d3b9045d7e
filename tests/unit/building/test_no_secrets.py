"""No secret in images, outputs, builds, settings or lines that a process prints about itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from infra import topology
from infra.bundle import REPOSITORY
from infra.images import dockerfile
from shared.config import Config
from shared.wiring import Wiring

TERRAFORM = REPOSITORY / "infra" / "terraform"
# What keys and passwords look like, wherever they were pasted.
VALUES = re.compile(
    r"AIza[0-9A-Za-z_-]{35}|ya29\.[0-9A-Za-z_-]{20}|gh[pousr]_[0-9A-Za-z]{36}|xox[abpr]-[0-9A-Za-z-]+"
    r"|hooks\.slack\.com/services/T[0-9A-Z]+/B|-----BEGIN [A-Z ]*PRIVATE KEY|AKIA[0-9A-Z]{16}"
    r'|"private_key"\s*:|eyJ[0-9A-Za-z_-]{20,}\.eyJ'
)
# What Terraform would keep in its state and print, were it handed through.
HANDED_THROUGH = re.compile(
    r"secret_data|random_password|google_secret_manager_secret_version\"|\.private_key\b"
    r"|google_service_account_key|access_token|id_token\b"
)
SECRET_NAMES = re.compile(r"PASSWORD|SECRET|TOKEN|WEBHOOK|CREDENTIAL|API_?KEY")
ENV = {
    "MILLRACE_PROJECT": "p",
    "MILLRACE_INBOX": "i",
    "MILLRACE_LAKE": "l",
    "MILLRACE_MAIL_FROM": "a@example.com",
    "SMTP_HOST": "smtp.example.com",
}


def built_from() -> Iterator[Path]:
    """Everything that says how it is built and deployed."""
    yield from TERRAFORM.rglob("*.tf")
    yield from TERRAFORM.rglob("*.tfvars")
    yield from (REPOSITORY / "infra" / "images").rglob("*")
    yield from (REPOSITORY / ".github").rglob("*.yml")
    yield from REPOSITORY.glob("cloudbuild*.yaml")
    yield from REPOSITORY.glob("infra/cloudbuild*.yaml")
    yield from (REPOSITORY / "infra" / "delivery").glob("*")
    yield REPOSITORY / ".env.example"
    yield REPOSITORY / "infra" / "topology.yaml"


def texts() -> dict[str, str]:
    return {
        file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8")
        for file in built_from()
        if file.is_file() and not {"__pycache__", ".terraform"} & set(file.parts)
    }


def secret_variables() -> list[str]:
    """Of all parts: the variable is the topology's key in capitals."""
    parts = topology.load()
    keys = {
        key
        for part in (*parts.functions.values(), *parts.services.values())
        for key in part.secrets
    }
    return sorted(key.upper().replace("-", "_") for key in keys)


def test_the_line_end_of_a_piped_secret_is_none_of_it() -> None:
    """`echo VALUE | gcloud secrets versions add` leaves one, and an address with it is none."""
    env = {**ENV, "SLACK_WEBHOOK_URL": "https://example.com/x\n", "SMTP_PASSWORD": " a b \n"}
    config = Config.from_env(env)
    assert config.slack_webhook_url == "https://example.com/x"
    assert config.smtp_password == " a b "


def test_nothing_that_looks_like_a_key_is_committed() -> None:
    """In what builds read; `make scan` looks at the rest with more patience."""
    assert len(texts()) > 30
    assert [name for name, text in texts().items() if VALUES.search(text)] == []


@pytest.mark.parametrize(
    "text", ["AIza" + "x" * 35, "-----BEGIN PRIVATE KEY-----", "ghp_" + "a" * 36]
)
def test_a_key_would_be_found(text: str) -> None:
    assert VALUES.search(f'key = "{text}"')


def test_no_value_of_a_secret_goes_through_terraform() -> None:
    """Its state is a file that more people may read than the secret. Containers and grants only; a
    version is named by number."""
    found = {
        name: sorted(set(HANDED_THROUGH.findall(text)))
        for name, text in texts().items()
        if name.endswith(".tf") and HANDED_THROUGH.search(text)
    }
    assert found == {}


def test_no_output_tells_a_secret() -> None:
    """Outputs of a root are printed, kept and handed on; what must be hidden is none."""
    for file in [*TERRAFORM.glob("*.tf"), *TERRAFORM.glob("foundation/*.tf")]:
        name = file.name
        for output in hcl2.loads(file.read_text(encoding="utf-8")).get("output", ()):
            ((key, body),) = output.items()
            assert not body.get("sensitive"), f"{name}: {key}"
            told = str(body.get("value", ""))
            assert not re.search(r"\bsecret|password|webhook", told, re.IGNORECASE), (
                f"{name}: {key}"
            )


def test_an_image_is_given_no_secret() -> None:
    """Neither as a variable (`docker inspect` shows it) nor as an argument (its history does)."""
    for file in (REPOSITORY / "infra" / "images").glob("Dockerfile*"):
        before, stages = dockerfile.read(file.read_text(encoding="utf-8"))
        for one in [*before, *(each for stage in stages for each in stage.instructions)]:
            if one.name in ("ENV", "ARG"):
                assert not SECRET_NAMES.search(one.value.upper()), one.value


@pytest.mark.parametrize("variable", secret_variables())
def test_a_process_does_not_print_its_secrets(variable: str) -> None:
    """Whoever prints the settings, or what was made of them, prints no value of a secret; a secret
    that is added to the topology is asked about here at once."""
    marker = "https://example.com/" + "s3cr3t" * 3
    config = Config.from_env({**ENV, variable: marker})
    held = [
        field.name for field in dataclasses.fields(config) if getattr(config, field.name) == marker
    ]
    assert held, f"{variable} reaches no setting: this test would prove nothing"
    wiring: Any = Wiring(config)
    for thing in (config, wiring, {"config": config}, [wiring]):
        for said in (repr(thing), str(thing), f"{thing}"):
            assert marker not in said
