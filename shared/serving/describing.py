"""What the predictor says about itself and its models, as JSON values. Pure."""

from __future__ import annotations

from typing import Any

from shared.manifests import Manifest
from shared.serving.prediction_log import LOSS
from shared.serving.served import Served

NAME = "millrace"
VERSION = "0.1.0"  # as in pyproject.toml, which is not deployed


def about_server() -> dict[str, Any]:
    """The server's metadata in the Open Inference Protocol."""
    return {"name": NAME, "version": VERSION, "extensions": ["binary_tensor_data"]}


def about_model(served: Served) -> dict[str, Any]:
    """What a model takes, how good it is, and an example that can be sent as it stands."""
    package, manifest, resolver = served.model.package, served.manifest, served.resolver
    sources = {"sources": resolver.describe()} if resolver is not None else {}
    carried = [feature.to_json() for feature in package.schema.carried]
    derived = [{"name": name, "is": text} for name, text in package.schema.derive]
    example = {"instances": [package.example_record()]}
    return {
        "model": package.model,
        "version": package.version,
        "semantic_version": manifest.semantic_version,
        "task": package.task,
        "features": [feature.to_json() for feature in package.schema.features],
        **({"carried": carried} if carried else {}),
        **({"derived": derived} if derived else {}),
        "labels": list(package.labels),
        "threshold": package.threshold,
        "metrics": dict(package.metrics),
        "created": package.created,
        "promoted_at": manifest.promoted_at,
        "revision": manifest.revision,
        "log": manifest.log,
        **_log(manifest),
        "unknown_fields": manifest.unknown_fields,
        "coerce": manifest.coerce,
        **_beside(served),
        **sources,
        "example": {"path": f"/models/{package.model}/predict", "body": example},
    }


def _log(manifest: Manifest) -> dict[str, object]:
    """What of the answers is not in the prediction log, where something is not."""
    found: dict[str, object] = {}
    if manifest.log == "off":
        return found
    if manifest.log == "buffered":
        found["log_loss"] = LOSS
    if manifest.log_sample < 1:
        found["log_sample"] = manifest.log_sample
    if manifest.redact:
        found["redacted"] = list(manifest.redact)
    return found


def _beside(served: Served) -> dict[str, object]:
    """The second version that runs, under its kind, for people who ask about the model."""
    if served.beside is None:
        return {}
    running = served.beside.second
    names = ["id", "version", "share", "key", "sticky", "until"]
    found = {name: getattr(running, name) for name in names}
    if running.steps:
        found |= {"steps": list(running.steps), "step": running.step}
    loaded = served.beside.served is not None
    return {running.kind: {**found, "asked_here": loaded and not served.beside.trust.lost}}
