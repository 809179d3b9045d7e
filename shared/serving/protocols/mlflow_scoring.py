"""`POST /invocations` as `mlflow models serve` takes and answers it (MLflow 2 and 3).

    {"dataframe_split": {"columns": [...], "data": [[...]]}}     {"dataframe_records": [{...}]}
    {"instances": [{...}] or [[...]]}     {"inputs": {"column": [...]} or as instances}     CSV

Exactly one of them, and beside it `params`: `{"output": "proba"}` for probabilities, `"full"` for
everything. The answer is `{"predictions": [...]}`: labels, or values of a regression. Rows without
names are read as the features in their order. A missing value is null, NaN or an empty cell; MLflow
itself misplaces values when `instances` lack fields, here such a field is missing.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from shared.serving.protocols.asked import (
    Asked,
    Headers,
    Output,
    Refusal,
    Written,
    check_count,
    check_encoding,
    checked_records,
    json_of,
    mimetype_of,
    named_rows,
    output_of,
    request_id,
)
from shared.serving.protocols.outputs import headers_of, values_of

if TYPE_CHECKING:
    from shared.serving.answers import Answer
    from shared.serving.columns import Schema
    from shared.serving.loaded_model import LoadedModel

NAME = "mlflow"
CSV = "text/csv"
_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SEE = "see MLflow's scoring protocol"
_CODES = {
    400: "BAD_REQUEST",
    404: "RESOURCE_DOES_NOT_EXIST",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def read(body: bytes, headers: Headers, model: LoadedModel) -> Asked:
    schema = model.schema
    given = request_id(headers)
    if mimetype_of(headers) == CSV:
        check_encoding(headers)
        return Asked(_csv(body, headers, schema), "label", given)
    found = json_of(body, headers)
    if not isinstance(found, dict) or sum(form in found for form in _FORMS) != 1:
        raise _malformed("must be an object with exactly one of " + ", ".join(_FORMS))
    form = next(form for form in _FORMS if form in found)
    parameters = found.get("params")
    named = isinstance(parameters, dict) and "output" in parameters
    output: Output = output_of(parameters, model) if named else "label"
    if parameters is not None and not isinstance(parameters, dict):
        raise _malformed("has params that are no object")
    if form == "dataframe_split":
        records = _split(found[form], schema.names)
    elif form == "inputs" and isinstance(found[form], dict):
        records = _columns(found[form])
    else:
        records = _rows(found[form], form, schema.names)
    return Asked(checked_records(records, _expected("has no rows")), output, given)


def write(answer: Answer, asked: Asked, model: LoadedModel) -> Written:  # noqa: ARG001 - as all do
    return Written({"predictions": values_of(answer, asked.output)}, headers_of(answer))


def refuse(refusal: Refusal) -> dict[str, Any]:
    """MLflow's two fields, and ours."""
    code = _CODES.get(refusal.status, "INVALID_PARAMETER_VALUE")
    message = str(refusal)
    ours = {"code": refusal.code, "message": message, **refusal.more}
    return {"error_code": code, "message": message, "error": ours}


def _split(frame: object, names: list[str]) -> list[object]:
    if not isinstance(frame, dict) or not isinstance(frame.get("data"), list):
        raise _malformed('has a dataframe_split that is not {"columns": [...], "data": [[...]]}')
    columns = frame.get("columns")
    if columns is None:
        columns = names
    if not isinstance(columns, list) or any(type(name) is not str for name in columns):
        raise _malformed("has columns in dataframe_split that are no list of texts")
    if len(set(columns)) < len(columns):
        raise _malformed("names a column of dataframe_split twice")
    return _named(frame["data"], columns)


def _named(rows: list[Any], columns: list[str]) -> list[object]:
    return named_rows(rows, columns, hint=_SEE)


def _rows(rows: object, form: str, names: list[str]) -> list[object]:
    if not isinstance(rows, list):
        raise _malformed(f"has {form} that are no list")
    if form != "dataframe_records" and any(type(row) is list for row in rows):
        return _named(rows, names)
    return rows


def _columns(columns: dict[str, Any]) -> list[object]:
    """Records of `{"column": [values]}`; one record where no column is a list."""
    lists = [values for values in columns.values() if isinstance(values, list)]
    if not lists:
        return [columns]
    lengths = sorted({len(values) for values in lists})
    if len(lists) < len(columns) or len(lengths) > 1:
        raise _malformed("has inputs whose columns are not lists of one length")
    check_count(lengths[0])
    flat = [_flat(values) for values in lists]
    return [dict(zip(columns, row, strict=True)) for row in zip(*flat, strict=True)]


def _flat(values: list[Any]) -> list[Any]:
    """Of a tensor [n, 1] its values; a cell that is a list of rows stays one."""
    if all(type(value) is list and len(value) == 1 for value in values):
        inner = [value[0] for value in values]
        if not any(isinstance(value, dict | list) for value in inner):
            return inner
    return values


def _csv(body: bytes, headers: Headers, schema: Schema) -> list[object]:
    charset = headers.get("CONTENT_TYPE", "").lower().partition("charset=")[2].strip(' "')
    if charset not in {"", "utf-8", "utf8"}:
        raise Refusal(415, "unsupported_charset", "CSV is read as UTF-8 only")
    try:
        text = body.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 at byte {error.start + 1}"
        raise Refusal(400, "malformed_csv", message) from error
    except csv.Error as error:
        raise Refusal(400, "malformed_csv", f"the body is not CSV: {error}") from error
    if len(rows) < 2:
        raise Refusal(400, "malformed_csv", "send a header line and at least one row of CSV")
    header, data = rows[0], rows[1:]
    if len(set(header)) < len(header):
        raise Refusal(400, "malformed_csv", "the header names a column twice")
    check_count(len(data))
    for at, row in enumerate(data):
        if len(row) != len(header):
            message = f"row {at} has {len(row)} cells, the header has {len(header)}"
            raise Refusal(400, "malformed_csv", message)
    numbers = {feature.name for feature in schema.inputs if feature.kind == "number"}
    wanted = [name in numbers for name in header]
    return [
        {
            name: _number(cell, schema) if number else cell
            for name, cell, number in zip(header, row, wanted, strict=True)
        }
        for row in data
    ]


def _number(cell: str, schema: Schema) -> float | str | None:
    """The number of a cell as pandas writes it, or as the model's files do; None for missing. A
    text that is none stays, for the schema to refuse."""
    try:
        number = float(cell) if "." in cell and "_" not in cell else schema.number_of(cell)
    except ValueError:
        return cell
    return None if number != number else number  # noqa: PLR0124 - NaN


def _expected(what: str) -> str:
    return f"the body {what}; {_SEE}"


def _malformed(what: str) -> Refusal:
    return Refusal(400, "malformed_request", _expected(what))
