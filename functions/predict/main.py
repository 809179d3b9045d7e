"""Door of `predict`: the HTTPS predictor. MILLRACE_MODEL pins one model, else all are served."""

import os

from shared.serving.app import create_app
from shared.wiring import Wiring

wiring = Wiring(hurry=True)

app = create_app(
    lake=lambda: wiring.lake,
    publisher=lambda: wiring.publisher,
    clock=lambda: wiring.clock,
    pinned=lambda: os.environ.get("MILLRACE_MODEL"),
)
