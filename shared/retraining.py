"""May the loop train again? The guard first, then the policy of the alert's kind. Pure.

The guard asks whether there is anything to learn from and whether the loop has earned another try;
the policy asks whether this kind of alert trains by itself. Both answers go into one sentence,
whatever they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.documents import timestamp
from shared.spec.model import Retrain, format_duration

Policy = Literal["ask", "train", "never"]
FRUITLESS = frozenset({"not_promoted", "rejected", "failed", "expired"})
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Past:
    """A training the loop asked for earlier; `state` is the run's by now."""

    incident_id: str
    run_id: str
    at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What the decision rests on. `new_labels` are matched labels recorded after the champion's
    training was requested and unknown to it; `champion_since` is when that was."""

    model: str
    alert: Literal["drift", "performance"]
    about_version: str
    champion: str | None
    champion_since: datetime | None
    pinned: bool
    new_labels: int
    past: Sequence[Past]
    now: datetime
    inbox: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """`train` when a training is to be requested; `asks` is how loudly to say so."""

    train: bool
    guard: str
    policy: str
    advice: str
    asks: Literal["act now", "decide", "know"]

    @property
    def sentence(self) -> str:
        return f"{self.guard}; {self.policy}. {self.advice}"


def rule(situation: Situation, settings: Retrain) -> Ruling:
    """Guard, then policy."""
    word: Policy = settings.on_drift if situation.alert == "drift" else settings.on_performance
    policy = {
        "ask": f"{situation.alert} asks a person",
        "train": f"{situation.alert} may train by itself",
        "never": f"{situation.alert} never trains",
    }[word]
    drop_labels = f"drop labels into gs://{situation.inbox}/{situation.model}/labels/"
    held = _held(situation, settings)
    if held:
        asks: Literal["decide", "know"] = "decide" if held.asks else "know"
        return Ruling(False, held.guard, policy, held.advice, asks)
    counted = f"{situation.new_labels} new labelled rows ({settings.min_new_labels} needed)"
    if situation.new_labels < settings.min_new_labels:
        advice = f"Nothing to retrain on yet: {drop_labels}."
        return Ruling(False, counted, policy, advice, "know")
    late = _held_by_time(situation, settings)
    if late:
        return Ruling(False, f"{counted}, but {late.guard}", policy, late.advice, "know")
    if word == "train":
        advice = "A training on the champion's rows and the new labels is requested."
        return Ruling(True, counted, policy, advice, "know")
    hand = (
        f"To train, drop a training file into gs://{situation.inbox}/{situation.model}/train/, or "
        f"set retrain.on_{situation.alert}: train in the spec for the next time."
    )
    return Ruling(False, counted, policy, hand, "decide" if word == "ask" else "know")


@dataclass(frozen=True, slots=True)
class _Held:
    guard: str
    advice: str
    asks: bool = False


def _held(situation: Situation, settings: Retrain) -> _Held | None:
    """What holds the loop whatever labels there are."""
    model = situation.model
    if situation.champion is None:
        return _Held("there is no champion", "Drop a training file first.")
    if situation.champion != situation.about_version:
        return _Held(
            f"the alert is about {situation.about_version}, {situation.champion} serves by now",
            "Nothing to do.",
        )
    if situation.pinned:
        return _Held(
            f"{model} is pinned, automation is held",
            f"To let it go on: ./millrace unpin {model}.",
            asks=True,
        )
    since = situation.champion_since
    tries = [item for item in situation.past if since is None or item.at > since]
    tries.sort(key=lambda item: item.at)
    fruitless = tries[-settings.give_up_after :]
    if len(fruitless) == settings.give_up_after and all(
        item.state in FRUITLESS for item in fruitless
    ):
        return _Held(
            f"the last {len(fruitless)} retrainings did not beat the champion, so the loop gave up",
            f"A person has to look: is the data of {model} still about the same thing? A training "
            f"dropped by hand that is promoted starts the loop again.",
            asks=True,
        )
    return None


def _held_by_time(situation: Situation, settings: Retrain) -> _Held | None:
    """What holds the loop for a while."""
    times = sorted(item.at for item in situation.past)
    if times and situation.now < times[-1] + settings.cooldown:
        until = timestamp((times[-1] + settings.cooldown).replace(microsecond=0))
        return _Held(
            f"the last retraining was asked for within {format_duration(settings.cooldown)}",
            f"The loop cools down until {until}; the next alert after that is looked at again.",
        )
    week = [time for time in times if time > situation.now - WEEK]
    if len(week) >= settings.max_per_week:
        return _Held(
            f"{len(week)} retrainings were asked for within a week ({settings.max_per_week} "
            f"allowed)",
            "The next alert after that week is looked at again.",
        )
    return None
