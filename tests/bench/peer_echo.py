"""The limit for a predictor under Flask: parse the JSON of the body, send the same bytes back."""

from __future__ import annotations

import json

from flask import Flask, Response, request


class _Nothing:
    """What the predictor's gunicorn configuration asks an application for."""

    def preload(self) -> None:
        return


app = Flask("echo", static_folder=None)
app.extensions["millrace"] = _Nothing()


@app.post("/predict")
def echo() -> Response:
    body = request.get_data(cache=False)
    json.loads(body)
    return Response(body, content_type="application/json")
