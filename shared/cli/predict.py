"""Ask the predictor over HTTP, as any client would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import urllib3

from shared.cli import contexts, identity
from shared.cli.console import json_option, show_json, show_rows
from shared.cli.contexts import Context

SECONDS = 30.0


def request(
    method: str, url: str, body: object | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and decoded JSON (or text). Raises ClickException when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        # Closed at once: a connection kept alive would make a server that is to stop wait for us.
        with urllib3.PoolManager() as pool:
            reply = pool.request(
                method, url, body=data, headers=sent, timeout=SECONDS, retries=False
            )
    except urllib3.exceptions.HTTPError as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    try:
        return reply.status, json.loads(reply.data)
    except ValueError:
        return reply.status, reply.data.decode("utf-8", "replace")


def ask(context: Context, model: str, records: list[Any]) -> dict[str, Any]:
    """The predictor's answer. Raises ClickException with its reason for a refusal."""
    url = f"{context.config.predict_url}/models/{model}/predict"
    status, answer = request("POST", url, {"instances": records}, context.authorization(url))
    if status != 200:
        told = no_entry(context, "predict", status) or refusal(status, answer)
        raise click.ClickException(told)
    found: dict[str, Any] = answer
    return found


def no_entry(context: Context, service: str, status: int) -> str:
    """What to do when Google Cloud itself does not let the caller to a service; else empty."""
    there = context.installation
    if there is None or status not in (401, 403):
        return ""
    if status == 401:
        return f"{service} does not accept this ID token. {identity.HOW}."
    who = context.user
    role = {"promote": "deciders", "predict": "callers"}.get(service, "operators")
    kind = "serviceAccount" if who.endswith(".gserviceaccount.com") else "user"
    return (
        f"{who} may not call {service} ({status}). For good: name {kind}:{who} among people."
        f"{role} in the settings of {there.name}, and deploy. Until then, who may grant it runs:\n"
        f"  gcloud run services add-iam-policy-binding {service} --project={there.project} "
        f"--region={there.region} --member={kind}:{who} --role=roles/run.invoker"
    )


def refusal(status: int, answer: Any) -> str:
    """A refusal of the predictor in a few lines."""
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    lines = [str(error.get("message") or f"the predictor answered {status}: {answer!s:.300}")]
    lines += [
        f"  row {item.get('row')}, {item.get('column')}: {item.get('value')!r} {item.get('rule')}"
        for item in error.get("problems", [])[:10]
    ]
    if error.get("models"):
        lines.append(f"  models: {', '.join(error['models'])}")
    return "\n".join(lines)


def describe(context: Context, model: str) -> dict[str, Any]:
    """What the predictor says about a model. Raises ClickException."""
    url = f"{context.config.predict_url}/models/{model}"
    status, answer = request("GET", url, headers=context.authorization(url))
    if status != 200:
        told = no_entry(context, "predict", status) or refusal(status, answer)
        raise click.ClickException(told)
    found: dict[str, Any] = answer
    return found


@click.command()
@click.argument("model")
@click.argument("record", required=False)
@click.option("--file", type=click.File("r"), help="Records in a JSON file; - is stdin.")
@click.option("--example", is_flag=True, help="Ask with the model's example record.")
@json_option
@contexts.pass_name
def predict(
    context_name: str, *, model: str, record: str | None, file: Any, example: bool, as_json: bool
) -> None:
    """Ask MODEL with a JSON record, a list of records, or {"instances": [...]}."""
    context = contexts.load(context_name)
    if example:
        records = describe(context, model)["example"]["body"]["instances"]
        click.echo(f"Asked: {json.dumps(records[0], ensure_ascii=False)}", err=True)
    else:
        records = _records(record if record is not None else file.read() if file else "")
    answer = ask(context, model, records)
    if as_json:
        show_json(answer)
        return
    rows = [
        {key: value for key, value in row.items() if key != "probabilities"}
        for row in answer["predictions"]
    ]
    show_rows(rows, as_json=False)


def _records(text: str) -> list[Any]:
    path = Path(text)
    if not text.strip():
        raise click.ClickException("give a JSON record, --file or --example")
    try:
        body = json.loads(text)
    except ValueError as error:
        hint = f"; did you mean --file {text}?" if len(text) < 200 and path.exists() else ""
        raise click.ClickException(f"this is not JSON ({error}){hint}") from error
    if isinstance(body, dict):
        return list(body["instances"]) if isinstance(body.get("instances"), list) else [body]
    return body if isinstance(body, list) else [body]
