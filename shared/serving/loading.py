"""From the bytes of a manifest and of a package to a version that answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from shared.beside.second_version import SecondVersion
from shared.errors import MillraceError, ObjectNotFound, PackageInvalid, Retryable
from shared.manifests import Manifest, parse_manifest
from shared.ports import Blob, Bucket
from shared.serving.loaded_model import LoadedModel, loaded
from shared.serving.package import UNREADABLE, checked
from shared.serving.room import weight_of
from shared.serving.served import Served

if TYPE_CHECKING:
    from shared.serving.sources.resolving import Resolver


def parse(model: str, blob: Blob) -> Manifest:
    """Raises PackageInvalid."""
    try:
        return parse_manifest(json.loads(blob.data), blob.info.generation)
    except UNREADABLE as error:
        raise PackageInvalid(f"the manifest of {model} does not read: {error!r}") from error


def load_version(
    manifest: Manifest,
    named: Manifest | SecondVersion,
    lake: Bucket,
    make_room: Callable[[int], None],
) -> Served:
    """The version that a manifest names, `make_room` told how many bytes it will take before it
    does. Raises PackageInvalid, ObjectNotFound, Retryable."""
    # Before others make room: what is not as promised will never be loaded.
    files = checked(lambda name: lake.read(named.package + name).data, named.files)
    make_room(weight_of(files))
    found = loaded(files)
    if (found.model, found.version) != (manifest.model, named.version):
        raise PackageInvalid(
            f"the manifest names {manifest.model} {named.version}, "
            f"its package is {found.model} {found.version}"
        )
    sources = found.package.sources
    weight = weight_of(files, (one.snapshot.size_bytes for one in sources if one.snapshot))
    if sources:
        make_room(weight)  # snapshots lie on a disk that is memory
    return Served(found, manifest, _resolver(found, lake), weight=weight)


def in_memory(before: Served | None) -> Iterator[tuple[Manifest | SecondVersion, Served]]:
    """Versions that need no loading, with what named them."""
    if before is not None:
        yield before.manifest, before
        if before.beside is not None and before.beside.served is not None:
            yield before.beside.second, before.beside.served


def subject_of(model: str, blob: Blob) -> str:
    """What does not load, as every process names it."""
    try:
        manifest = parse(model, blob)
    except PackageInvalid:
        return f"the manifest of generation {blob.info.generation}"
    return f"{manifest.version} (revision {manifest.revision})"


def told(error: Exception) -> MillraceError:
    """An error of a look in our words."""
    if isinstance(error, ObjectNotFound):
        return PackageInvalid(f"a file of the package is missing: {error}")
    if isinstance(error, MillraceError):
        return error
    return Retryable(f"{type(error).__name__}: {error}")


def _resolver(loaded: LoadedModel, lake: Bucket) -> Resolver | None:
    if not loaded.package.sources:
        return None
    from shared.serving.sources.resolving import (
        open_resolver,  # cold start: few models have sources
    )

    return open_resolver(loaded.schema, loaded.package.sources, lake.download)
