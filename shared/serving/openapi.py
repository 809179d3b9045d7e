"""`/openapi.json`: the predictor's routes with the schema of each model's records, from what the
loaded versions declare. Pure; imported only when somebody asks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from shared.serving.describing import VERSION
from shared.serving.features import Feature
from shared.serving.openapi_parts import COMMON, Json, object_of, ref
from shared.serving.protocols import mlflow_scoring, open_inference
from shared.serving.protocols.asked import JSON, MAX_ID
from shared.serving.protocols.binary_tensors import OCTETS
from shared.serving.served import ID_FIELD, Served

# Of a text that stands for a number, or for none.
_NUMBER = r"^\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?)?\s*$"
_STATUSES = {
    "400": "The body is not what the protocol asks for.",
    "404": "No such model or version.",
    "409": "Looked-up features are older than the model allows.",
    "413": "Too many bytes or records.",
    "415": "Another content type or encoding.",
    "422": "Rows break the model's schema; each problem is listed.",
    "429": "Other large requests are being answered.",
    "503": "No version can be loaded at the moment, or too many requests wait.",
}


def openapi(served: Sequence[Served], *, only: bool, left_out: Sequence[str] = ()) -> Json:
    """The document of these models; `only` says that routes without a name mean the one. Those
    that are left out have documents of their own."""
    others = "".join(f" /models/{name}/openapi.json" for name in left_out)
    more = f" Further models have documents of their own:{others}" if left_out else ""
    schemas = dict(COMMON)
    paths = dict(_ABOUT)
    for item in served:
        name = item.model.model
        schemas |= _schemas(item)
        for rule, operation in _operations(item).items():
            paths[rule.replace("{model}", name)] = operation
        if only:
            paths |= {
                rule.replace("/models/{model}", ""): operation
                for rule, operation in _operations(item, unnamed=True).items()
                if rule.startswith("/models")
            }
            paths["/model/info"] = _get("info", "The model: columns, metrics, an example", "About")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace predictor",
            "version": VERSION,
            "description": f"Predictions of tabular models, in four protocols.{more}",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def record_schema(served: Served) -> Json:
    """What one record may be, as JSON Schema. What only a whole row shows is not in it."""
    schema, manifest = served.model.schema, served.manifest
    strict = manifest.coerce == "strict"
    decimal = schema.decimal
    properties: Json = {item.name: _property(item, strict, decimal) for item in schema.inputs}
    resolver = served.resolver
    for source in resolver.describe() if resolver is not None else []:
        properties.setdefault(
            source["key"], {"type": ["string", "number", "null"], "description": "looked up"}
        )
        if "rows" in source["forms"]:
            rows = {"type": "array", "items": {"type": "object"}}
            properties.setdefault(source["name"], {**rows, "description": "rows, aggregated here"})
    own = {"type": ["string", "integer", "null"], "minLength": 1, "maxLength": MAX_ID}
    own["description"] = "your name for the row"
    properties.setdefault(ID_FIELD, own)
    required = [item.name for item in schema.inputs if item.require.present]
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {"minProperties": 1}),
        "additionalProperties": manifest.unknown_fields != "refuse",
        "examples": [served.model.package.example_record()],
    }


def _property(feature: Feature, strict: bool, decimal: str) -> Json:
    require, expect = feature.require, feature.expect
    types = {
        "number": ["number"] if strict else ["number", "string"],
        "category": ["string"] if strict else ["string", "number", "boolean"],
        "time": ["string", "number"],
    }[feature.kind]
    body: Json = {"type": types if require.present else [*types, "null"]}
    if feature.kind == "number" and not strict and decimal == ".":
        body["pattern"] = _NUMBER
    if feature.kind == "number":
        body |= {
            key: value
            for key, value in (("minimum", require.min), ("maximum", require.max))
            if value is not None
        }
    told = [f"{feature.kind}"]
    if require.values is not None:
        told.append("one of " + ", ".join(require.values))
    if require.regex is not None:
        told.append(f"matches {require.regex}")
    if expect.min is not None or expect.max is not None:
        low, high = ("" if end is None else f"{end:g}" for end in (expect.min, expect.max))
        told.append(f"expected {low}..{high}; beyond is counted, not refused")
    return {**body, "description": "; ".join(told)}


# --- paths ---------------------------------------------------------------------------------------


def _schemas(served: Served) -> Json:
    model = served.model
    name = model.model
    label: Json = {"type": ["string", "null"]}
    if model.package.labels:
        label = {"type": "string", "enum": list(model.package.labels)}
    probabilities: Json = {}
    if model.task == "multiclass":
        shares = {label: {"type": "number"} for label in model.package.labels}
        probabilities = {"probabilities": {"type": "object", "properties": shares}}
    prediction = {
        "score": {"type": "number"},
        "label": label,
        "prediction_id": {"type": "string"},
        "model_version": {"type": "string"},
        **probabilities,
    }
    return {
        f"{name}.Record": record_schema(served),
        f"{name}.Prediction": {
            "type": "object",
            "properties": prediction,
            "required": list(prediction),
        },
    }


def _operations(served: Served, *, unnamed: bool = False) -> dict[str, Json]:
    name = served.model.model
    end = "" if unnamed else f"_{name}"
    found = {
        "/models/{model}/predict": _predict(served, f"predict{end}"),
        "/models/{model}/invocations": _invocations(served, f"invocations{end}"),
    }
    if unnamed:
        return found
    kserve = "Open Inference Protocol"
    return {
        **found,
        "/models/{model}": _get(f"describe{end}", f"What {name} takes", "About"),
        "/v2/models/{model}": _get(f"v2_model{end}", f"The tensors of {name}", kserve),
        "/v2/models/{model}/ready": _get(f"v2_ready{end}", f"Whether {name} answers", kserve),
        "/v2/models/{model}/infer": _infer(served, f"v2_infer{end}"),
        **{
            f"/v2/models/{{model}}/versions/{{version}}{rest}": _of_version(served, operation)
            for rest, operation in (
                ("", _get(f"v2_model_version{end}", f"Tensors of a version of {name}", kserve)),
                ("/ready", _get(f"v2_ready_version{end}", "Whether that version answers", kserve)),
                ("/infer", _infer(served, f"v2_infer_version{end}")),
            )
        },
    }


def _of_version(served: Served, operation: Json) -> Json:
    """An operation whose address names a version, too."""
    beside = served.beside.served if served.beside else None
    versions = [item.model.version for item in (served, beside) if item is not None]
    schema = {"type": "string", "enum": versions}
    named = {"name": "version", "in": "path", "required": True, "schema": schema}
    return {
        method: {**about, "parameters": [*about.get("parameters", ()), named]}
        for method, about in operation.items()
    }


def _predict(served: Served, operation: str) -> Json:
    name = served.model.model
    record, prediction = ref(f"{name}.Record"), ref(f"{name}.Prediction")
    records = {"type": "array", "items": record, "minItems": 1}
    envelope = object_of({"instances": records, "parameters": ref("Parameters")}, "instances")
    answer = object_of(
        {
            "predictions": {"type": "array", "items": {"anyOf": [prediction, {}]}},
            "model_version": {"type": "string"},
            "warnings": {"type": "array", "items": {"type": "object"}},
        },
        "predictions",
        "model_version",
    )
    example = [served.model.package.example_record()]
    asked = {JSON: {"schema": {"anyOf": [envelope, records, record]}, "example": example}}
    title = f"Predict with {name}"
    return _post(operation, title, "Predict", asked=asked, answer=answer, error="Error")


def _invocations(served: Served, operation: str) -> Json:
    name, example = served.model.model, served.model.package.example_record()
    asked = {
        JSON: {"schema": ref("Invocation"), "example": {"dataframe_records": [example]}},
        mlflow_scoring.CSV: {"schema": {"type": "string"}, "example": _csv(example)},
    }
    answer = object_of({"predictions": {"type": "array"}}, "predictions")
    title = f"MLflow's protocol for {name}"
    return _post(operation, title, "MLflow", asked=asked, answer=answer, error="MLflowError")


def _infer(served: Served, operation: str) -> Json:
    tag = "Open Inference Protocol"
    example = {"inputs": open_inference.example_of(served.model)}
    asked = {JSON: {"schema": ref("InferenceRequest"), "example": example}}
    found = _post(
        operation,
        f"{tag} for {served.model.model}",
        tag,
        asked=asked,
        answer=ref("InferenceResponse"),
        error="InferenceError",
    )
    # To who asks for tensors as bytes behind the JSON.
    found["post"]["responses"]["200"]["content"][OCTETS] = {"schema": {}}
    return found


def _csv(example: Json) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(example)
    writer.writerow("" if value is None else value for value in example.values())
    return out.getvalue()


def _post(name: str, title: str, tag: str, *, asked: Json, answer: Json, error: str) -> Json:
    header = {
        "name": "X-Prediction-Id",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": MAX_ID},
        "description": "your name for the request; with a row's number it has 128 characters",
    }
    return {
        "post": {
            "operationId": name,
            "summary": title,
            "tags": [tag],
            "parameters": [header],
            "requestBody": {"required": True, "content": asked},
            "responses": {
                "200": {"description": "Answered.", "content": {JSON: {"schema": answer}}},
                **{
                    status: {"description": why, "content": {JSON: {"schema": ref(error)}}}
                    for status, why in _STATUSES.items()
                },
            },
        }
    }


def _get(name: str, title: str, tag: str, content_type: str = JSON) -> Json:
    refused = {"description": "Not now, or no such thing.", "content": {JSON: {"schema": {}}}}
    return {
        "get": {
            "operationId": name,
            "summary": title,
            "tags": [tag],
            "responses": {
                "200": {"description": "Answered.", "content": {content_type: {"schema": {}}}},
                **dict.fromkeys(("400", "404", "503"), refused),
            },
        }
    }


_ABOUT = {
    "/": _get("index", "Where to look", "About"),
    "/models": _get("models", "The models that are served", "About"),
    "/healthz": _get("healthz", "Whether the process lives", "About"),
    "/ready": _get("ready", "Whether it can answer", "About"),
    "/metrics": _get("metrics", "Counters and histograms", "About", "text/plain"),
    "/ping": _get("ping", "MLflow's probe", "MLflow", "text/plain"),
    "/health": _get("health", "MLflow's probe", "MLflow", "text/plain"),
    "/version": _get("version", "The version of this software", "MLflow", "text/plain"),
    "/v2": _get("v2_server", "The server", "Open Inference Protocol"),
    "/v2/health/live": _get("v2_live", "Whether it lives", "Open Inference Protocol"),
    "/v2/health/ready": _get("v2_server_ready", "Whether it can answer", "Open Inference Protocol"),
}
