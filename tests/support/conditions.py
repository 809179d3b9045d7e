"""Conditions of IAM, evaluated: the few words of CEL that our grants are written in.

Roles stand for what Google's predefined ones permit of objects
(https://cloud.google.com/storage/docs/access-control/iam-roles).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ROLES = {
    "roles/storage.objectViewer": {"get", "list"},
    "roles/storage.objectCreator": {"create"},
    "roles/storage.objectUser": {"get", "list", "create", "delete", "update"},
}
# What Cloud Storage asks for. (Of an object that is not there it says 404 to those who may list it,
# 403 to others; hence roles that read hold both.)
NEEDED = {
    "read": {"get"},
    "list": {"list"},
    "create": {"get", "create"},
    "change": {"create", "delete"},
}
LIST_PREFIX = "storage.googleapis.com/objectListPrefix"


@dataclass(frozen=True, slots=True)
class Request:
    """One permission on one object, or `list` of a bucket with a prefix."""

    permission: str
    bucket: str
    name: str

    @property
    def variables(self) -> dict[str, Any]:
        if self.permission == "list":
            resource = {"name": f"projects/_/buckets/{self.bucket}", "type": "Bucket"}
            attributes = {LIST_PREFIX: self.name}
        else:
            name = f"projects/_/buckets/{self.bucket}/objects/{self.name}"
            resource, attributes = {"name": name, "type": "Object"}, {}
        resource["type"] = f"storage.googleapis.com/{resource['type']}"
        return {"resource": resource, "attributes": attributes}


def holds(condition: str, request: Request) -> bool:
    """Whether a condition is true for a request. Raises ValueError for words it does not know."""
    text = re.sub(r"!(?!=)", " not ", condition.replace("||", " or ").replace("&&", " and "))
    tree = ast.parse(text.strip(), mode="eval")
    return bool(_value(tree.body, request.variables))


def _value(node: ast.expr, variables: Mapping[str, Any]) -> Any:
    found: Any
    match node:
        case ast.BoolOp(op=word, values=values):
            every = [_value(item, variables) for item in values]
            found = any(every) if isinstance(word, ast.Or) else all(every)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = not _value(operand, variables)
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            found = _value(left, variables) == _value(right, variables)
        case ast.Constant(value=str(found)):
            pass
        case ast.Attribute(value=ast.Name(id="resource"), attr=attr):
            found = variables["resource"][attr]
        case ast.Call(func=ast.Attribute(value=subject, attr="startsWith"), args=[prefix]):
            found = str(_value(subject, variables)).startswith(_value(prefix, variables))
        case ast.Call(func=ast.Attribute(value=ast.Name(id="api"), attr="getAttribute"), args=args):
            name, default = (_value(item, variables) for item in args)
            found = variables["attributes"].get(name, default)
        case _:
            raise ValueError(f"not a word of ours: {ast.dump(node)}")
    return found


def permitted(grants: Iterable[Mapping[str, Any]], operation: str, bucket: str, name: str) -> bool:
    """Whether somebody with these grants (`role`, `bucket`, `condition`) may do that."""
    mine = [grant for grant in grants if grant["bucket"] == bucket]
    return all(
        any(
            permission in ROLES[grant["role"]]
            and holds(grant["condition"], Request(permission, bucket, name))
            for grant in mine
        )
        for permission in NEEDED[operation]
    )
