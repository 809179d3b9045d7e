"""`POST /predict`: a record, a list of records, or `{"instances": [...], "parameters": {...}}`.

    {"predictions": [{"score", "label", "prediction_id", "model_version", ...}], "model_version"}

`parameters.output` asks for less: `label` (regression: the value) or `proba`. A refusal is
`{"error": {"code", "message", ...}}` and says what was expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.serving.protocols.asked import (
    Asked,
    Headers,
    Refusal,
    Written,
    checked_records,
    json_of,
    output_of,
    request_id,
)
from shared.serving.protocols.outputs import headers_of, values_of

if TYPE_CHECKING:
    from shared.serving.answers import Answer
    from shared.serving.loaded_model import LoadedModel

NAME = "native"
_EXPECTED = 'send a record, a non-empty list of records, or {"instances": [...]}'


def read(body: bytes, headers: Headers, model: LoadedModel) -> Asked:
    return asked_of(json_of(body, headers), headers, model)


def asked_of(found: object, headers: Headers, model: LoadedModel) -> Asked:
    """What a body asks for. Raises Refusal."""
    if not isinstance(found, dict):
        return Asked(checked_records(found, _EXPECTED), "full", request_id(headers))
    instances = found.get("instances")
    if not isinstance(instances, list):  # a feature may have that name
        return Asked([found], "full", request_id(headers))
    records = checked_records(instances, _EXPECTED)
    return Asked(records, output_of(found.get("parameters"), model), request_id(headers))


def write(answer: Answer, asked: Asked, model: LoadedModel) -> Written:  # noqa: ARG001 - as all do
    body = {
        "predictions": values_of(answer, asked.output),
        "model_version": answer.version,
    }
    if answer.unknown is not None and answer.unknown.meant:
        body["warnings"] = answer.unknown.warnings()
    return Written(body, None if asked.output == "full" else headers_of(answer))


def refuse(refusal: Refusal) -> dict[str, Any]:
    return {"error": {"code": refusal.code, "message": str(refusal), **refusal.more}}
