"""From an object's name in the inbox to what it asks for. Pure."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from shared.errors import UnknownIntent
from shared.paths import is_model_name

Intent = Literal["train", "score", "label"]
FILE_NAME_BYTES = 800  # object names end at 1,024 bytes, and our copies put folders before it
BATCH_NAME_BYTES = 400  # a source's name and more come behind it in the lake
FOLDERS: dict[str, Intent] = {"train": "train", "score": "score", "labels": "label"}
LITTER = ("gcloud/tmp/", "gsutil/tmp/")
ENDINGS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet")
EXPECTED = (
    "expected <model>/train/<file>, <model>/score/<file>, <model>/labels/<file> "
    "or _specs/<model>.yaml"
)


@dataclass(frozen=True, slots=True)
class SpecUpload:
    model: str


@dataclass(frozen=True, slots=True)
class DataUpload:
    """`batch` and `source` are empty for a file that is a run by itself."""

    model: str
    intent: Intent
    file_name: str
    batch: str = ""
    source: str = ""


def is_litter(name: str) -> bool:
    """Folder markers and a tool's composite-upload temporaries: nobody's data."""
    if name.endswith(("/", "_$folder$")):
        return True
    return any(f"/{folder}" in f"/{name}" for folder in LITTER)


def route(name: str) -> SpecUpload | DataUpload:
    """Raises UnknownIntent with the layout that was expected."""
    parts = name.split("/")
    if parts[0] == "_specs":
        return _spec(name, parts)
    if len(parts) > 2 and parts[1] in FOLDERS and is_model_name(parts[0]):
        model, intent = parts[0], FOLDERS[parts[1]]
        if len(parts) == 3 and parts[2]:
            _check("file", parts[2], FILE_NAME_BYTES)
            return DataUpload(model, intent, parts[2])
        source = source_of_file(parts[-1])
        if len(parts) == 4 and parts[2] and source and intent != "label":
            _check("batch", parts[2], BATCH_NAME_BYTES)
            _check("file", parts[3], FILE_NAME_BYTES - BATCH_NAME_BYTES)
            return DataUpload(model, intent, parts[3], parts[2], source)
        raise UnknownIntent(_too_deep(name, *parts[:2]))
    slash = "; it begins with a slash" if name.startswith("/") else ""
    raise UnknownIntent(f"{_shown(name)} leads nowhere{slash}: {EXPECTED}")


def source_of_file(file_name: str) -> str:
    """`transactions` of `transactions.json.gz`; empty when the ending is none of ours."""
    base = file_name.removesuffix(".gz")
    return next((base.removesuffix(end) for end in ENDINGS if base.endswith(end)), "")


def _spec(name: str, parts: list[str]) -> SpecUpload:
    model, dot, suffix = parts[-1].rpartition(".")
    if len(parts) == 2 and dot and suffix in ("yaml", "yml") and is_model_name(model):
        return SpecUpload(model)
    raise UnknownIntent(f"{_shown(name)} is no spec: {EXPECTED}, model names are [a-z][a-z0-9_]*")


def _check(what: str, name: str, most: int) -> None:
    """Refuse names that cannot be stored in the lake, or on somebody's disk afterwards."""
    length = len(name.encode("utf-8", "surrogatepass"))
    if length > most:
        raise UnknownIntent(
            f"the {what}'s name has {length} bytes, at most {most} can be kept; drop it under a "
            f"shorter name"
        )
    if name in (".", ".."):
        raise UnknownIntent(f"{name!r} is no name for a {what}; drop it under another name")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise UnknownIntent(
            f"the {what}'s name {_shown(name)} has control characters; drop it under another name"
        )


def _too_deep(name: str, model: str, folder: str) -> str:
    several = (
        f", files of several sources in {model}/{folder}/<batch>/<source>.csv (or "
        f"{', '.join(ENDINGS[1:])}, each also with .gz)"
    )
    return (
        f"{_shown(name)} has a folder below {folder}/; files of one source lie directly in "
        f"{model}/{folder}/{several if FOLDERS[folder] != 'label' else ''}"
    )


def _shown(name: str) -> str:
    """For a message: quoted, control characters escaped, cut where a screen would be full."""
    return repr(name if len(name) <= 200 else f"{name[:200]}...")
