"""The model card: what a version is, how good it is and how sure that is, where it ends.

It is written before anybody decides: how it was decided stands in decision.md beside it. What it
was made from has a card of its own (`shared.reporting.data_card`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.metric_names import words
from shared.reporting import card_quality as quality
from shared.reporting.figures import measured, moment, number
from shared.reporting.noticed import findings, joined
from shared.reporting.page import Page, Pairs, Row, Section, Words, as_html, as_markdown
from shared.reporting.plots import plots
from shared.reporting.recipe import recipe_rows
from shared.runs import RunRequest
from shared.spec.model import Spec, format_duration
from shared.tabular import metrics
from shared.tabular.importances import Importance
from shared.tabular.metrics import Floats


@dataclass(frozen=True, slots=True)
class Card:
    """What both cards are made of: the stages' records, the holdout's targets and answers, the
    reference profile; `quarantine` is summary.json, `frozen` what the first training fixed."""

    model: str
    version: str
    spec: Spec
    request: RunRequest
    records: Mapping[str, dict[str, Any]]
    metrics: Mapping[str, float]
    target: Floats
    answers: Floats
    labels: Sequence[str]
    reference: Mapping[str, Any]
    importances: Sequence[Importance] = ()
    quarantine: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[str, Any] = field(default_factory=dict)
    targets: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def comparison(self) -> dict[str, Any]:
        body: dict[str, Any] = self.records["compared"]["comparison"]
        return body

    @property
    def prepared(self) -> dict[str, Any]:
        return self.records["prepared"]

    @property
    def semantic_version(self) -> str:
        return str(self.records.get("numbered", {}).get("semantic_version") or "")

    def title(self) -> str:
        return self.spec.title or f"Model {self.model}"

    def subtitle(self, kind: str) -> str:
        number = f" ({self.semantic_version})" if self.semantic_version else ""
        return f"{kind} of {self.model}, version {self.version}{number}"

    def purpose(self) -> str:
        target = self.spec.target
        if self.spec.task == "binary":
            return (
                f"Gives the probability that `{target.column}` is {self.labels[1]!r}, and calls it "
                f"so from {self.records['fitted']['threshold']:.3f} on."
            )
        if self.spec.task == "regression":
            unit = f" (metrics in units of {target.scale:,.0f})" if target.scale != 1 else ""
            return f"Estimates `{target.column}`{unit}."
        return f"Tells which `{target.column}` a row has: {', '.join(self.labels)}."


def html_card(card: Card) -> str:
    return as_html(model_page(card))


def markdown_card(card: Card) -> str:
    return as_markdown(model_page(card))


def figures_of(card: Card) -> dict[str, str]:
    """The plots of the holdout by name, as SVG."""
    unit = f" / {card.spec.target.scale:,.0f}" if card.spec.target.scale != 1 else ""
    return plots(
        card.spec.task,
        card.target,
        card.answers,
        labels=card.labels,
        threshold=card.records["fitted"]["threshold"],
        unit=unit,
        importances=card.importances,
    )


def model_page(card: Card) -> Page:
    """The whole card."""
    figures = figures_of(card)
    found = [
        Section("Purpose", [Words(card.purpose()), Words(_made(card))]),
        *quality.sections(card.spec, card.comparison, card.metrics, figures),
    ]
    if card.spec.task == "binary":
        found.append(Section("Threshold and mistakes", [Pairs(_mistakes(card))]))
    found += [
        *quality.calibration(card.spec.task, card.target, card.answers, figures),
        *quality.slices(card.spec, card.comparison),
        *quality.importances(figures),
        Section("Against the champion and simple rules", [Pairs(_comparison(card))]),
        Section("Data", [Pairs(_data(card)), Words("More stands in the data card beside this.")]),
        Section("Recipe", [Pairs(recipe_rows(card.spec.task, card.request, card.records))]),
        Section("What is served", [Pairs(_served(card))]),
        Section("What monitoring holds it against", [Pairs(_reference(card))]),
        Section("Limits", [Words(_limits(card))]),
        Section("Decision and approvals", [Pairs(_decision(card))]),
    ]
    return Page(
        title=card.title(),
        subtitle=card.subtitle("Model card"),
        lead=str(card.comparison["sentence"]),
        facts=_facts(card),
        sections=found,
    )


def _facts(card: Card) -> list[Row]:
    metric = metrics.PRIMARY[card.spec.task]
    facts = card.prepared["facts"]
    measure = card.comparison.get("measures", {}).get(metric)
    return [
        (words(metric), measured(measure) if measure else number(card.metrics[metric])),
        ("holdout rows", f"{card.comparison['holdout']['rows']:,}"),
        ("rows learned from", f"{facts['fit']:,}"),
        ("recipe", str(card.records["fitted"]["candidate"])),
        ("spec generation", str(card.request.spec_generation)),
    ]


def _made(card: Card) -> str:
    asked = f"Asked for by {card.request.requested_by} at {card.request.requested_at}"
    why = card.request.retrain
    if why and why.refresh:
        asked += f", to refresh version {why.champion}"
    elif why:
        asked += f", because of incident {why.incident_id} of version {why.champion}"
    return f"{asked}."


def _mistakes(card: Card) -> list[Row]:
    fitted = card.records["fitted"]
    counts = metrics.confusion(card.target, card.answers, fitted["threshold"])
    choice = fitted["choice"]
    positives = counts["true_positives"] + counts["false_negatives"]
    negatives = counts["false_positives"] + counts["true_negatives"]
    ceiling = choice["ceiling"]
    why = (
        f"the best {choice['metric']} out of fold ({choice['value']:.3f})"
        + (f" among thresholds whose false alarms stay under {ceiling:.0%}" if ceiling else "")
        + f"; with 95 % confidence at most {choice['false_positive_upper']:.1%} of negatives are "
        f"called positive ({choice['negatives']:,} negatives)"
    )
    return [
        ("threshold", f"{fitted['threshold']:.4f}: {why}"),
        ("found", f"{counts['true_positives']:,} of {positives:,} that are {card.labels[1]!r}"),
        ("missed", f"{counts['false_negatives']:,} of {positives:,}"),
        ("false alarms", f"{counts['false_positives']:,} of {negatives:,} {card.labels[0]!r}"),
        ("rightly left alone", f"{counts['true_negatives']:,} of {negatives:,}"),
    ]


def _comparison(card: Card) -> list[Row]:
    body = card.comparison
    return [
        ("champion", str(body["sentence"])),
        *quality.disagreement(body),
        ("baseline", str(body["baseline"]["sentence"])),
        *((item["name"], item["sentence"]) for item in body["guardrails"]),
        *quality.declared(card.spec, body),
        (
            "same rows for both",
            (
                "{rows:,} rows; {removed:,} that the champion was fitted on were taken out; "
                "overlap with fitted rows {overlap}"
            ).format(**body["holdout"]),
        ),
        ("evidence", body["evidence"].replace("_", " ")),
    ]


def _data(card: Card) -> list[Row]:
    record = card.prepared
    return [
        *(("source", item.source) for item in card.request.inputs),
        *_window(record),
        ("dataset", record["dataset"]),
        ("dataset SHA-256", record["sha256"]),
        *joined(record),
        *findings(card.spec, record),
    ]


def _window(record: Mapping[str, Any]) -> list[Row]:
    window = record.get("window")
    return [("time window", f"{moment(window[0])} to {moment(window[1])}")] if window else []


def _served(card: Card) -> list[Row]:
    fitted, parity = card.records["fitted"], card.records["fitted"]["parity"]
    size = card.comparison.get("package_bytes")
    timing = card.comparison.get("latency")
    return [
        (
            "parity",
            (
                f"largest difference between what was trained and what is served: "
                f"{parity['largest']:.1e} over {parity['rows']:,} holdout and "
                f"{parity['hostile']:,} hostile rows; {parity['labels_differ']} labels differ"
            ),
        ),
        ("package SHA-256", fitted["sha256"]),
        *([("package size", f"{size:,} bytes")] if size is not None else []),
        *(
            [("one row takes", f"{timing['challenger_ms']:.2f} ms where it was trained")]
            if timing
            else []
        ),
    ]


def _reference(card: Card) -> list[Row]:
    """What the reference profile holds, in short."""
    reference = card.reference
    kinds = [item["kind"] for item in reference["features"]]
    performance = reference["performance"]
    target, score = reference["target"], reference["prediction"]["score"]
    base = target.get("base_rate")
    scores = (
        f"mean {score['mean']:.4g}, deviation {score['std']:.4g}"
        if score["std"] is not None
        else "-"
    )
    return [
        (
            "columns",
            (
                f"{kinds.count('number')} numbers and {kinds.count('category')} categories, as "
                f"they were in {reference['rows']:,} rows that were learned from"
            ),
        ),
        ("answers", f"of {reference['prediction']['rows']:,} holdout rows: {scores}"),
        *([("base rate", f"{base:.4f}")] if base is not None else []),
        *(
            [("performance", f"{performance['metric']} {number(performance['value'])}")]
            if performance
            else []
        ),
        ("window", format_duration(card.spec.monitoring.window)),
    ]


def _limits(card: Card) -> str:
    examined = (
        "Groups of people or things were looked at as far as the slices above go, and no further."
        if card.comparison.get("slices")
        else "Differences between groups of people were not examined."
    )
    return (
        f"It knows what {card.prepared['facts']['fit']:,} rows taught it: rows unlike "
        f"them get an answer too, without a warning in the answer itself; monitoring watches for "
        f"that. Quality is measured on the holdout above and may differ elsewhere and later. "
        f"{examined} It shows what goes together, not what causes what."
    )


def _decision(card: Card) -> list[Row]:
    promotion = card.spec.promotion
    who = {
        "first": "a person for the first version, the rules alone for later ones",
        "always": "a person for every version",
        "auto": "the rules alone; a person where they cannot be certain",
    }[promotion.approval]
    show = f"./millrace decision show {card.model} {card.version}"
    return [
        ("who decides", who),
        ("rule", promotion.rule.replace("_", " ")),
        ("how it was decided", f"after this card was written: decision.md beside it, or `{show}`"),
        (
            "in MLflow",
            f"the run and the registered version with tag millrace.run_id {card.version}",
        ),
    ]
