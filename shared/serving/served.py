"""What a process has in memory of a model: the loaded champion, and a second version beside it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from shared.beside.second_version import SecondVersion
from shared.manifests import Manifest
from shared.serving.loaded_model import LoadedModel
from shared.serving.trust import Trust

if TYPE_CHECKING:
    from shared.serving.sources.resolving import Resolver

ID_FIELD = "prediction_id"


@dataclass(frozen=True)
class Served:
    """A loaded version, the manifest that named it, and what makes the columns of its joined
    sources (None for a model of one file). `beside` is there while a second version runs. `weight`
    is what the version alone takes, in bytes."""

    model: LoadedModel
    manifest: Manifest
    resolver: Resolver | None = None
    beside: Beside | None = None
    weight: int = 0

    @cached_property
    def fields(self) -> frozenset[str]:
        """Everything that a record may have."""
        found = {ID_FIELD, *self.model.schema.logged}
        if self.resolver is not None:
            found |= self.resolver.fields
        if self.beside is not None:
            found.add(self.beside.second.key)
            found |= self.beside.served.fields if self.beside.served else set()
        return frozenset(found)

    @property
    def other(self) -> Served | None:
        """The version beside this one that callers may get, too."""
        return self.beside.served if self.beside and self.beside.second.answers else None

    def of_version(self, version: str) -> Served | None:
        """The one that answers all of a request that names its version, None when it is neither;
        a shadow answers nobody."""
        if version == self.model.version:
            return replace(self, beside=None)
        challenger = self.other
        return challenger if challenger and version == challenger.model.version else None


@dataclass(slots=True)
class Beside:
    """The second version of a model, None where it did not load, and who is dealt to it. `trust`
    outlives changes of the manifest, such as another share. `again`: it may load at the next look.
    `told`: somebody heard that it does not answer."""

    second: SecondVersion
    served: Served | None
    trust: Trust = field(default_factory=Trust)
    again: bool = False
    told: bool = False
