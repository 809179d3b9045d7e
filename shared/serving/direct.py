"""One model from a folder with its package, without a manifest: how Vertex AI hands a model over.

The folder is `gs://bucket/folder` or a directory. Nothing promises hashes there, so what is read is
what is served; whoever may write the folder decides what answers. Loaded once: another version is
another deployment. Predictions are not logged, and joined sources have no snapshots to look into.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import MillraceError, NotServed, PackageInvalid
from shared.manifests import Manifest
from shared.ports import Bucket
from shared.serving.loaded_model import LoadedModel, load
from shared.serving.loading import told
from shared.serving.manifest import INTERVAL_SECONDS
from shared.serving.package import PACKAGE_FILE, package_sha256
from shared.serving.served import Served

if TYPE_CHECKING:
    from shared.serving.sources.resolving import Resolver

_GCS = "gs://"
# A package has two files; a folder with many is another folder.
_MAX_FILES = 20


class DirectModel:
    """What `ServedModels` is for manifests, for one folder. Safe to share between threads.

    Args:
        bucket: Gives a bucket by its name.
        on_problem: Told about loads that failed; the next request tries again, at most once an
            interval.
    """

    def __init__(
        self,
        uri: str,
        *,
        bucket: Callable[[str], Bucket],
        on_problem: Callable[[str, MillraceError], None],
        interval_seconds: float = INTERVAL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri, self._bucket, self._on_problem = uri, bucket, on_problem
        self._interval, self._monotonic = interval_seconds, monotonic
        self._lock = threading.Lock()
        self._served: Served | None = None
        self._failure: MillraceError | None = None
        self._looked = float("-inf")

    @property
    def pinned(self) -> str | None:
        return self._served.model.model if self._served else None

    def names(self) -> list[str]:
        """The model's name. Raises what went wrong while it is not loaded."""
        return [self._get().model.model]

    def loaded(self) -> list[Served]:
        return [self._served] if self._served else []

    def get(self, model: str) -> Served:
        """Raises NotServed for another name, else as `names`."""
        served = self._get()
        if model != served.model.model:
            raise NotServed(f"no model {model!r} is served here")
        return served

    def _get(self) -> Served:
        if self._served is not None:
            return self._served
        with self._lock:
            if self._served is None and self._monotonic() - self._looked >= self._interval:
                try:
                    self._served = self._load()
                except Exception as error:  # noqa: BLE001 - the next request tries again
                    self._failure = told(error)
                    self._on_problem("", self._failure)
                self._looked = self._monotonic()
            if self._served is None:
                raise self._failure or PackageInvalid(f"{self._uri} is not loaded")
            return self._served

    def _load(self) -> Served:
        files = self._files()
        if PACKAGE_FILE not in files:
            raise PackageInvalid(f"there is no {PACKAGE_FILE} in {self._uri}")
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        model = load(files.__getitem__, hashes)
        return Served(model, self._manifest(model, hashes), _resolver(model))

    def _files(self) -> dict[str, bytes]:
        """The files of the folder itself, by name."""
        if not self._uri.startswith(_GCS):
            try:
                found = [path for path in Path(self._uri).iterdir() if path.is_file()]
                return {path.name: path.read_bytes() for path in found[:_MAX_FILES]}
            except OSError as error:
                raise PackageInvalid(f"the folder {self._uri} cannot be read: {error}") from error
        name, _, folder = self._uri.removeprefix(_GCS).partition("/")
        bucket, prefix = self._bucket(name), folder.rstrip("/") + "/" if folder else ""
        names = [info.name for info in bucket.list(prefix)]
        own = [name for name in names if "/" not in name.removeprefix(prefix) and name != prefix]
        return {name.removeprefix(prefix): bucket.read(name).data for name in own[:_MAX_FILES]}

    def _manifest(self, model: LoadedModel, hashes: dict[str, str]) -> Manifest:
        return Manifest(
            model=model.model,
            revision=0,
            version=model.version,
            package=self._uri,
            sha256=package_sha256(hashes),
            files=hashes,
            previous=None,
            pinned=True,
            log="off",
            promoted_at=model.package.created,
            by="AIP_STORAGE_URI",
        )


def _resolver(model: LoadedModel) -> Resolver | None:
    if not model.package.sources:
        return None
    from shared.serving.sources.resolving import Resolver  # cold start: few models have sources

    return Resolver(model.schema, model.package.sources, {})
