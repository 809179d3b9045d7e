"""`/docs`: how to ask, for people with a browser. One page without scripts or anything from
elsewhere; every name in it is escaped, since names come out of files. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from shared.serving.describing import about_model
from shared.serving.protocols import open_inference
from shared.serving.served import Served

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
h2 { margin-top: 3rem; border-bottom: 1px solid #d0d7de; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #eaeef2;
  vertical-align: top; }
pre { background: #f6f8fa; padding: .8rem; overflow-x: auto; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; }
  pre { background: #161b22; } th, td, h2 { border-color: #30363d; } a { color: #58a6ff; } }
"""


def docs_page(served: Sequence[Served], host: str, left_out: Sequence[str] = ()) -> str:
    """The page of these models, and where that of those is which it leaves out. `host` is where the
    caller reached us, for the examples."""
    parts = [_model(item, host) for item in served]
    if left_out:
        links = (
            f'<li><a href="models/{name}/docs">{name}</a></li>' for name in map(escape, left_out)
        )
        parts.append(f"<h2>Further models</h2>\n<ul>{''.join(links)}</ul>")
    body = "\n".join(parts) or "<p>No model is served yet.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Predictions</title><style>{_STYLE}</style></head>\n<body><h1>Predictions</h1>\n"
        '<p>Machine readable: <a href="openapi.json">openapi.json</a>.</p>\n'
        f"{body}\n</body></html>\n"
    )


def _model(served: Served, host: str) -> str:
    about = about_model(served)
    name = about["model"]
    record = about["example"]["body"]["instances"][0]
    tensors = open_inference.example_of(served.model)
    asked = [
        ("Our own", f"/models/{name}/predict", [record]),
        ("MLflow", f"/models/{name}/invocations", {"dataframe_records": [record]}),
        ("Open Inference Protocol", f"/v2/models/{name}/infer", {"inputs": tensors}),
    ]
    rows = [_row(feature) for feature in (*about["features"], *about.get("carried", ()))]
    labels = f", answers {escape(' or '.join(about['labels']))}" if about["labels"] else ""
    forms = "".join(
        f"<li><b>{escape(source['name'])}</b>: {escape(' or '.join(source['forms']))}, "
        f"by {escape(source['key'])}</li>"
        for source in about.get("sources", ())
    )
    return (
        f"<h2>{escape(name)}</h2>\n<p>{escape(about['task'])}{labels}. Version "
        f"{escape(about['version'])}, since {escape(about['promoted_at'])}.</p>\n"
        "<table><tr><th>column</th><th>type</th><th>must be</th><th>expected</th></tr>\n"
        + "\n".join(rows)
        + "</table>\n"
        + (f"<p>Sources, each in one of its forms:</p><ul>{forms}</ul>\n" if forms else "")
        + "\n".join(f"<h3>{title}</h3>\n{_curl(host, path, body)}" for title, path, body in asked)
    )


def _row(feature: dict[str, Any]) -> str:
    cells = [
        feature["name"],
        feature["kind"],
        *map(_bounds, (feature.get("require"), feature.get("expect"))),
    ]
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _bounds(limits: dict[str, Any] | None) -> str:
    found = limits or {}
    words = ["present"] if found.get("present") else []
    if "min" in found or "max" in found:
        low, high = ("" if end is None else f"{end:.15g}" for end in map(found.get, ("min", "max")))
        words.append(f"{low}..{high}")
    if "values" in found:
        words.append("one of " + ", ".join(found["values"]))
    if "regex" in found:
        words.append(f"like {found['regex']}")
    return "; ".join(words)


def _curl(host: str, path: str, body: object) -> str:
    text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    line = f"curl {host}{path} \\\n  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    return f"<pre>{escape(line)}</pre>"
