"""Models that follow their serving manifest, for a process whose CPU stops between requests.

    get(model) --younger than the interval--------------> the loaded version
               --older, nobody looks: this request looks-> conditional read, load if it moved
               --older, somebody looks already----------> the loaded version, or wait for the
                                                          look when nothing is loaded or the
                                                          process slept far past the interval

No background thread. Versions of models that were asked for longest ago make room for others where
memory is short, and are loaded again when somebody asks. A version that does not load leaves the
last good one serving, in a process that has none the one that it replaced; a second version that
does not load leaves the champion serving alone. Either way people are told
(`shared.serving.alerts`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from shared import paths
from shared.beside.second_version import SecondVersion
from shared.errors import MillraceError, NotServed, ObjectNotFound, PackageInvalid
from shared.manifests import Manifest, package_of
from shared.ports import Blob, Bucket
from shared.serving.alerts import Alerts
from shared.serving.listing import Listing
from shared.serving.loading import in_memory, load_version, parse, subject_of, told
from shared.serving.room import give_back
from shared.serving.served import Beside, Served
from shared.versions import read_version

INTERVAL_SECONDS = 2.0
# Past this many intervals an answer from the old version would surprise whoever promoted.
_SLEPT = 5
_NEVER = float("-inf")


@dataclass(slots=True)
class _Entry:
    """`generation` is the manifest's that was acted on. On the monotonic clock: when a look `began`
    and when one was over (`looked`), and when a request `used` the version."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    served: Served | None = None
    generation: int = 0
    began: float = _NEVER
    looked: float = _NEVER
    used: float = _NEVER
    failure: MillraceError | None = None


class ServedModels:
    """The versions that the manifests name, loaded on first use. Safe to share between threads.

    Args:
        on_problem: Told about what was survived: (model, what happened).
        alerts: Told about versions that do not load, and that load again.
        on_let_go: Told which model's versions went out of memory for another one's.
        room: Gives the bytes that loaded versions may take, as `shared.serving.room` counts them.
        pinned: Gives the only model to serve, or nothing for all.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        lake: Callable[[], Bucket],
        *,
        on_problem: Callable[[str, MillraceError], None],
        alerts: Alerts,
        on_let_go: Callable[[str], None],
        room: Callable[[], int],
        pinned: Callable[[], str | None] = str,
        interval_seconds: float = INTERVAL_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lake, self._interval = lake, interval_seconds
        self._on_problem, self._alerts, self._monotonic = on_problem, alerts, monotonic
        self._on_let_go, self._room_of = on_let_go, room
        self._entries: dict[str, _Entry] = {}
        self._loading = threading.Lock()
        self._listing = Listing(
            lake,
            on_problem=on_problem,
            pinned=pinned,
            interval_seconds=interval_seconds,
            monotonic=monotonic,
        )

    @cached_property
    def _room(self) -> int:
        return self._room_of()

    @property
    def pinned(self) -> str | None:
        return self._listing.pinned

    def names(self) -> list[str]:
        """Models that have a champion, at most one interval old while storage answers. When it
        never did, its error is raised."""
        return self._listing.names()

    def loaded(self) -> list[Served]:
        """What this process has in memory."""
        found = [entry.served for entry in list(self._entries.values())]
        found += [served.beside.served for served in found if served and served.beside]
        return [served for served in found if served is not None]

    def get(self, model: str) -> Served:
        """The version that the manifest names, as of at most one interval ago.

        Raises NotServed; PackageInvalid, Retryable or whatever storage said when no version
        could be loaded yet.
        """
        entry = self._entries.get(model)
        if entry is None:
            entry = self._enter(model)
        served = entry.served  # once: another thread may let go of it
        entry.used = now = self._monotonic()
        if served is None or now - entry.looked >= self._interval:
            must_wait = served is None or self._slept(entry, now)
            if entry.lock.acquire(blocking=must_wait):
                try:
                    if self._is_due(entry.looked):
                        self._look(model, entry)
                    served = entry.served
                finally:
                    entry.lock.release()
        if served is None:
            raise entry.failure or NotServed(f"no model {model!r} is served here")
        return served

    def _slept(self, entry: _Entry, now: float) -> bool:
        """Whether the process slept far past the interval before somebody looked. That a look takes
        long, on slow storage or for a large version, is no sleep: others need not wait for it."""
        looked = entry.looked
        until = entry.began if entry.began > looked else now
        return until - looked > _SLEPT * self._interval

    def _is_due(self, looked: float) -> bool:
        return self._monotonic() - looked >= self._interval

    def _enter(self, model: str) -> _Entry:
        """A place for a model that may exist; names from a URL are no reason to grow memory."""
        unknown = NotServed(f"no model {model!r} is served here")
        if not paths.is_model_name(model) or (self.pinned is not None and model != self.pinned):
            raise unknown
        if model not in self.names() and self.pinned is None:
            raise unknown
        return self._entries.setdefault(model, _Entry())

    def _look(self, model: str, entry: _Entry) -> None:
        """One conditional read of the manifest, and what follows from it."""
        entry.began = self._monotonic()
        blob: Blob | None = None
        try:
            blob = self._lake().read_if_changed(paths.manifest(model), entry.generation)
            entry.failure = None
            if blob is not None:
                before, entry.served = entry.served, self._load(model, entry.served, blob)
                entry.generation = blob.info.generation
                if before is not None and before.model is not entry.served.model:
                    del before
                    give_back()
            elif entry.served and entry.served.beside and entry.served.beside.again:
                beside = self._load_beside(entry.served.manifest, entry.served)
                entry.served = replace(entry.served, beside=beside)
        except Exception as error:  # noqa: BLE001 - whatever is wrong, the last good version answers
            self._fail(model, entry, blob, error)
        entry.looked = self._monotonic()

    def _fail(self, model: str, entry: _Entry, blob: Blob | None, error: Exception) -> None:
        if isinstance(error, ObjectNotFound) and error.name == paths.manifest(model):
            entry.served, entry.generation = None, 0
            entry.failure = NotServed(f"{model!r} has no champion yet")
            self._on_problem(model, entry.failure)
            return
        failure = entry.failure = told(error)
        self._on_problem(model, failure)
        if blob is None:
            return
        lasting = isinstance(failure, PackageInvalid)
        if lasting and entry.served is None:
            entry.served = self._former(model, blob)
        answers = entry.served.model.version if entry.served else None
        self._alerts.fails(
            model, "champion", subject_of(model, blob), failure, answers, lasting=lasting
        )
        if lasting and entry.served:
            # These bytes will not get better; look again only when the manifest moves on.
            entry.generation = blob.info.generation

    def _former(self, model: str, blob: Blob) -> Served | None:
        """What the champion that does not load replaced, where that is known and loads: a process
        that starts now answers like those that have it in memory."""
        try:
            manifest = parse(model, blob)
            version = manifest.replaced
            about = read_version(model, version, lake=self._lake()) if version else {}
            if not about:
                return None
            found = package_of(about)
            named = {key: found[key] for key in ("version", "package", "sha256", "files")}
            former = replace(manifest, **named, semantic_version=found["semantic_version"])
            return self._load_version(former, former, None)
        except Exception as error:  # noqa: BLE001 - then nothing answers, as without it
            self._on_problem(model, told(error))
            return None

    def _load(self, model: str, before: Served | None, blob: Blob) -> Served:
        manifest = parse(model, blob)
        served = self._load_version(manifest, manifest, before)
        self._alerts.loads(model, "champion", manifest.version)
        return replace(served, beside=self._load_beside(manifest, before))

    def _load_beside(self, manifest: Manifest, before: Served | None) -> Beside | None:
        """The second version. One that does not load is told, and left alone."""
        model, second = manifest.model, manifest.beside
        if second is None:
            self._alerts.forget(model, "beside")
            return None
        found, known = Beside(second, None), before.beside if before else None
        if known is not None and known.second.id == second.id:
            found.trust, found.told = known.trust, known.told
        try:
            found.served = self._load_version(manifest, second, before)
        except Exception as error:  # noqa: BLE001 - the champion answers alone
            failure = told(error)
            self._on_problem(model, failure)
            # The bytes of a package will not get better; storage may.
            lasting = isinstance(failure, PackageInvalid)
            subject = f"{second.version} (beside the champion, {second.id})"
            answers = manifest.version
            self._alerts.fails(model, "beside", subject, failure, answers, lasting=lasting)
            found.again, found.told = not lasting, True
        else:
            self._alerts.loads(model, "beside", second.version)
        return found

    def _load_version(
        self, manifest: Manifest, named: Manifest | SecondVersion, before: Served | None
    ) -> Served:
        """What the manifest names, out of memory where it is there already: the manifest changes
        beside its champion, a share is raised, a canary becomes the champion."""
        for about, served in in_memory(before):
            if (about.version, about.files) == (named.version, named.files):
                return replace(served, manifest=manifest, beside=None)
        with self._loading:  # one at a time: what is read and not yet loaded takes memory, too
            make_room = partial(self._make_room, manifest.model)
            return load_version(manifest, named, self._lake(), make_room)

    def _make_room(self, model: str, weight: int) -> None:
        """Let go of the versions of other models, those first that were asked for longest ago,
        until there is room or none are left: the one that is asked for is loaded all the same."""
        total = weight + sum(served.weight for served in self.loaded())
        others = [(entry.used, name) for name, entry in list(self._entries.items())]
        freed = 0
        for _, name in sorted(others):
            if total - freed <= self._room:
                break
            if name != model:
                freed += self._let_go(name)
        if freed:
            give_back()

    def _let_go(self, model: str) -> int:
        """Bytes that a model took; none while somebody looks after it. Requests that have the
        version in hand finish with it."""
        entry = self._entries[model]
        served = entry.served
        if served is None or not entry.lock.acquire(blocking=False):
            return 0
        try:
            entry.looked = _NEVER  # before `served` goes: who finds none looks again
            entry.served, entry.generation = None, 0
        finally:
            entry.lock.release()
        self._on_let_go(model)
        beside = served.beside.served if served.beside else None
        return served.weight + (beside.weight if beside else 0)
