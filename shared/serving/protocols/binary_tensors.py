"""Tensors as bytes behind the JSON: the binary extension of the Open Inference Protocol, which
Triton's and KServe's clients use unless they are told otherwise.

    Inference-Header-Content-Length: n
    <n bytes of JSON><the bytes of each tensor with parameters.binary_data_size, in their order>

Numbers are little-endian, a BOOL is a byte, a BYTES element is its length in four bytes and then
its UTF-8. Between the two ends tensors are lists, as in JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from shared.serving import fast_json
from shared.serving.protocols.asked import Headers, Refusal, Written

LENGTH = "Inference-Header-Content-Length"
OCTETS = "application/octet-stream"
HEADER = "HTTP_" + LENGTH.upper().replace("-", "_")
_DIGITS = 9
_DTYPES: dict[str, str] = {
    "BOOL": "|b1",
    **{
        f"{sign}INT{bits}": f"<{kind}{bits // 8}"
        for sign, kind in (("", "i"), ("U", "u"))
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
_LENGTH = struct.Struct("<I")


def split(body: bytes, headers: Headers) -> tuple[bytes, bytes]:
    """The JSON and what stands behind it. Raises Refusal."""
    text = headers[HEADER]
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) <= len(body)):
        raise _malformed(f"{LENGTH} must be a number of bytes that the body has")
    return body[: int(text)], body[int(text) :]


def place(tensors: object, behind: bytes) -> None:
    """Give each tensor that says how many of the bytes are its own these as `data`.
    Raises Refusal when they are not just all."""
    at = 0
    for tensor in tensors if isinstance(tensors, list) else []:
        size = size_of(tensor)
        if size is None:
            continue
        if "data" in tensor:
            raise _malformed("an input has data and binary_data_size: one of them is too much")
        tensor["data"] = behind[at : at + size]
        at += size
    if at != len(behind):
        raise _malformed(
            f"{len(behind)} bytes stand behind the JSON, the inputs' binary_data_size say {at}"
        )


def size_of(tensor: object) -> int | None:
    """None for a tensor whose data are in the JSON. Raises Refusal."""
    parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (type(size) is not int or size < 0):
        raise _malformed("binary_data_size must be a number of bytes")
    return size


def is_wanted(about: object, name: str, default: bool = False) -> bool:
    """A switch among the parameters of a request or an output."""
    parameters = about.get("parameters") if isinstance(about, dict) else None
    found = parameters.get(name) if isinstance(parameters, dict) else None
    return default if found is None else found is True


def values(data: bytes, datatype: str, count: int) -> list[Any]:
    """The elements of a tensor. Raises Refusal when there are not `count` of them."""
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        return _texts(data, count)
    if len(data) != count * np.dtype(dtype).itemsize:
        raise _malformed(f"{len(data)} bytes are not {count} elements of {datatype}")
    if datatype == "BOOL" and data.translate(None, b"\0\1"):
        raise _malformed("a BOOL must be a byte 0 or 1")
    found: list[Any] = np.frombuffer(data, dtype).tolist()
    return found


def _texts(data: bytes, count: int) -> list[str]:
    found: list[str] = []
    at = 0
    try:
        while at < len(data) and len(found) < count:
            (size,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size + size
            found.append(data[at - size : at].decode())
    except (struct.error, UnicodeDecodeError) as error:
        raise _malformed("an element of BYTES must be its length and then UTF-8") from error
    if at != len(data) or len(found) != count:
        raise _malformed(f"the bytes are not {count} elements of BYTES")
    return found


def written(body: dict[str, Any], names: Collection[str]) -> Written:
    """An answer whose outputs of these names stand behind its JSON."""
    outputs, behind = list[dict[str, Any]](), list[bytes]()
    for tensor in body["outputs"]:
        if tensor["name"] in names:
            data = _bytes_of(tensor)
            behind.append(data)
            about = {name: value for name, value in tensor.items() if name != "data"}
            outputs.append({**about, "parameters": {"binary_data_size": len(data)}})
        else:
            outputs.append(tensor)
    before = fast_json.write({**body, "outputs": outputs})
    headers = {"Content-Type": OCTETS, LENGTH: str(len(before))}
    return Written(b"".join([before, *behind]), headers)


def _bytes_of(tensor: Mapping[str, Any]) -> bytes:
    dtype = _DTYPES.get(tensor["datatype"])
    if dtype is not None:
        return np.asarray(tensor["data"], dtype).tobytes()
    # JSON can spell half a surrogate pair, which no UTF-8 holds.
    encoded = [str(value).encode(errors="replace") for value in tensor["data"]]
    return b"".join(_LENGTH.pack(len(value)) + value for value in encoded)


def _malformed(message: str) -> Refusal:
    return Refusal(400, "malformed_request", message)
