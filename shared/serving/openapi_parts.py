"""Schemas that the documents of all models share: bodies and refusals of the protocols."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


_TEXT = {"type": "string"}
_OURS = object_of(
    {"code": _TEXT, "message": _TEXT, "problems": {"type": "array"}}, "code", "message"
)
_TENSOR = object_of(
    {
        "name": _TEXT,
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 2},
        "datatype": {"enum": ["FP64", "FP32", "INT64", "INT32", "BOOL", "BYTES"]},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
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
            "dataframe_split": object_of({"columns": {"type": "array"}, "data": {"type": "array"}}),
            "dataframe_records": {"type": "array", "items": {"type": "object"}},
            "instances": {"type": "array"},
            "inputs": {"type": ["array", "object"]},
            "params": ref("Parameters"),
        },
    },
    "InferenceRequest": object_of(
        {
            "id": _TEXT,
            "inputs": {"type": "array", "items": ref("Tensor"), "minItems": 1},
            "outputs": {"type": "array", "items": object_of({"name": _TEXT}, "name")},
            "parameters": {"type": "object"},
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
