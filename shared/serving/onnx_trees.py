"""The trees of an ONNX file as arrays, read without the onnx library, which serving does not carry.

Only what `shared.serving.tree_tables` can use: an ensemble of one output whose leaves have one
number each, straight from the file's input to the wanted output. Everything else is None, for
onnxruntime alone to answer.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Fields of ModelProto, GraphProto, NodeProto and AttributeProto:
# https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_GRAPH = 7
_NODES, _INPUTS = 1, 11
_READS, _WRITES, _OPERATOR, _ATTRIBUTES = 1, 2, 4, 5
_NAME, _NUMBER, _TEXT, _FLOATS, _INTS, _TEXTS = 1, 3, 4, 7, 8, 9
# Tags: the number of a field, and how its content is written.
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_FLOAT, _INT, _STRING = _FLOATS << 3 | _FOUR_BYTES, _INTS << 3 | _VARINT, _TEXTS << 3 | _BYTES

_OPERATORS = {b"TreeEnsembleClassifier": b"class", b"TreeEnsembleRegressor": b"target"}
_COMPARISONS = {b"BRANCH_LT": False, b"BRANCH_LEQ": True}
_LEAF = b"LEAF"

Ints = NDArray[np.int64]
Floats32 = NDArray[np.float32]
Fields = dict[int, list[Any]]


class Forest(NamedTuple):
    """Nodes of all trees, one tree after the other; `roots`, `yes` and `no` are positions of nodes.
    A row goes to `yes` when its feature's value is below the `threshold`, or equal where
    `inclusive`. The answer is the sum of the `value`s of the leaves it comes to, and `base`; for
    probabilities the logistic function of it."""

    roots: Ints
    leaf: NDArray[np.bool_]
    feature: Ints
    threshold: Floats32
    yes: Ints
    no: Ints
    value: Floats32
    inclusive: bool
    base: np.float32
    logistic: bool


def read_forest(onnx: bytes, output: str) -> Forest | None:
    """The trees that `output` comes from, None for a file of another kind."""
    try:
        found = _ensemble(onnx, output.encode())
        return None if found is None else _forest(*found)
    except (KeyError, IndexError, ValueError):
        return None


def _ensemble(onnx: bytes, output: bytes) -> tuple[bytes, dict[bytes, Any]] | None:
    """What its leaves are about, and the attributes of the operator by name."""
    graph = _fields(_fields(memoryview(onnx))[_GRAPH][0])
    inputs = [bytes(_fields(item)[_NAME][0]) for item in graph[_INPUTS]]
    nodes = list(map(_fields, graph[_NODES]))
    for node in reversed(nodes):  # what a node reads is written before it
        if output not in map(bytes, node[_WRITES]):
            continue
        operator, reads = bytes(node[_OPERATOR][0]), list(map(bytes, node[_READS]))
        if operator != b"Identity":
            about = _OPERATORS.get(operator)
            attributes = map(_attribute, node[_ATTRIBUTES])
            return (about, dict(attributes)) if about and reads == inputs else None
        (output,) = reads
    return None


def _attribute(data: memoryview) -> tuple[bytes, Any]:
    fields = _fields(data)
    lists = [found for kind in (_FLOATS, _INTS) for found in fields[kind]]
    texts = [bytes(text) for kind in (_TEXT, _TEXTS) for text in fields[kind]]
    value = lists[0] if lists else texts if fields[_TEXTS] else (*texts, *fields[_NUMBER], None)[0]
    return bytes(fields[_NAME][0]), value


def _forest(about: bytes, found: dict[bytes, Any]) -> Forest | None:
    modes, nothing = found[b"nodes_modes"], np.zeros(0)
    compared = set(modes) - {_LEAF}
    labels = [*found.get(b"classlabels_int64s", ()), *found.get(b"classlabels_strings", ())]
    outputs = len(labels) - 1 if about == b"class" else found[b"n_targets"]
    transform = found.get(b"post_transform", b"NONE")
    base = found.get(b"base_values", nothing)
    if (
        outputs != 1
        or len(np.unique(found[about + b"_ids"])) != 1
        or transform != (b"LOGISTIC" if about == b"class" else b"NONE")
        or found.get(b"aggregate_function", b"SUM") != b"SUM"
        or len(compared) != 1
        or base.size > 1
    ):
        return None
    trees = found[b"nodes_treeids"]
    order = np.lexsort((found[b"nodes_nodeids"], trees))
    trees = trees[order]
    roots = np.flatnonzero(np.diff(trees, prepend=-1))
    root = np.repeat(roots, np.diff(roots, append=len(trees)))
    if not np.array_equal(found[b"nodes_nodeids"][order], np.arange(len(trees)) - root):
        return None
    value = np.zeros(len(trees), np.float32)
    which = np.searchsorted(trees[roots], found[about + b"_treeids"])
    value[roots[which] + found[about + b"_nodeids"]] = found[about + b"_weights"]
    return Forest(
        roots=roots,
        leaf=np.array([mode == _LEAF for mode in modes])[order],
        feature=found[b"nodes_featureids"][order],
        threshold=found[b"nodes_values"][order],
        yes=root + found[b"nodes_truenodeids"][order],
        no=root + found[b"nodes_falsenodeids"][order],
        value=value,
        inclusive=_COMPARISONS[compared.pop()],
        base=np.float32(base[0] if base.size else 0.0),
        logistic=about == b"class",
    )


# --- protobuf ------------------------------------------------------------------------------------


def _fields(data: memoryview) -> Fields:
    """The contents of a message by the number of their field: texts and messages as they stand,
    numbers, and a list of numbers as one array. Raises IndexError, ValueError."""
    found: Fields = defaultdict(list)
    at = 0
    while at < len(data):
        tag, start = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        content: Any
        if tag == _FLOAT:
            content, at = _floats(data, at)
        elif tag == _INT:
            content, at = _ints(data, at)
        elif tag == _STRING and data[start] < 0x80:
            texts, at = _texts(data, at)
            found[number] += texts
            continue
        elif kind == _VARINT:
            content, at = _varint(data, start)
        elif kind == _BYTES:
            size, start = _varint(data, start)
            at = start + size
            content = data[start:at]
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            at = start + (4 if kind == _FOUR_BYTES else 8)
            content = data[start:at]
        else:
            raise ValueError(f"a field of kind {kind}")
        found[number].append(content)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in sevens of bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _floats(data: memoryview, at: int) -> tuple[Floats32, int]:
    """A list whose elements have a tag each, and where it ends."""
    elements = np.frombuffer(data[at : at + (len(data) - at) // 5 * 5], np.uint8).reshape(-1, 5)
    count = _leading(elements[:, 0] == _FLOAT)
    return elements[:count, 1:].copy().view("<f4").reshape(-1), at + 5 * count


def _ints(data: memoryview, at: int) -> tuple[Ints, int]:
    """The same of numbers of any length: tags and values are decoded alike."""
    octets = np.frombuffer(data[at:], np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    starts = np.append(0, ends[:-1] + 1)
    place = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    sevens = (octets[: ends[-1] + 1] & 0x7F).astype(np.uint64) << (7 * place).astype(np.uint64)
    numbers = np.add.reduceat(sevens, starts)
    count = _leading(numbers[: len(numbers) // 2 * 2 : 2] == _INT)
    return numbers[1 : 2 * count : 2].astype(np.int64), at + int(ends[2 * count - 1]) + 1


def _texts(data: memoryview, at: int) -> tuple[list[bytes], int]:
    """The same of texts shorter than 128 bytes."""
    rest, here = bytes(data[at:]), 0
    texts: list[bytes] = []
    while here < len(rest) and rest[here] == _STRING and rest[here + 1] < 0x80:
        start = here + 2
        here = start + rest[here + 1]
        texts.append(rest[start:here])
    return texts, at + here


def _leading(matches: NDArray[np.bool_]) -> int:
    return len(matches) if matches.all() else int(matches.argmin())
