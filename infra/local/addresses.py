"""Where the parts of a running stack are, and the environment that leads a process there.

The variable names are those of `shared.config` and of Google's clients; nothing else is told to
the code that it runs locally.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from infra.topology import Function, Topology

REGION = "europe-west1"
# Of the shell that starts a stack: a real relay instead of none.
MAIL = (
    *("SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD", "SMTP_SECURITY"),
    *("MILLRACE_MAIL_FROM", "MILLRACE_MAIL_TO"),
)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs without a trailing slash; `pubsub_grpc` is host:port, empty strings are off."""

    storage: str
    pubsub_grpc: str
    pubsub_rest: str
    run: str
    slack: str
    functions: str
    predict: str
    mlflow: str

    def function(self, name: str) -> str:
        return f"{self.functions}/{name}"


def client_env(
    addresses: Addresses, topology: Topology, *, project: str, context: str
) -> dict[str, str]:
    """For a command line, a test, or anything else that talks to the stack."""
    return {
        "STORAGE_EMULATOR_HOST": addresses.storage,
        "PUBSUB_EMULATOR_HOST": addresses.pubsub_grpc,
        "MILLRACE_PUBSUB_ENDPOINT": addresses.pubsub_rest,
        "MILLRACE_RUN_ENDPOINT": addresses.run,
        "MILLRACE_ANONYMOUS": "true",
        "MILLRACE_PROJECT": project,
        "MILLRACE_REGION": REGION,
        "MILLRACE_CONTEXT": context,
        "MILLRACE_INBOX": "inbox",
        "MILLRACE_LAKE": "lake",
        "MILLRACE_CLAIM_SECONDS": str(topology.claim_seconds),
        "MILLRACE_SPEC_WAIT_SECONDS": str(topology.spec_wait_seconds),
        "MILLRACE_SCORE_TASK_MIB": str(topology.jobs["score"].task_mib),
        "MILLRACE_SCORE_MAX_TASKS": str(topology.jobs["score"].max_tasks),
        "MILLRACE_IDENTITY": "header",
        "MILLRACE_PREDICT_URL": addresses.predict,
        "MILLRACE_PROMOTE_URL": addresses.function("promote"),
        "MLFLOW_TRACKING_URI": addresses.mlflow,
        "SLACK_WEBHOOK_URL": f"{addresses.slack}/services/local",
        "GOOGLE_CLOUD_PROJECT": project,
        "NO_PROXY": "127.0.0.1,localhost",
        **_QUIET,
    }


def function_env(base: Mapping[str, str], function: Function) -> dict[str, str]:
    """What the platform and the deployment give a function."""
    return {
        **base,
        "MILLRACE_CLAIM_SECONDS": str(function.claim_seconds),
        "FUNCTION_TARGET": "main",
        "FUNCTION_SIGNATURE_TYPE": "http",
        "K_SERVICE": function.name,
        # The caller gives up first and gets its 504; then the worker that hangs is killed.
        "CLOUD_RUN_TIMEOUT_SECONDS": str(function.timeout_seconds + 1),
        "THREADS": str(function.concurrency),
        "OMP_NUM_THREADS": "1",
    }


def service_env(base: Mapping[str, str], name: str, host: str, port: int) -> dict[str, str]:
    """What the platform gives a service. gunicorn listens on this machine only."""
    return {
        **base,
        "K_SERVICE": name,
        "PORT": str(port),
        "GUNICORN_CMD_ARGS": f"--bind={host}:{port}",
        "OMP_NUM_THREADS": "1",
    }


def job_env(base: Mapping[str, str]) -> dict[str, str]:
    """Tasks may use all cores; the machine is theirs while they fit."""
    return {**base, "OMP_NUM_THREADS": str(os.cpu_count() or 1)}


_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
