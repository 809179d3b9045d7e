"""A second version beside a model's champion, as the manifest names it: one at a time, of one kind.

    experiment   answers a fixed share of the units until people judge it on labels
    canary       answers a share that is raised in steps until it is promoted or taken back
    shadow       scores a share of the rows after the champion; nobody gets its answers

Who gets it is a function of id, key value and share (`shared.serving.assigning`). The id stays
while a canary's share is raised, so whoever had the challenger keeps it and others only join. Its
kind is also the key under which moves and lines of the prediction log tell about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

PREDICTION_ID = "prediction_id"
Kind = Literal["experiment", "canary", "shadow"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class SecondVersion:
    """`version` is the challenger, `against` the champion of that time (`revision` is the move that
    made it serve). `share` of the values of `key` get the challenger, until `until` where that is
    set. `package`, `sha256`, `files` and `features` are as the manifest has them of a champion.

    `steps` are the shares that a canary is raised to, `step` is the place of its `share` there, and
    `step_started_at` when it came there."""

    id: str
    version: str
    package: str
    sha256: str
    files: Mapping[str, str]
    features: tuple[Mapping[str, Any], ...]
    against: str
    revision: int
    share: float
    key: str
    started_at: str
    by: str
    reason: str
    until: str | None = None
    semantic_version: str | None = None
    kind: Kind = "experiment"
    steps: tuple[float, ...] = ()
    step: int = 0
    step_started_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> SecondVersion:
        """Raises KeyError, TypeError, ValueError, AttributeError for what is no second version:
        what every request is dealt by has to hold when a manifest is read, not when it serves."""
        known = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        steps = tuple(map(_share, body.get("steps", ())))
        found = cls(**{**known, "features": tuple(body["features"]), "steps": steps})
        _share(found.share)
        found.over(datetime.now(UTC))
        if not (isinstance(found.key, str) and isinstance(found.id, str)):
            raise TypeError(f"id and key are texts, not {found.id!r} and {found.key!r}")
        dict(found.files.items())
        return found

    @property
    def answers(self) -> bool:
        """True when callers get its answers."""
        return self.kind != "shadow"

    @property
    def sticky(self) -> bool:
        """True when whoever the key names always gets the same version; without a key each
        prediction is dealt by its own id, as good as at random."""
        return self.key != PREDICTION_ID

    def is_same_question(self, other: SecondVersion) -> bool:
        """True when both ask the same of the same versions, whoever started them, and whichever
        step one of them is at."""
        return self._question() == other._question()

    def _question(self) -> tuple[object, ...]:
        shares = self.steps or (self.share,)
        return self.kind, self.version, self.against, shares, self.key

    def at_step(self, step: int, at: str) -> SecondVersion:
        """As it is from `at` on, at another of its steps. Raises ValueError for one that is not
        there, and for one with a smaller share: units would lose the version they have."""
        if not 0 <= step < len(self.steps):
            raise ValueError(f"{self.kind} {self.id} has {len(self.steps)} steps, none at {step}")
        share = self.steps[step]
        if share < self.share:
            raise ValueError(f"{self.kind} {self.id} is at {self.share:g}, which is over {share:g}")
        return replace(self, share=share, step=step, step_started_at=at)

    def over(self, now: datetime) -> bool:
        """True from the planned end on."""
        return self.until is not None and now >= datetime.fromisoformat(self.until)


def _share(value: Any) -> float:
    """Raises TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share between 0 and 1")
    return value


def second_of(manifest: Mapping[str, Any]) -> SecondVersion | None:
    """The second version that the body of a manifest names, in the words of this code or of that
    before it. None also for a kind of later code: the champion is to be followed all the same."""
    body = manifest.get("beside") or manifest.get("experiment")
    if not body or body.get("kind", "experiment") not in KINDS:
        return None
    return SecondVersion.from_json(body)


def mark_in(line: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]] | None:
    """What a line of the prediction log says about a second version, and of what kind it was."""
    return next(((kind, line[kind]) for kind in KINDS if line.get(kind)), None)
