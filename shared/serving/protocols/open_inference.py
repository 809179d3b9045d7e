"""The Open Inference Protocol, version 2, over HTTP and JSON (KServe, Triton, MLServer, Seldon).

An input is a column: its name is a feature's, its shape [n] or [n, 1]. Or one input is the whole
matrix, [n, k]: its columns are the features in the order of the model's metadata, or those that its
`parameters.columns` names. Missing is null, also NaN in numbers and "" in BYTES. Outputs are
columns too: `score`, `label`, `probabilities` [n, labels], `prediction_id`, `model_version`.
`id` names the request, and its rows where no input `prediction_id` does.

Tensors may stand behind the JSON as bytes (`binary_tensors`), both ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared.errors import InvalidInstances
from shared.serving.problems import Problem, problem_of
from shared.serving.protocols import binary_tensors
from shared.serving.protocols.asked import (
    JSON,
    Asked,
    Headers,
    Refusal,
    Written,
    check_count,
    check_encoding,
    json_of,
    request_id,
)
from shared.serving.protocols.outputs import shares_of

if TYPE_CHECKING:
    from shared.serving.answers import Answer
    from shared.serving.columns import Schema
    from shared.serving.loaded_model import LoadedModel

NAME = "v2"
PLATFORM = "millrace_package"

_NONE = type(None)
_INTEGERS: frozenset[type] = frozenset({int, _NONE})
_NUMBERS: frozenset[type] = frozenset({int, float, _NONE})
_TYPES: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool, _NONE}),
    "BYTES": frozenset({str, _NONE}),
    **{f"{sign}INT{bits}": _INTEGERS for sign in ("", "U") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": _NUMBERS for bits in (16, 32, 64)},
}
DATATYPES = sorted(_TYPES)
# What integers may be, both ends included.
_RANGES: dict[str, tuple[int, int]] = {
    name: (-(1 << bits - 1), (1 << bits - 1) - 1) if sign == "" else (0, (1 << bits) - 1)
    for bits in (8, 16, 32, 64)
    for sign in ("", "U")
    for name in [f"{sign}INT{bits}"]
}
OUTPUTS = ["score", "label", "probabilities", "prediction_id", "model_version"]


def read(body: bytes, headers: Headers, model: LoadedModel) -> Asked:
    given, behind = request_id(headers), b""
    if binary_tensors.HEADER in headers:
        check_encoding(headers)
        body, behind = binary_tensors.split(body, headers)
        headers = {**headers, "CONTENT_TYPE": JSON}
    found = json_of(body, headers, unnamed=True)
    if not isinstance(found, dict):
        raise _malformed('the body must be an object with "inputs"')
    _check_parameters(found)
    binary_tensors.place(found.get("inputs"), behind)
    name = found.get("id")
    if name is not None and type(name) is not str:
        raise _malformed("id must be a text")
    columns = _inputs(found.get("inputs"), model.schema)
    sizes = {column: len(values) for column, values in columns.items()}
    rows = next(iter(sizes.values()))
    if not rows:
        raise _malformed("the inputs have no rows")
    if set(sizes.values()) != {rows}:
        shown = ", ".join(f"{column[:50]}: {size}" for column, size in list(sizes.items())[:10])
        raise _malformed(f"the inputs have not one number of rows ({shown})")
    records: list[object] = [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ]
    wanted, binary = _outputs(found, model)
    return Asked(records, "full", name or given, wanted, binary)


def write(answer: Answer, asked: Asked, model: LoadedModel) -> Written:
    known = {item["name"]: item for item in outputs_of(model)}
    rows = answer.predictions
    body = {
        "model_name": model.model,
        "model_version": answer.version,
        "id": asked.request_id or answer.request_id or rows[0]["prediction_id"],
        "outputs": [_tensor(known[name], rows) for name in asked.outputs or known],
    }
    if answer.unknown is not None and answer.unknown.meant:
        body["parameters"] = {"warnings": [item["message"] for item in answer.unknown.warnings()]}
    return binary_tensors.written(body, asked.binary) if asked.binary else Written(body)


def refuse(refusal: Refusal) -> dict[str, Any]:
    """The protocol's one field, and what we have to say beside it."""
    return {"error": str(refusal), "code": refusal.code, **refusal.more}


# --- metadata ------------------------------------------------------------------------------------


def inputs_of(model: LoadedModel) -> list[dict[str, Any]]:
    """The tensors that a request may have. Features of joined sources may be left to their key."""
    return [
        {
            "name": feature.name,
            "datatype": "FP64" if feature.kind == "number" else "BYTES",
            "shape": [-1],
        }
        for feature in model.schema.inputs
    ]


def example_of(model: LoadedModel) -> list[dict[str, Any]]:
    """Tensors that can be sent as they stand."""
    record = model.package.example_record()
    found = []
    for item in inputs_of(model):
        value = record.get(item["name"])
        if item["datatype"] == "BYTES" and value is not None:
            value = str(value)
        found.append({**item, "shape": [1], "data": [value]})
    return found


def outputs_of(model: LoadedModel) -> list[dict[str, Any]]:
    """The tensors of an answer."""
    found: list[tuple[str, str, list[int]]] = [("score", "FP64", [-1])]
    if model.task != "regression":
        found.append(("label", "BYTES", [-1]))
        found.append(("probabilities", "FP64", [-1, len(model.package.labels)]))
    found += [("prediction_id", "BYTES", [-1]), ("model_version", "BYTES", [-1])]
    return [{"name": name, "datatype": kind, "shape": shape} for name, kind, shape in found]


def metadata_of(model: LoadedModel, beside: LoadedModel | None = None) -> dict[str, Any]:
    """`beside` can be asked by its version, too."""
    return {
        "name": model.model,
        "versions": [model.version, *([beside.version] if beside else [])],
        "platform": PLATFORM,
        "inputs": inputs_of(model),
        "outputs": outputs_of(model),
    }


# --- tensors -------------------------------------------------------------------------------------


def _inputs(inputs: object, schema: Schema) -> dict[str, list[Any]]:
    """The values of each column."""
    if not isinstance(inputs, list) or not inputs:
        raise _malformed('"inputs" must be a non-empty list of tensors')
    columns: dict[str, list[Any]] = {}
    problems: list[Problem] = []
    for tensor in inputs:
        for name, values in _columns(tensor, schema, alone=len(inputs) == 1):
            if name in columns:
                raise _malformed(f"the column {name[:100]!r} is given twice")
            columns[name] = values
            problems += _misfits(name, values, tensor["datatype"])
    if problems:
        raise InvalidInstances(sorted(problems, key=lambda problem: int(str(problem["row"]))))
    return columns


def _misfits(name: str, values: list[Any], datatype: str) -> list[Problem]:
    """Values that are not what their datatype says."""
    types, found = _TYPES[datatype], set(map(type, values))
    low, high = _RANGES.get(datatype, (0, 0))
    if types >= found and (
        low == high or (found == {int} and low <= min(values) <= max(values) <= high)
    ):
        return []
    rule = f"must be {datatype}, as its datatype says"
    return [
        problem_of(row, name, value, rule)
        for row, value in enumerate(values)
        if type(value) not in types
        or (low != high and value is not None and not low <= value <= high)
    ]


def _columns(tensor: Any, schema: Schema, *, alone: bool) -> Iterator[tuple[str, list[Any]]]:
    name, shape = _head(tensor)
    rows, width = shape[0], shape[1] if len(shape) == 2 else 1
    data = tensor.get("data")
    if isinstance(data, bytes):
        data = binary_tensors.values(data, tensor["datatype"], rows * width)
    if not isinstance(data, list):
        raise _malformed(f"{name!r} has no data (a list)")
    flat = data
    if data and len(shape) == 2 and all(type(row) is list for row in data):
        if len(data) != rows or any(len(row) != width for row in data):
            raise _malformed(f"the data of {name!r} has not the shape {shape}")
        flat = [value for row in data for value in row]
    if len(flat) != rows * width:
        raise _malformed(f"{name!r} has {len(flat)} values, its shape {shape} says {rows * width}")
    check_count(rows)
    names = _names(tensor)
    if width == 1 and not names:
        yield tensor["name"], flat
        return
    names = names or schema.names
    if not alone or len(names) != width:
        raise _malformed(
            f"{name!r} has {width} columns: send one input a column, or one input of all "
            f"{len(names)} columns ({', '.join(names[:5])}, ...)"
        )
    for at, column in enumerate(names):
        yield column, flat[at::width]


def _head(tensor: Any) -> tuple[str, list[int]]:
    """Name, cut for messages, and shape of a tensor that has all that it needs."""
    if not isinstance(tensor, dict) or type(tensor.get("name")) is not str:
        raise _malformed("an input must be an object with a name")
    name, shape, datatype = tensor["name"][:100], tensor.get("shape"), tensor.get("datatype")
    _check_parameters(tensor)
    if type(datatype) is not str or datatype not in _TYPES:
        raise _malformed(f"{name!r} must have a datatype of " + ", ".join(_TYPES))
    fits = isinstance(shape, list) and 1 <= len(shape) <= 2
    if not fits or any(type(size) is not int or size < 0 for size in shape):  # type: ignore[union-attr]
        raise _malformed(f"{name!r} must have a shape [n], [n, 1] or [n, columns]")
    return name, shape  # type: ignore[return-value]  # a list of integers


def _names(tensor: dict[str, Any]) -> list[str]:
    """The columns of a matrix as its parameters name them; empty when they do not."""
    names = (tensor.get("parameters") or {}).get("columns")
    if names is None:
        return []
    if not isinstance(names, list) or any(type(name) is not str for name in names):
        raise _malformed("parameters.columns must be a list of texts")
    return names


def _outputs(asked: dict[str, Any], model: LoadedModel) -> tuple[tuple[str, ...], frozenset[str]]:
    """The names of the wanted outputs (none: all), and of those that are wanted as bytes."""
    outputs, names = asked.get("outputs"), [item["name"] for item in outputs_of(model)]
    everywhere = binary_tensors.is_wanted(asked, "binary_data_output")
    if outputs is None:
        return (), frozenset(names if everywhere else ())
    if not isinstance(outputs, list):
        raise _malformed('"outputs" must be a list')
    for output in outputs:
        if not isinstance(output, dict) or type(output.get("name")) is not str:
            raise _malformed("an output must be an object with a name")
        _check_parameters(output)
        if output["name"] not in names:
            name, has = output["name"][:100], ", ".join(names)
            raise Refusal(400, "unknown_output", f"there is no output {name!r}, only {has}")
    wanted = tuple(dict.fromkeys(output["name"] for output in outputs))
    binary = [
        output["name"]
        for output in outputs
        if binary_tensors.is_wanted(output, "binary_data", default=everywhere)
    ]
    return wanted, frozenset(binary or (names if everywhere and not wanted else ()))


def _check_parameters(about: dict[str, Any]) -> None:
    parameters = about.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise _malformed("parameters must be an object")


def _tensor(about: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    name, shape = about["name"], [len(rows), *about["shape"][1:]]
    if name == "probabilities":
        data = [share for row in rows for share in shares_of(row)]
    else:
        data = [row[name] for row in rows]
    return {"name": name, "shape": shape, "datatype": about["datatype"], "data": data}


def _malformed(message: str) -> Refusal:
    return Refusal(400, "malformed_request", message)
