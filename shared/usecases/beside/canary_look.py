"""Sweep looks at a canary: what is new in the log, the judge's verdict, and what follows from it.

Everything that a look finds is saved before it is acted on, so a look that died is gone on with by
the next one, and of two at once the one that saves first acts.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from shared import approvals, documents, paths
from shared.beside import canaries
from shared.beside.canaries import Record
from shared.beside.second_version import SecondVersion
from shared.beside.tally import Tally, add
from shared.beside.verdict import Judged, Terms, judge
from shared.documents import timestamp
from shared.events import parse_time
from shared.manifests import Manifest, read_manifest, set_beside
from shared.serving.times import format_duration
from shared.spec.registry import read_spec
from shared.spec.serving import Canary
from shared.usecases.beside.canary_log import LogReader
from shared.usecases.beside.canarying import BACK, close_open, complete, is_held, tell
from shared.usecases.beside.seconding import gate_of, take_out
from shared.usecases.promoting import Promote


def look_after(manifest: Manifest, ports: Promote, log: LogReader, recorded: Container[str]) -> int:
    """Judge the model's canary by what is new in the log, and finish what a crash left undone.
    `recorded` are the models that have canaries on record."""
    model, running = manifest.model, manifest.beside
    done = close_open(model, manifest, ports) if model in recorded else 0
    if running is None or running.kind == "experiment":
        return done
    decision = documents.read(ports.lake, paths.version(model, running.version, "decision.json"))
    if decision.exists and (running.kind == "canary" or running.by == "policy"):
        body = decision.body
        take_out(manifest, ports, by=body["by"], reason=body["sentence"], how=body["action"])
        return done + 1 + close_open(model, read_manifest(model, lake=ports.lake), ports)
    if running.kind != "canary":
        return done
    record = canaries.keep(model, running, lake=ports.lake)
    record = tell(record, running, _reason(manifest, running), ports)
    return done + _Look(manifest, running, ports).look(record, log)


@dataclass(frozen=True, slots=True)
class _Look:
    manifest: Manifest
    running: SecondVersion
    ports: Promote

    def look(self, record: Record, log: LogReader) -> int:
        running, ports = self.running, self.ports
        if record.step > running.step:
            return 0  # the manifest was read before another sweep's step
        terms, rules = terms_of(self.manifest.model, running, ports)
        record = record.at(running.step)
        news = log.news(running, record.read)
        tally = Tally.from_json(record.tally.to_json())
        tally.skipped_bytes += news.skipped_bytes
        add(tally, news.lines, sticky=running.sticky, far=terms.far)
        judged = judge(tally, terms)
        at = timestamp(ports.clock.now())
        counted = replace(
            record, read=news.read, tally=tally, judged={**judged.to_json(), "at": at}
        )
        saved = canaries.save(counted, lake=ports.lake)
        if saved is None:
            return 0  # another sweep has just looked
        return self._act(saved, judged, rules)

    def _act(self, record: Record, judged: Judged, rules: Canary) -> int:
        manifest, running, ports = self.manifest, self.running, self.ports
        if judged.verdict == "back":
            return self._back(judged.sentence)
        held = is_held(manifest, running)
        if judged.verdict == "go_on" and not held:
            return self._go_on(judged.sentence)
        over = ports.clock.now() - parse_time(running.started_at) >= rules.max_duration
        if not over:
            return 1
        late = f"After {format_duration(rules.max_duration)} it had not passed. {judged.sentence}"
        if rules.on_timeout == "back":
            return self._back(late)
        if rules.on_timeout == "promote" and not held:
            return self._pass(late)
        return self._ask(record, late)

    def _go_on(self, sentence: str) -> int:
        running, model, ports = self.running, self.manifest.model, self.ports
        if running.step + 1 == len(running.steps):
            return self._pass(sentence)
        later = running.at_step(running.step + 1, timestamp(ports.clock.now()))
        set_beside(
            self.manifest, later, by="policy", reason=sentence, lake=ports.lake, clock=ports.clock
        )
        tell(canaries.keep(model, running, lake=ports.lake), later, sentence, ports)
        return 1

    def _pass(self, sentence: str) -> int:
        complete(self.manifest, self.running, self.ports, by=self.running.by, sentence=sentence)
        return 1

    def _back(self, sentence: str) -> int:
        model, ports = self.manifest.model, self.ports
        why = f"{BACK}{sentence}"
        take_out(self.manifest, ports, by="policy", reason=why, how="not_promoted")
        close_open(model, read_manifest(model, lake=ports.lake), ports)
        return 1

    def _ask(self, record: Record, sentence: str) -> int:
        """A question about this canary, whatever was asked about its version before."""
        manifest, running, ports = self.manifest, self.running, self.ports
        if record.asked:
            return 1
        spec = read_spec(manifest.model, lake=ports.lake).spec
        moves = [move.revision for move in manifest.policies if move.beside == running.id]
        # Later than the question that began it, also where the journal of the manifest has none of
        # its moves any more, many pins later.
        last = max(moves, default=manifest.revision)
        approval = approvals.ask(
            manifest.model,
            running.version,
            manifest.version,
            f"Its canary does not end by itself. {sentence} {running.version} goes on with "
            f"{running.share:.3g} of the predictions until somebody decides.",
            spec.promotion.approval_expires,
            turn=max(last, manifest.turn),
            canary=running.id,
            lake=ports.lake,
            clock=ports.clock,
        )
        if approval.pending:
            ports.say(approval.message())
        canaries.save(replace(record, asked=True), lake=ports.lake)
        return 1


def terms_of(model: str, running: SecondVersion, ports: Promote) -> tuple[Terms, Canary]:
    """How the present step is judged: by the spec in force, and by what the gate measured against
    this champion."""
    rules = read_spec(model, lake=ports.lake).spec.serving.canary or Canary()
    gate = gate_of(model, running, lake=ports.lake)
    terms = Terms(
        running.step, running.steps, rules.min_rows, rules.tolerance, gate, running.sticky
    )
    return terms, rules


def _reason(manifest: Manifest, running: SecondVersion) -> str:
    """Why it is at its present step."""
    moves = [move for move in manifest.policies if move.beside == running.id]
    return moves[-1].reason if moves else running.reason
