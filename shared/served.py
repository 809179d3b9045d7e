"""What a file must have to be scored: what the version that will score it learned by.

A newer spec says what the next version needs. The one that serves knows nothing of that, so its own
generation of the spec decides what is missing; how files are written is said by the spec in force.
"""

from __future__ import annotations

from shared.errors import ObjectNotFound
from shared.files.headers import Served
from shared.manifests import read_manifest
from shared.ports import Bucket
from shared.spec.registry import read_generation
from shared.versions import read_version


def learned_by(model: str, version: str, *, lake: Bucket) -> Served | None:
    """None where nobody knows any more by which generation a version was trained."""
    about = read_version(model, version, lake=lake)
    generation = about.get("spec_generation")
    if not isinstance(generation, int):
        return None
    try:
        spec = read_generation(model, generation, lake=lake)
    except ObjectNotFound:
        return None
    return Served(version, about.get("semantic_version"), generation, spec)


def champion_of(model: str, *, lake: Bucket) -> Served | None:
    """As `learned_by`, of the version that serves now; None without one."""
    manifest = read_manifest(model, lake=lake)
    return learned_by(model, manifest.version, lake=lake) if manifest else None
