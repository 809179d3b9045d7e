"""What of each answer is handed back: all of it, labels or values, or probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.serving.protocols.asked import Output, header_text

if TYPE_CHECKING:
    from shared.serving.answers import Answer


def values_of(answer: Answer, output: Output) -> list[Any]:
    """One value a row; probabilities only where the model has them."""
    rows = answer.predictions
    if output == "full":
        return rows
    if output == "label":
        return [row["score"] if row["label"] is None else row["label"] for row in rows]
    return [shares_of(row) for row in rows]


def headers_of(answer: Answer) -> dict[str, str]:
    """Version and ids where the body has no place for them: of several rows the name that, with
    `-` and a row's number, is its id."""
    headers = {"X-Model-Version": answer.version}
    rows = answer.predictions
    name = rows[0]["prediction_id"] if len(rows) == 1 else answer.request_id
    if name is not None:
        headers["X-Prediction-Id"] = header_text(name)
    return headers


def shares_of(row: dict[str, Any]) -> list[float]:
    """The probability of each label, in the order of the model's labels."""
    if "probabilities" in row:
        return list(row["probabilities"].values())
    return [1.0 - row["score"], row["score"]]
