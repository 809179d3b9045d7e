"""The model card: what a version is, what it was made from, how good it is, where it ends.

One content, two forms: a self-contained HTML page and Markdown. All texts that come from data,
specs or file names are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from shared.reporting.plots import plots
from shared.reporting.recipe import recipe_rows
from shared.runs import RunRequest
from shared.spec.model import Spec
from shared.tabular import metrics
from shared.tabular.importances import Importance
from shared.tabular.joins.report import rows_for_card
from shared.tabular.metrics import Floats

Row = tuple[str, str]

MEANINGS = {
    "auroc": "share of pairs ranked in the right order",
    "log_loss": "mean surprise; lower is better",
    "f1": "balance of precision and recall",
    "precision": "share of positive answers that are right",
    "recall": "share of positives that are found",
    "false_positive_rate": "share of negatives that are called positive",
    "accuracy": "share of right answers",
    "base_rate": "share of positives in the holdout",
    "auroc_ovr": "AUROC of one class against the rest, mean",
    "rmse": "typical error, large ones count more",
    "mae": "mean size of the error",
    "r2": "share of the variance that is explained",
    "n": "holdout rows",
}
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.sub{opacity:.7;margin:.2rem 0 1.5rem}
.lead{border-left:4px solid #0b6bcb;padding:.4rem 1rem;margin:1rem 0}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8884;
vertical-align:top;overflow-wrap:anywhere}
th{font-weight:600;white-space:nowrap}
svg{max-width:100%;height:auto;margin:.5rem 1rem .5rem 0}
"""


@dataclass(frozen=True, slots=True)
class Card:
    """What the card is made of: the stages' records, and the holdout's targets and answers."""

    model: str
    version: str
    spec: Spec
    request: RunRequest
    records: Mapping[str, dict[str, Any]]
    metrics: Mapping[str, float]
    target: Floats
    answers: Floats
    labels: Sequence[str]
    importances: Sequence[Importance] = ()

    @property
    def comparison(self) -> dict[str, Any]:
        body: dict[str, Any] = self.records["compared"]["comparison"]
        return body

    def title(self) -> str:
        return self.spec.title or f"Model {self.model}"

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
    """The card as a page without anything to load."""
    figures = "".join(figures_of(card).values())
    parts = [
        f"<h1>{_code(card.title())}</h1>",
        f'<p class="sub">{escape(card.model)} &middot; version {escape(card.version)}</p>',
        f'<p class="lead">{_code(card.comparison["sentence"])}</p>',
    ]
    for heading, content in sections(card):
        parts.append(f"<h2>{escape(heading)}</h2>")
        if isinstance(content, str):
            parts.append(f"<p>{_code(content)}</p>")
        else:
            rows = "".join(
                f"<tr><th>{_code(name)}</th><td>{_code(value)}</td></tr>" for name, value in content
            )
            parts.append(f"<table>{rows}</table>")
        if heading == "Quality on the holdout":
            parts.append(f"<div>{figures}</div>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(card.title())} {escape(card.version)}</title>"
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


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


def markdown_card(card: Card) -> str:
    """The card without plots."""
    lines = [f"# {_plain(card.title())}", "", f"`{card.model}`, version `{card.version}`", ""]
    lines += [f"> {_plain(card.comparison['sentence'])}", ""]
    for heading, content in sections(card):
        lines += [f"## {heading}", ""]
        if isinstance(content, str):
            lines += [_plain(content), ""]
        else:
            lines += ["| | |", "|---|---|"]
            lines += [f"| {_plain(name)} | {_plain(value)} |" for name, value in content]
            lines.append("")
    return "\n".join(lines)


def sections(card: Card) -> list[tuple[str, str | list[Row]]]:
    """Headings with a sentence or rows of a table."""
    found: list[tuple[str, str | list[Row]]] = [
        ("Purpose", card.purpose()),
        ("Quality on the holdout", _quality(card)),
    ]
    if card.spec.task == "binary":
        found.append(("Threshold and mistakes", _mistakes(card)))
    return [
        *found,
        ("Against the champion and simple rules", _comparison(card)),
        ("Data", _data(card)),
        ("Recipe", recipe_rows(card.spec.task, card.request, card.records)),
        ("Limits", _limits(card)),
    ]


def _quality(card: Card) -> list[Row]:
    return [
        (name, f"{int(value):,}" if name == "n" else f"{value:.4f} - {MEANINGS.get(name, '')}")
        for name, value in card.metrics.items()
    ]


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
        ("baseline", str(body["baseline"]["sentence"])),
        *((item["name"], item["sentence"]) for item in body["guardrails"]),
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
    record = card.records["prepared"]
    facts = record["facts"]
    kind = {
        "random": "a random share by a hash of the row, the same in every training",
        "grouped": "whole groups by a hash, the same in every training",
        "time": "the newest by their time",
        "new_labels": "the newest labelled predictions",
    }[record["holdout_kind"]]
    rows = [
        (
            "rows",
            f"{facts['rows']:,}: {facts['fit']:,} to fit, {facts['holdout']:,} to compare ({kind})"
            + (f", {facts['reserved']:,} from earlier holdouts unused" if facts["reserved"] else "")
            + f"; {facts['quarantined']:,} more in quarantine",
        ),
        *(("source", item.source) for item in card.request.inputs),
        *(("labels", name) for name in record["labels_used"]),
        ("dataset", record["dataset"]),
        ("dataset SHA-256", record["sha256"]),
        *rows_for_card(record.get("join")),
        *_snapshots(record),
        ("spec generation", str(card.request.spec_generation)),
        *_findings(card),
    ]
    if card.request.retrain:
        rows.insert(1, ("continues", f"the rows of version {card.request.retrain.champion}"))
    return rows


def _snapshots(record: Mapping[str, Any]) -> list[Row]:
    """Where the predictor looks keys up."""
    kept = [(item["name"], item["snapshot"]) for item in record.get("sources", ())]
    return [
        (
            f"snapshot of {name}",
            "{keys:,} keys as of {features_as_of}: {object}, SHA-256 {sha256}".format(**ref)
            if ref
            else "none: this source was not there",
        )
        for name, ref in kept
    ]


def _findings(card: Card) -> list[Row]:
    """What the checks said, and what the spec allows all the same."""
    found = card.records["prepared"].get("checks")
    allowed = [
        (f"allowed: {name}", f"may nearly predict the target, because: {column.allow_leak}")
        for name, column in card.spec.all_columns.items()
        if column.allow_leak is not None
    ]
    return [
        *((f"check {one['name']}", f"{one['sentence']}. {one['advice']}") for one in found or ()),
        *([("checks", "nothing to report")] if found == [] else []),
        *allowed,
    ]


def _limits(card: Card) -> str:
    return (
        f"It knows what {card.records['prepared']['facts']['fit']:,} rows taught it: rows unlike "
        f"them get an answer too, without a warning in the answer itself; monitoring watches for "
        f"that. Quality is measured on the holdout above and may differ elsewhere and later. "
        f"Differences between groups of people were not examined. It shows what goes together, "
        f"not what causes what."
    )


def _code(text: str) -> str:
    """Escaped HTML; `words` become code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(str(text)))


def _plain(text: str) -> str:
    """Markdown in which data can neither end a table cell nor become markup."""
    found = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return found.replace("<", "&lt;").replace("[", "\\[").replace("*", "\\*").replace("_", "\\_")
