"""The demo's story, step by step. It only does what a user could do: upload files, ask the
predictor over HTTP, publish ticks, read the lake and Slack."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared import documents, events, paths
from shared.cli import words
from shared.cli.contexts import Context
from shared.cli.demo.data import Cut, write_labels
from shared.cli.demo.timeline import Timeline
from shared.cli.demo.use_cases import UseCase
from shared.cli.demo.watching import DemoFailed, Watcher, Window
from shared.cli.dropping import follow_upload
from shared.cli.following import Followed, follow
from shared.cli.trying import as_record
from shared.events import DigestDue, MonitorDue, WindowDue
from shared.ports import ObjectInfo
from shared.spec.load import dump_spec
from shared.spec.model import Spec

RUN_SECONDS = 300.0

STEPS = (
    "Drop the spec and the training data",
    "Ask the predictor",
    "Score an ordinary file and judge its window",
    "Score a file from after an upstream change",
    "The truth arrives: labels for that file",
    "Retrain on them, compare, decide",
    "The daily digest: what nobody had to know at once",
)


@dataclass
class Story:
    """One telling. What it found out stays in it for the summary."""

    use_case: UseCase
    context: Context
    timeline: Timeline
    spec: Spec
    cut: Cut
    files: Path
    champion: str = ""
    challenger: str = ""
    challenger_state: str = ""
    ordinary: Window | None = None
    shifted: Window | None = None

    def __post_init__(self) -> None:
        self.watch = Watcher(self.model, self.context, self.timeline)

    @property
    def model(self) -> str:
        return self.use_case.model

    def tell(self) -> None:
        """All steps in order. Raises DemoFailed."""
        parts = (
            self.train,
            self.ask,
            self.score_ordinary,
            self.score_shifted,
            self.labels_arrive,
            self.retrain,
            self.digest,
        )
        for title, part in zip(STEPS, parts, strict=True):
            with self.timeline.step(title):
                part()

    # --- steps -----------------------------------------------------------------------------------

    def train(self) -> None:
        """Spec and data go up together; whichever event comes first, one run comes of it."""
        spec_name = paths.spec_upload(self.model)
        text = dump_spec(self.spec)
        self.context.inbox.write(spec_name, text.encode(), content_type="application/yaml")
        self.timeline.say(f"gs://{self.context.inbox.name}/{spec_name}")
        followed = self._drop("train", self.cut.train)
        self._expect(followed, "promoted")
        self.champion = followed.run_id
        self.watch.skip_slack()

    def ask(self) -> None:
        """One row that the model has never seen, asked over HTTP."""
        record = as_record(self.spec, self.cut.question)
        url = f"{self.context.config.predict_url}/models/{self.model}/predict"
        self.timeline.say(f"POST {url}")
        self.timeline.say(json.dumps({"instances": [record]}), style="cyan")
        answer = self.watch.answer(url, {"instances": [record]})
        self.timeline.say(json.dumps(answer["predictions"][0]), style="green")
        self.timeline.say(f"(the truth, which only the demo knows: {self.cut.answer})")

    def score_ordinary(self) -> None:
        """More of the same data: the monitor finds nothing."""
        self.ordinary = self._score(self.cut.score)
        self._judge(self.ordinary, revision=0)
        verdict = self.ordinary.latest["verdict"]
        self.timeline.happened(f"verdict: {verdict}; {self.watch.sentence(self.ordinary, 'drift')}")
        if verdict != "stable":
            raise DemoFailed(f"an ordinary file was judged {verdict}, expected stable")

    def score_shifted(self) -> None:
        """The inputs moved: the monitor says so, a person is asked, and the loop says why it
        does not train by itself."""
        self.timeline.say(f"Meanwhile {self.use_case.story}.", style="italic")
        self.watch.skip_slack()
        window = self.shifted = self._score(self.cut.shifted)
        self._judge(window, revision=0)
        verdict = window.latest["verdict"]
        self.timeline.happened(f"verdict: {verdict}; {self.watch.sentence(window, 'drift')}")
        if verdict != "drifted":
            raise DemoFailed(f"the shifted file was judged {verdict}, expected drifted")
        incident_id = window.incident("drift")
        decision = self.watch.decision(incident_id)
        self.timeline.happened(f"retrain guard: {decision['sentence']}")
        self.watch.show_slack(incident_id, messages=2)

    def labels_arrive(self) -> None:
        """Weeks later in real life: what became of every row of the shifted file."""
        window = self._shifted()
        labels = write_labels(self.files / "labels.csv", window.run_id, self.cut.truths)
        self.timeline.say(
            f"{len(self.cut.truths)} labels, keyed by prediction_id ({window.run_id}-1 ...)"
        )
        self._expect(self._drop("labels", labels), "labelled")
        self.watch.skip_slack()
        self._publish(MonitorDue())
        self.timeline.happened("tick: the monitor looks for windows whose labels changed")
        self.watch.report(window, revision=1)
        self.timeline.happened(
            f"the same window again, revision 1: {self.watch.sentence(window, 'performance')}"
        )
        if not window.latest["alarms"]["performance"]["firing"]:
            raise DemoFailed("the labels show no drop in performance, expected one")

    def retrain(self) -> None:
        """The guard has something to learn from now; the result is a challenger like any other."""
        incident_id = self._shifted().incident("performance")
        decision = self.watch.decision(incident_id)
        self.timeline.happened(f"retrain guard: {decision['sentence']}")
        self.watch.show_slack(incident_id, messages=2)
        if decision["action"] != "training":
            raise DemoFailed(f"the loop did not train: {decision['sentence']}")
        self.challenger = str(decision["request"]["run_id"])
        followed = follow(
            self.model,
            self.challenger,
            lake=self.context.lake,
            seconds=RUN_SECONDS,
            on_event=self._on_event,
        )
        self.challenger_state = followed.state
        if followed.state not in ("promoted", "not_promoted", "awaiting_approval"):
            raise self._unexpected(followed, "a decision about the challenger")
        self.watch.show_slack(self.challenger, messages=1)

    def digest(self) -> None:
        """Files that were scored, labels that came: once a day, not a message each."""
        slot = f"{self.context.clock.now():%Y-%m-%dT%H%M%S}"
        self._publish(DigestDue(slot=slot))
        self.timeline.happened("tick: notify tells what was kept for the digest")
        self.watch.show_slack(slot, messages=1)

    # --- parts of steps --------------------------------------------------------------------------

    def _drop(self, folder: str, file: Path) -> Followed:
        upload: ObjectInfo = self.context.inbox.upload(
            f"{self.model}/{folder}/{file.name}", file, content_type="text/csv"
        )
        self.timeline.say(
            f"gs://{upload.bucket}/{upload.name}  ({upload.size_bytes / 1024:,.0f} KiB)"
        )
        return follow_upload(
            self.context, self.model, upload, seconds=RUN_SECONDS, show=self._on_event
        )

    def _on_event(self, event: Mapping[str, Any]) -> None:
        self.timeline.happened(words.sentence(event))

    def _score(self, file: Path) -> Window:
        followed = self._drop("score", file)
        self._expect(followed, "scored")
        name = paths.predictions(self.model, followed.run_id, "summary.json")
        summary = documents.require(self.context.lake, name)
        started = events.parse_time(summary["started"]).replace(microsecond=0)
        finished = events.parse_time(summary["finished"]).replace(microsecond=0)
        return Window(
            run_id=followed.run_id,
            start=started,
            end=finished + timedelta(seconds=1),  # windows end exclusively, on whole seconds
        )

    def _judge(self, window: Window, *, revision: int) -> None:
        while self.context.clock.now() < window.end:
            time.sleep(0.05)
        due = WindowDue(
            model=self.model, channel="batch", window_start=window.start, window_end=window.end
        )
        self._publish(due)
        self.timeline.happened(f"tick: the monitor judges {window.start:%X}..{window.end:%X} UTC")
        self.watch.report(window, revision=revision)

    def _publish(self, event: DigestDue | MonitorDue | WindowDue) -> None:
        events.publish(event, publisher=self.context.publisher, clock=self.context.clock)

    def _shifted(self) -> Window:
        if self.shifted is None:
            raise DemoFailed("the shifted file was not scored")
        return self.shifted

    # --- ends ------------------------------------------------------------------------------------

    def _expect(self, followed: Followed, state: str) -> None:
        if followed.state != state:
            raise self._unexpected(followed, state.replace("_", " "))

    def _unexpected(self, followed: Followed, expected: str) -> DemoFailed:
        why = words.sentence(followed.events[-1]) if followed.events else "nothing happened"
        return DemoFailed(
            f"run {followed.run_id or '-'} is {followed.state.replace('_', ' ')} ({why}); "
            f"expected {expected}"
        )
