"""Vertex AI's contract for custom containers: `{"instances", "parameters"}` in, `{"predictions"}`
out, on the port and routes that the platform's variables name, with a package that it points at.

`AIP_STORAGE_URI` set means: serve the package in that folder, there is no manifest. Vertex hands
errors of the container through as they are. Its batch predictions make of lines of CSV and of rows
in BigQuery instances without names; these are read as the features in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.serving.protocols.asked import Asked, Headers, Written, json_of, named_rows
from shared.serving.protocols.native import asked_of, refuse
from shared.serving.protocols.outputs import headers_of, values_of

if TYPE_CHECKING:
    from shared.serving.answers import Answer
    from shared.serving.loaded_model import LoadedModel

__all__ = ["NAME", "Contract", "read", "refuse", "write"]

NAME = "vertex"
_SEE = "instances without names hold every feature, in the order of /model/info"


def read(body: bytes, headers: Headers, model: LoadedModel) -> Asked:
    """As native's, and rows without names. Raises Refusal."""
    found = json_of(body, headers)
    if isinstance(found, dict):
        rows = found.get("instances")
        if isinstance(rows, list) and any(type(row) is list for row in rows):
            found["instances"] = named_rows(rows, model.schema.names, hint=_SEE)
    return asked_of(found, headers, model)


def write(answer: Answer, asked: Asked, model: LoadedModel) -> Written:  # noqa: ARG001 - as all do
    body = {"predictions": values_of(answer, asked.output)}
    return Written(body, headers_of(answer))


@dataclass(frozen=True, slots=True)
class Contract:
    """What the platform asks of the container; empty texts where it asks nothing."""

    health: str = ""
    predict: str = ""
    storage_uri: str = ""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Contract:
        """From the variables that Vertex AI sets; its port is read by the server's settings."""
        return cls(
            health=env.get("AIP_HEALTH_ROUTE", ""),
            predict=env.get("AIP_PREDICT_ROUTE", ""),
            storage_uri=env.get("AIP_STORAGE_URI", ""),
        )
