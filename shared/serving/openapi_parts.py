"""Schemas that the documents of all models share: bodies and refusals of the protocols."""

from __future__ import annotations

from typing import Any

from shared.serving.protocols.open_inference import DATATYPES, OUTPUTS

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _rows(items: Json) -> Json:
    return {"type": "array", "items": items, "minItems": 1}


_TEXT = {"type": "string"}
_OURS = object_of(
    {"code": _TEXT, "message": _TEXT, "problems": {"type": "array"}}, "code", "message"
)
_TENSOR = object_of(
    {
        "name": _TEXT,
        "shape": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "maxItems": 2,
        },
        "datatype": {"enum": DATATYPES},
        "data": {"type": "array"},
        "parameters": {"type": ["object", "null"]},
    },
    "name",
    "shape",
    "datatype",
    "data",
)
COMMON = {
    "Error": object_of({"error": _OURS}, "error"),
    "MLflowError": object_of(
        {"error_code": _TEXT, "message": _TEXT, "error": _OURS}, "error_code", "message"
    ),
    "InferenceError": object_of({"error": _TEXT, "code": _TEXT}, "error"),
    "Parameters": {
        "type": ["object", "null"],
        "properties": {"output": {"enum": ["full", "label", "proba"]}},
    },
    "Invocation": {
        "type": "object",
        "properties": {
            "dataframe_split": object_of(
                {
                    "columns": {
                        "type": ["array", "null"],
                        "items": _TEXT,
                        "uniqueItems": True,
                    },
                    "data": _rows({"type": "array"}),
                },
                "data",
            ),
            "dataframe_records": _rows({"type": "object"}),
            "instances": _rows({"type": ["object", "array"]}),
            "inputs": {"anyOf": [_rows({"type": ["object", "array"]}), {"type": "object"}]},
            "params": ref("Parameters"),
        },
        "oneOf": [
            {"required": [form]}
            for form in ("dataframe_split", "dataframe_records", "instances", "inputs")
        ],
    },
    "InferenceRequest": object_of(
        {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "items": ref("Tensor"), "minItems": 1},
            "outputs": {
                "type": ["array", "null"],
                "items": object_of({"name": {"enum": OUTPUTS}}, "name"),
            },
            "parameters": {"type": ["object", "null"]},
        },
        "inputs",
    ),
    "InferenceResponse": object_of(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": _TEXT,
            "outputs": {"type": "array", "items": ref("Tensor")},
        },
        "model_name",
        "outputs",
    ),
    "Tensor": _TENSOR,
}
