"""Settings of a process, read from the environment once, when the wiring is made.

Names are the same on Google Cloud and locally; emulators are other endpoints, not branches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

_INSTALLATION = ("MILLRACE_PROJECT", "MILLRACE_INBOX", "MILLRACE_LAKE")


@dataclass(frozen=True, slots=True)
class Config:
    """`*_endpoint` are base URLs without a trailing slash; empty strings mean switched off."""

    project: str
    region: str
    context: str
    inbox: str
    lake: str
    storage_endpoint: str
    pubsub_endpoint: str
    run_endpoint: str
    anonymous: bool
    tracking_uri: str
    slack_webhook_url: str = field(repr=False)
    predict_url: str
    promote_url: str
    claim_seconds: int
    spec_wait_seconds: int
    identity: str
    console_url: str
    code_version: str = ""  # of the build; a commit when run from a checkout
    vertex_registry: bool = False
    vertex_endpoint: str = ""  # host:port of a plain gRPC server; empty is the region's own
    predict_image: str = ""  # what Vertex AI would serve a version with
    traces: bool = False  # of predictions; OpenTelemetry's own variables say where they go
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_security: str = "starttls"  # or tls, none
    mail_from: str = ""
    mail_to: tuple[str, ...] = ()
    docs_url: str = ""  # of infra/docs, for links to the runbook
    score_task_mib: int = 128  # of a file that one task scores
    score_max_tasks: int = 8
    pubsub_grpc: str = ""  # host:port where gRPC is not on `pubsub_endpoint`'s

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Config:
        """Raises KeyError naming the variable that is missing."""
        env = os.environ if env is None else env
        if env.get("AIP_STORAGE_URI"):  # a predictor on Vertex AI, which needs no installation
            env = {**dict.fromkeys(_INSTALLATION, ""), **env}
        storage = env.get("STORAGE_EMULATOR_HOST", "")
        if storage and "://" not in storage:
            storage = f"http://{storage}"
        pubsub = env.get("MILLRACE_PUBSUB_ENDPOINT", "")
        if not pubsub and env.get("PUBSUB_EMULATOR_HOST"):
            pubsub = f"http://{env['PUBSUB_EMULATOR_HOST']}"
        return cls(
            project=env["MILLRACE_PROJECT"],
            region=env.get("MILLRACE_REGION", "europe-west1"),
            context=env.get("MILLRACE_CONTEXT", "cloud"),
            inbox=env["MILLRACE_INBOX"],
            lake=env["MILLRACE_LAKE"],
            storage_endpoint=(storage or "https://storage.googleapis.com").rstrip("/"),
            pubsub_endpoint=(pubsub or "https://pubsub.googleapis.com").rstrip("/"),
            run_endpoint=env.get("MILLRACE_RUN_ENDPOINT", "https://run.googleapis.com").rstrip("/"),
            anonymous=env.get("MILLRACE_ANONYMOUS", "") == "true",
            tracking_uri=env.get("MLFLOW_TRACKING_URI", ""),
            # A secret that was piped into Secret Manager often ends with a line end.
            slack_webhook_url=env.get("SLACK_WEBHOOK_URL", "").strip(),
            predict_url=env.get("MILLRACE_PREDICT_URL", "").rstrip("/"),
            promote_url=env.get("MILLRACE_PROMOTE_URL", "").rstrip("/"),
            claim_seconds=int(env.get("MILLRACE_CLAIM_SECONDS", "90")),
            spec_wait_seconds=int(env.get("MILLRACE_SPEC_WAIT_SECONDS", "600")),
            identity=_identity(env),
            console_url=env.get("MILLRACE_CONSOLE_URL", "").rstrip("/"),
            code_version=env.get("MILLRACE_CODE_VERSION", ""),
            vertex_registry=env.get("MILLRACE_VERTEX_REGISTRY", "off") == "on",
            vertex_endpoint=env.get("MILLRACE_VERTEX_ENDPOINT", ""),
            predict_image=env.get("MILLRACE_PREDICT_IMAGE", ""),
            traces=_traces(env),
            smtp_host=env.get("SMTP_HOST", ""),
            smtp_port=int(env.get("SMTP_PORT") or "587"),
            smtp_user=env.get("SMTP_USER", ""),
            smtp_password=env.get("SMTP_PASSWORD", "").rstrip("\r\n"),
            smtp_security=env.get("SMTP_SECURITY") or "starttls",
            mail_from=env.get("MILLRACE_MAIL_FROM", ""),
            mail_to=tuple(env.get("MILLRACE_MAIL_TO", "").replace(",", " ").split()),
            docs_url=env.get("MILLRACE_DOCS_URL", "").rstrip("/"),
            score_task_mib=int(env.get("MILLRACE_SCORE_TASK_MIB", "128")),
            score_max_tasks=int(env.get("MILLRACE_SCORE_MAX_TASKS", "8")),
            pubsub_grpc=env.get("PUBSUB_EMULATOR_HOST", ""),
        )


def _identity(env: Mapping[str, str]) -> str:
    """A name in a header is believed only where storage is a stand-in, spoken to without TLS, which
    Google's is not."""
    storage = env.get("STORAGE_EMULATOR_HOST", "")
    stands_in = bool(storage) and not storage.startswith("https:")
    return "header" if stands_in and env.get("MILLRACE_IDENTITY") == "header" else "token"


def _traces(env: Mapping[str, str]) -> bool:
    """Whether a collector is named and nothing switches it off, as OpenTelemetry has it."""
    named = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return bool(named) and not off and env.get("OTEL_TRACES_EXPORTER", "otlp") != "none"
