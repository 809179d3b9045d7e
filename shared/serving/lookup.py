"""Which version answers a request, or the refusal that says why none does. Knows no HTTP but its
statuses."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from shared.errors import MillraceError, NotServed
from shared.serving.protocols.asked import Refusal
from shared.serving.served import Served

# Models that a page about all of them loads at most; others are on it where they are in memory.
_LOADED = 4
_AGAIN = {"Retry-After": "2"}


class Models(Protocol):
    """Where versions come from: manifests, or one folder."""

    @property
    def pinned(self) -> str | None: ...

    def names(self) -> list[str]: ...

    def loaded(self) -> list[Served]: ...

    def get(self, model: str) -> Served: ...


class Lookup:
    """The models of a process, with refusals for what is not there."""

    def __init__(self, models: Models) -> None:
        self.models = models

    def shown(self, model: str | None) -> tuple[list[str], list[Served]]:
        """All models' names, and versions to tell about: the one's, else those in memory and a few
        more, since whoever looks at a page shall not push out what others ask for. Those that do
        not load at the moment are left out."""
        names = self.names()
        if model is not None:
            return names, [self.served(model)]
        loaded = {served.model.model for served in self.models.loaded()}
        few = [name for name in names if name not in loaded][: max(0, _LOADED - len(loaded))]
        served = []
        for name in names:
            if name in loaded or name in few:
                with suppress(Refusal):
                    served.append(self.served(name))
        return names, served

    def only(self, given: str | None) -> str:
        """The model of a route that names none: the one that the caller asks for, or the only one.
        Raises Refusal."""
        if given is not None:
            return given
        names = self.names()
        if len(names) != 1:
            message = "name the model: POST /models/<model>/predict or /predict?model=<model>"
            raise Refusal(400 if names else 404, "model_not_named", message, models=names)
        return names[0]

    def served(self, model: str, version: str | None = None) -> Served:
        """Raises Refusal."""
        try:
            served = self.models.get(model)
        except NotServed as error:
            raise Refusal(404, "unknown_model", str(error), models=self.names()) from error
        except MillraceError as error:  # told to `survived` when it happened
            message = f"no version of {model!r} can be loaded at the moment; try again"
            raise Refusal(503, "unavailable", message, _AGAIN) from error
        if version is None:
            return served
        named = served.of_version(version)
        if named is None:
            has = served.model.version
            message = f"version {version!r} of {model!r} is not served here, {has} is"
            raise Refusal(404, "unknown_version", message, versions=[has])
        return named

    def names(self) -> list[str]:
        """Raises Refusal."""
        try:
            return self.models.names()
        except MillraceError as error:
            message = "the list of models cannot be read at the moment; try again"
            raise Refusal(503, "unavailable", message, _AGAIN) from error

    def ready(self) -> tuple[list[str], list[str]]:
        """Models and those in memory. Ready when storage answers and, where one model is pinned,
        that one is loaded. Raises Refusal."""
        names = self.names()
        loaded = [served.model.model for served in self.models.loaded()]
        if self.models.pinned is not None and self.models.pinned not in loaded:
            loaded = [self.served(self.models.pinned).model.model]
        return names, loaded
