"""From an object's name in the inbox to what it asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.errors import UnknownIntent
from shared.paths import is_model_name

Intent = Literal["train", "score", "label"]
FILE_NAME_BYTES = 800  # object names end at 1,024 bytes, and our copies put folders before it
FOLDERS: dict[str, Intent] = {"train": "train", "score": "score", "labels": "label"}
EXPECTED = (
    "expected <model>/train/<file>, <model>/score/<file>, <model>/labels/<file> "
    "or _specs/<model>.yaml"
)


@dataclass(frozen=True, slots=True)
class SpecUpload:
    model: str


@dataclass(frozen=True, slots=True)
class DataUpload:
    model: str
    intent: Intent
    file_name: str


def is_litter(name: str) -> bool:
    """Folder markers and a tool's composite-upload temporaries: nobody's data."""
    return name.endswith("/") or name.startswith("gcloud/tmp/") or "/gcloud/tmp/" in name


def route(name: str) -> SpecUpload | DataUpload:
    """Raises UnknownIntent with the layout that was expected."""
    parts = name.split("/")
    if parts[0] == "_specs":
        model, dot, suffix = parts[-1].rpartition(".")
        if len(parts) == 2 and dot and suffix in ("yaml", "yml") and is_model_name(model):
            return SpecUpload(model)
        raise UnknownIntent(f"{name!r} is no spec: {EXPECTED}, model names are [a-z][a-z0-9_]*")
    if len(parts) == 3 and parts[1] in FOLDERS and is_model_name(parts[0]) and parts[2]:
        if len(parts[2].encode()) > FILE_NAME_BYTES:
            raise UnknownIntent(
                f"the file's name has {len(parts[2].encode())} bytes, at most {FILE_NAME_BYTES} "
                f"can be kept; drop it under a shorter name"
            )
        return DataUpload(parts[0], FOLDERS[parts[1]], parts[2])
    if len(parts) > 3 and parts[1] in FOLDERS:
        raise UnknownIntent(
            f"{name!r} has a folder below {parts[1]}/; files of one source lie directly in "
            f"{parts[0]}/{parts[1]}/"
        )
    raise UnknownIntent(f"{name!r} leads nowhere: {EXPECTED}")
