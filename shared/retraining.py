"""May the loop train again? The guard first, then the policy of the alert's kind. Pure.

The guard asks whether there is anything to learn from and whether the loop has earned another try;
the policy asks whether this kind of alert trains by itself. Both answers go into one sentence,
whatever they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.documents import timestamp
from shared.spec.model import Retrain, format_duration

Policy = Literal["ask", "train", "never"]
Cause = Literal["drift", "performance", "refresh"]
FRUITLESS = frozenset({"not_promoted", "rejected", "failed", "expired"})
WEEK = timedelta(days=7)
# What a retraining needs where the spec does not say: a share of what the champion learned from.
NEW_SHARE, MOST_NEEDED, LEAST_NEEDED = 0.05, 500, 200


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
    training was requested and unknown to it; `champion_since` is when that was. `champion_rows` are
    those it learned from, None where nobody knows. `biased`: labels say nothing about most
    predictions. `broken`: the data of the window that the alert is about is."""

    model: str
    alert: Cause
    about_version: str
    champion: str | None
    champion_since: datetime | None
    pinned: bool
    new_labels: int
    past: Sequence[Past]
    now: datetime
    inbox: str
    champion_rows: int | None = None
    biased: bool = False
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """`train` when a training is to be requested; `asks` is how loudly to say so. `later`: only
    time is in the way."""

    train: bool
    guard: str
    policy: str
    advice: str
    asks: Literal["act now", "decide", "know"]
    later: bool = False

    @property
    def sentence(self) -> str:
        said = f"{self.guard}; {self.policy}. {self.advice}"
        return said[0].upper() + said[1:]


def labels_needed(settings: Retrain, champion_rows: int | None) -> int:
    """How many new labelled rows a retraining needs: what the spec says, else 5 % of the rows that
    the champion learned from, at most 500 and at least 200."""
    if settings.min_new_labels is not None:
        return settings.min_new_labels
    if champion_rows is None:
        return MOST_NEEDED
    return max(LEAST_NEEDED, min(MOST_NEEDED, math.ceil(NEW_SHARE * champion_rows)))


def rule(situation: Situation, settings: Retrain) -> Ruling:
    """Guard, then policy."""
    alert = situation.alert
    word: Policy = {
        "drift": settings.on_drift,
        "performance": settings.on_performance,
        "refresh": "train",  # who does not want it writes no stretch
    }[alert]
    policy = {
        "ask": f"{alert} asks a person",
        "train": f"{alert} may train by itself",
        "never": f"{alert} never trains",
    }[word]
    held = _held(situation, settings)
    if held:
        asks: Literal["decide", "know"] = "decide" if held.asks else "know"
        return Ruling(False, held.guard, policy, held.advice, asks)
    needed = labels_needed(settings, situation.champion_rows)
    counted = f"{situation.new_labels} new labelled rows ({needed} needed)"
    if situation.broken:
        counted += ", though the data of that window is out of bounds, too"
    if situation.new_labels < needed:
        advice = f"Nothing to retrain on yet: drop labels into {_folder(situation, 'labels')}."
        return Ruling(False, counted, policy, advice, "know")
    late = _held_by_time(situation, settings)
    if late:
        guard = f"{counted}, but {late.guard}"
        return Ruling(False, guard, policy, late.advice, "know", later=True)
    if word == "train":
        return Ruling(
            True, counted, policy, f"A training on {_data(settings)} is requested.", "know"
        )
    hand = (
        f"To train, drop a training file into {_folder(situation, 'train')}, or "
        f"set retrain.on_{alert}: train in the spec for the next time."
    )
    return Ruling(False, counted, policy, hand, "decide" if word == "ask" else "know")


def _folder(situation: Situation, intent: str) -> str:
    return f"gs://{situation.inbox}/{situation.model}/{intent}/"


def _data(settings: Retrain) -> str:
    if settings.data == "latest":
        return "the new labels alone"
    if settings.last_rows is not None:
        return f"the newest {settings.last_rows} of the champion's rows and the new labels"
    return "the champion's rows and the new labels"


@dataclass(frozen=True, slots=True)
class _Held:
    guard: str
    advice: str
    asks: bool = False


def _held(situation: Situation, settings: Retrain) -> _Held | None:
    """What holds the loop whatever labels there are."""
    return _moot(situation) or _stopped(situation, settings)


def _moot(situation: Situation) -> _Held | None:
    """What makes this occasion none to train at."""
    if situation.champion is None:
        return _Held("there is no champion", "Drop a training file first.")
    if situation.champion != situation.about_version:
        return _Held(
            f"the alert is about {situation.about_version}, {situation.champion} serves by now",
            "Nothing to do.",
        )
    # What labels prove is another matter: an upstream change that stays has to be learned, and the
    # gate decides on newer labelled rows than those that are fitted.
    if situation.broken and situation.alert != "performance":
        return _Held(
            "the data of that window is broken, and drift of broken data trains nothing",
            "Mend the data; if the change is there to stay, labels show whether it does harm.",
        )
    return None


def _stopped(situation: Situation, settings: Retrain) -> _Held | None:
    """What holds every training of the model until a person does something."""
    model = situation.model
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
    if situation.biased:
        return _Held(
            "only predictions that somebody acted on get a label (labels.selection), so nothing is "
            "learned from labels",
            f"To train, drop a training file into {_folder(situation, 'train')}.",
            asks=situation.alert != "refresh",
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
