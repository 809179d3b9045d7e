"""Door of `predict`: the HTTPS predictor. MILLRACE_MODEL pins one model, else all are served; what
Vertex AI sets (AIP_STORAGE_URI and its routes) makes it a predictor of the package given there."""

import os

from shared.serving.app import create_app
from shared.serving.protocols.vertex import Contract
from shared.serving.room import room_of
from shared.wiring import Wiring

wiring = Wiring(hurry=True)

app = create_app(
    lake=lambda: wiring.lake,
    publisher=lambda: wiring.publisher,
    clock=lambda: wiring.clock,
    pinned=lambda: os.environ.get("MILLRACE_MODEL"),
    room=lambda: room_of(os.environ.get("MILLRACE_MODEL_MEMORY_MIB")),
    bucket=wiring.bucket,
    project=lambda: wiring.config.project,
    spans=wiring.spans,
    contract=Contract.of(os.environ),
)
