"""The limit for a predictor under Flask: parse the JSON of the body, send the same bytes back."""

from __future__ import annotations

import json
from types import SimpleNamespace

from flask import Flask, Response, request

app = Flask("echo", static_folder=None)
# What the predictor's gunicorn configuration asks an application for.
app.extensions["millrace"] = SimpleNamespace(
    load=SimpleNamespace(), preload=lambda: None, close=lambda: None
)


@app.post("/predict")
def echo() -> Response:
    body = request.get_data(cache=False)
    json.loads(body)
    return Response(body, content_type="application/json")
