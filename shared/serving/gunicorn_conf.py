"""gunicorn for the predictor: one process, threads, no timeout for answers (requests have one, see
`shared.serving.patient`); the platform scales instances.

Read by gunicorn when it starts, not imported by our code.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
from typing import Any

# Before numpy and onnxruntime are imported: request threads are the parallelism here.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Eight threads with a malloc arena each keep what their largest batches took, eight times: 192 MiB
# with the log buffered, 143 with one arena. Python's lock lets one allocate at a time anyway.
_M_ARENA_MAX = -8
if hasattr(ctypes.CDLL(None), "mallopt"):  # glibc has it
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)

# Vertex AI names its port, Cloud Run the other.
bind = f"0.0.0.0:{os.environ.get('AIP_HTTP_PORT') or os.environ.get('PORT', '8080')}"
worker_class = (
    "shared.serving.gathering.GatheringWorker"
    if hasattr(select, "epoll")
    else "shared.serving.patient.PatientWorker"
)
workers = 1
threads = 8
# A request that loads a version may take long; Cloud Run has its own request timeout.
timeout = 0
# Of the ten seconds between SIGTERM and SIGKILL on Cloud Run. The process that serves stops
# waiting for requests earlier, so that it can still write its log (`Predictor.close`).
graceful_timeout = 9
_REQUESTS_SECONDS = 4
keepalive = 75
accesslog = None
errorlog = "-"
loglevel = "warning"
# Nobody steers a server in a container, and where it runs nothing may be written.
control_socket_disable = True
# Heartbeat files on Cloud Run's disk would be memory anyway.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn makes an unnamed file there


def post_worker_init(worker: Any) -> None:
    """Load models before the port answers, so that a cold start pays before its first request."""
    worker.cfg.set("graceful_timeout", _REQUESTS_SECONDS)
    predictor = worker.wsgi.extensions["millrace"]
    predictor.load.waiting, predictor.load.aside = worker.waiting, worker.aside
    predictor.preload()
    # What is loaded now stays; the collector need not walk it in the middle of requests.
    gc.freeze()


def worker_exit(_server: Any, worker: Any) -> None:
    """The last thing a worker does, after its requests: what it kept of the log goes out."""
    if hasattr(worker, "wsgi"):  # it may not have come that far
        worker.wsgi.extensions["millrace"].close()
