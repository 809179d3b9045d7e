"""Where everything lies: each object name in the buckets is a function here, and nowhere else.

Pure string building. Names that come from people are checked by `model_name` before use.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date

MODEL_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SPEC_QUESTION = re.compile(r"spec-(\d+)")


def is_model_name(text: str) -> bool:
    """True for `[a-z][a-z0-9_]*` up to 63 characters: safe in paths, URLs and registries."""
    return MODEL_PATTERN.fullmatch(text) is not None


def digest(text: str, length: int = 64) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


# --- specs, claims, lanes, waiting ---------------------------------------------------------------


def spec(model: str) -> str:
    """The registered spec in force: effective JSON with its generation number."""
    return f"specs/{model}/current.json"


def spec_generation(model: str, generation: int) -> str:
    return f"specs/{model}/{generation:06d}.json"


def spec_question(generation: int) -> str:
    """The name of the question about a generation, where versions have their id."""
    return f"spec-{generation}"


def generation_asked(question: str) -> int | None:
    """The generation that such a question is about, None for that of a version."""
    match = _SPEC_QUESTION.fullmatch(question)
    return int(match[1]) if match else None


def spec_decision(model: str, generation: int) -> str:
    """How the question about a generation ended: the last thing that is written about it."""
    return f"specs/{model}/{generation:06d}-decision.json"


def first_training(model: str) -> str:
    """What a model's first training fixes for all later ones: the holdout's salt, the labels."""
    return f"specs/{model}/holdout.json"


def spec_upload(model: str) -> str:
    """In the inbox."""
    return f"_specs/{model}.yaml"


def claim(key: str) -> str:
    return f"claims/{digest(key)}.json"


def content_claim(key: str) -> str:
    return f"claims/content/{digest(key)}.json"


def lane(model: str) -> str:
    return f"lanes/{model}.json"


def waiting(model: str, key: str) -> str:
    return f"waiting/{model}/{digest(key, 32)}.json"


# --- batches of several sources ------------------------------------------------------------------


def batch_arrivals(model: str, intent: str, batch: str) -> str:
    """The folder of all files that came for a batch."""
    return f"batches/{model}/{intent}/{batch}/arrivals/"


def batch_arrival(model: str, intent: str, batch: str, source: str, upload: str) -> str:
    """One file of one source, newer generations later; `upload` is gs://bucket/name#generation."""
    generation = upload.rpartition("#")[2]
    name = f"{source}/{generation:0>20}-{digest(upload, 8)}.json"
    return batch_arrivals(model, intent, batch) + name


def batch_closed(model: str, intent: str, batch: str) -> str:
    """What was decided about a batch, once."""
    return f"batches/{model}/{intent}/{batch}/closed.json"


def batch_open(model: str, intent: str, batch: str) -> str:
    """There while a batch waits or is being closed: closed ones are never looked at again."""
    return f"batches-open/{model}/{intent}/{batch}.json"


# --- inputs and runs -----------------------------------------------------------------------------


def input_copy(model: str, intent: str, run_id: str, file_name: str) -> str:
    return f"inputs/{model}/{intent}/{run_id}/{file_name}"


def run(model: str, run_id: str) -> str:
    return f"runs/{model}/{run_id}/"


def run_request(model: str, run_id: str) -> str:
    """What was asked: the truth behind every `*Requested` message."""
    return f"runs/{model}/{run_id}/request.json"


def run_launch(model: str, run_id: str) -> str:
    """What launch resolved once for the run."""
    return f"runs/{model}/{run_id}/launch.json"


def run_event(model: str, run_id: str, name: str) -> str:
    """One transition of a run, create-only."""
    return f"runs/{model}/{run_id}/events/{name}.json"


def run_outcome(model: str, run_id: str) -> str:
    """What a job found: the truth behind every outcome message of that run."""
    return f"runs/{model}/{run_id}/outcome.json"


def run_stage(model: str, run_id: str, stage: str) -> str:
    return f"runs/{model}/{run_id}/stages/{stage}"


def run_lease(model: str, run_id: str, attempt: int, task: int) -> str:
    return f"runs/{model}/{run_id}/lease/{attempt}-{task}.json"


def run_tasks(model: str, run_id: str) -> str:
    """The folder of how long tasks took."""
    return f"runs/{model}/{run_id}/tasks/"


def run_task(model: str, run_id: str, attempt: int, task: int, retry: int) -> str:
    """How long one try of a task took, create-only."""
    return f"{run_tasks(model, run_id)}{attempt}-{task}-{retry}.json"


def rejection(model: str, key: str) -> str:
    return f"rejections/{model}/{key}.json"


def quarantine(model: str, run_id: str, file_name: str) -> str:
    return f"quarantine/{model}/{run_id}/{file_name}"


def dataset(model: str, run_id: str, file_name: str = "") -> str:
    return f"datasets/{model}/{run_id}/{file_name}"


def features(model: str, version_id: str, file_name: str = "") -> str:
    """What joined sources say about each key, as of the training: immutable."""
    return f"features/{model}/{version_id}/{file_name}"


# --- versions and serving ------------------------------------------------------------------------


def version(model: str, version_id: str, file_name: str = "") -> str:
    return f"models/{model}/{version_id}/{file_name}"


def package(model: str, version_id: str, file_name: str = "") -> str:
    return f"models/{model}/{version_id}/package/{file_name}"


def comparison(model: str, file_name: str = "") -> str:
    """One object per comparison with a champion, to count them by."""
    return f"comparisons/{model}/{file_name}"


def manifest(model: str) -> str:
    return f"serving/{model}.json"


def moves(model: str) -> str:
    """The folder of a model's audit trail."""
    return f"moves/{model}/"


def move(model: str, revision: int) -> str:
    """One change of the serving manifest, create-only."""
    return f"{moves(model)}{revision:06d}.json"


def told(model: str, revision: int) -> str:
    """There once people were told of a move of the champion, create-only."""
    return f"told/{model}/{revision:06d}.json"


def numbers(model: str) -> str:
    """The folder of the semantic versions that were given to a model's versions."""
    return f"numbers/{model}/"


def number(model: str, semantic_version: str) -> str:
    """Which version has this semantic version, create-only: no two versions share one."""
    return f"{numbers(model)}{semantic_version}.json"


def experiment(model: str, experiment_id: str = "") -> str:
    """What an experiment was and how it ended; without an id the folder of all."""
    folder = f"experiments/{model}/"
    return f"{folder}{experiment_id}.json" if experiment_id else folder


def canary(model: str, canary_id: str = "") -> str:
    """How a canary was judged and how it ended; without an id the folder of all."""
    folder = f"canaries/{model}/"
    return f"{folder}{canary_id}.json" if canary_id else folder


def approval(model: str, version_id: str) -> str:
    return f"approvals/{model}/{version_id}.json"


def approval_settled(approval: str, generation: int) -> str:
    """There once nothing is left to do for this generation of an approval's object."""
    return (
        f"{APPROVALS_SETTLED}{approval.removeprefix(APPROVALS).removesuffix('.json')}/{generation}"
    )


APPROVALS, APPROVALS_SETTLED = "approvals/", "approvals-settled/"


def mirror(model: str, registry: str = "MLflow") -> str:
    """The champion that mirror last wrote to a registry."""
    if registry == "MLflow":  # it was the only one once
        return f"mirror/{model}.json"
    return f"mirror/{model}/{_slug(registry)}.json"


def mirror_moved(model: str, registry: str) -> str:
    """The champion alias that somebody moved in a registry, while it differs from ours."""
    return f"mirror/{model}/{_slug(registry)}-moved.json"


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def incident(model: str, incident_id: str) -> str:
    return f"incidents/{model}/{incident_id}.json"


def retrain_ledger(model: str) -> str:
    """The trainings that the loop asked for, changed by compare-and-swap only."""
    return f"incidents/{model}.json"


# --- predictions, labels, reports ----------------------------------------------------------------


def predictions(model: str, run_id: str, file_name: str = "") -> str:
    return f"predictions/{model}/{run_id}/{file_name}"


def inference_log(day: date) -> str:
    return f"inference-log/dt={day.isoformat()}/"


def latest_predictions(model: str) -> str:
    """The summary of the scoring run that finished last."""
    return f"predictions/{model}/latest.json"


def labels(model: str, day: date | None = None, run_id: str = "") -> str:
    if day is None:
        return f"labels/{model}/"
    return f"labels/{model}/dt={day.isoformat()}/{run_id}.jsonl"


def reports(model: str, channel: str = "", window: str = "", file_name: str = "") -> str:
    parts = [part for part in (model, channel, window) if part]
    return "reports/" + "/".join(parts) + "/" + file_name


def notification(key: str, channel: str = "") -> str:
    """The claim on telling something; with a channel the mark that it was posted there."""
    return f"claims/notify/{digest(key)}{f'-{channel}' if channel else ''}.json"


def alert(model: str, incident_id: str) -> str:
    """What people were told about an incident; without names the folder of all."""
    return f"alerts/{model}/{incident_id}.json" if incident_id else "alerts/"


def mutes(model: str) -> str:
    """What is muted of a model; without a name the folder of all."""
    return f"mutes/{model}.json" if model else "mutes/"


def digest_entry(model: str, kind: str, key: str) -> str:
    """Something that waits for the next digest; under `_` what is about no model."""
    folder = model if is_model_name(model) else "_"
    return f"{DIGEST_ENTRIES}{folder}/{kind}/{digest(key, 32)}.json"


def digest_plan(slot: str) -> str:
    """What a digest tells: fixed before anything of it is posted."""
    return f"digests/{slot}.json"


DIGEST_ENTRIES = "digests-waiting/"
# Names the digest that is at work: one at a time plans, posts and clears away.
DIGEST_TURN = "digests-turn.json"


def dead_letter(function: str, day: date, message_id: str) -> str:
    return f"dead-letters/{function}/dt={day.isoformat()}/{message_id}.json"


def forgotten(forget_id: str = "") -> str:
    """What was erased of somebody: a report without a personal value; without an id the folder."""
    return f"forgotten/{forget_id}.json" if forget_id else "forgotten/"
