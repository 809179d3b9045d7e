"""try: from a file to a model and its first prediction."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.cli import contexts
from shared.cli.console import dry_run_option, nothing_done, say, shown_command
from shared.cli.contexts import Context
from shared.cli.drafting import ask_draft, model_name, wish_options, wishes_of, words_of
from shared.cli.dropping import existing_file, follow_upload, printer, report, type_of
from shared.cli.following import REFUSED, WAITING, Followed, follow
from shared.cli.predict import ask
from shared.manifests import read_manifest
from shared.serving.cells import BadCell, CellRules
from shared.spec.draft import Wishes, spec_text
from shared.spec.load import dump_spec
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.registry import find_spec
from shared.uploads import source_of


@click.command("try")
@click.argument("file", type=existing_file)
@click.option("--target", required=True, metavar="COLUMN", help="What is to be predicted.")
@click.option("--model", help="The model's name (default: from the file's name).")
@wish_options
@click.option(
    "--replace-spec", is_flag=True, help="Put the draft in the place of the spec in force."
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds to wait.")
@dry_run_option
@contexts.pass_name
def try_(
    context_name: str,
    /,
    *,
    file: Path,
    target: str,
    model: str | None,
    yes: bool,
    timeout: float,
    replace_spec: bool,
    dry_run: bool,
    **steering: Any,
) -> None:
    """From a file to a first prediction: draft a spec, show it, train, ask.

    A model that has a spec keeps it, unless --replace-spec is given.
    """
    name = model or model_name(file)
    if not paths.is_model_name(name):
        raise click.ClickException(f"{name!r} is no model name: use [a-z][a-z0-9_]*")
    context = contexts.load(context_name)
    wishes = wishes_of(steering)
    in_force = None if replace_spec else find_spec(name, lake=context.lake)
    if in_force is not None:
        spec, text = _kept(in_force, target, name, wishes), dump_spec(in_force.spec)
    else:
        found = ask_draft(file, target, wishes, ask=not (yes or dry_run), context_name=context_name)
        spec, text = found.spec, spec_text(found.spec, found.notes, file.name)
    say(text)
    context.announce(f"train model {name} on {file}")
    if dry_run:
        nothing_done()
        return
    if not (yes or _agreed()):
        return
    context.agree(name)
    if in_force is None:
        _drop_spec(context, name, text, timeout)
    followed = _train(context, name, file, timeout)
    if followed.state == "promoted":
        _first_prediction(context, name, spec, file)
    elif followed.exit_code in (REFUSED, WAITING):
        say(f"  More: {shown_command('why', followed.run_id, context=context.name)}")
        _say_leaks(context, followed, file, target, wishes)
    raise SystemExit(followed.exit_code)


def _agreed() -> bool:
    """Raises ClickException where nobody can answer."""
    try:
        return click.confirm("Train with this spec?", default=True, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.ClickException("nobody is there to answer; --yes goes on unasked") from None


def _drop_spec(context: Context, model: str, text: str, timeout: float) -> None:
    """Put the draft in force before the file is sent, so that it is trained with this spec and no
    older one. Ends the command when that takes a person."""
    name = paths.spec_upload(model)
    upload = context.inbox.write(name, text.encode(), content_type=type_of(name))
    followed = follow_upload(context, model, upload, seconds=timeout, show=printer(False))
    if followed.exit_code:
        report(context, followed, source_of(upload), False)
        raise SystemExit(followed.exit_code)
    where = f"gs://{context.config.inbox}/{name}"
    get = shown_command("get", where, "-o", f"{model}.yaml", context=context.name)
    say(f"  The draft is {where}; to change it: {get}, then drop it.", err=True)


def _kept(in_force: RegisteredSpec, target: str, model: str, wishes: Wishes) -> Spec:
    """The spec in force, which is said. Raises ClickException when it predicts something else or
    the draft was to be steered."""
    number, known = in_force.generation, in_force.spec.target.column
    if in_force.spec.sources:
        raise click.ClickException(
            f"{model} is made of several sources; drop the files of a batch one by one instead"
        )
    if wishes != Wishes():
        raise click.ClickException(
            f"spec generation {number} of {model} is in force, so nothing is drafted; "
            "--replace-spec puts a draft in its place"
        )
    if known != target:
        raise click.ClickException(
            f"spec generation {number} of {model} is in force and predicts {known}, not {target}; "
            "choose another --model, or --replace-spec to put the draft in its place"
        )
    say(
        f"spec generation {number} of {model} is in force and is used; "
        "--replace-spec puts the draft in its place",
        err=True,
    )
    return in_force.spec


def _train(context: Context, name: str, file: Path, timeout: float) -> Followed:
    place = f"{name}/train/{file.name}"
    upload = context.inbox.upload(place, file, content_type=type_of(place))
    followed = follow_upload(context, name, upload, seconds=timeout, show=printer(False))
    report(context, followed, source_of(upload), False)
    if followed.state != "duplicate":
        return followed
    if read_manifest(name, lake=context.lake) is not None:
        return replace(followed, state="promoted")  # tried before: who serves answers
    first = str(followed.facts["same_as"])
    earlier = follow(name, first, lake=context.lake, seconds=0)
    report(context, earlier, source_of(upload), False)
    return earlier


def _say_leaks(
    context: Context, followed: Followed, file: Path, target: str, wishes: Wishes
) -> None:
    """The next command after a training that did not end well, where a column may have settled the
    target."""
    findings = [
        finding
        for event in followed.events
        for finding in (event.get("facts") or {}).get("findings", [])
        if finding.get("name") in ("leakage", "strong_column")
    ]
    columns = tuple(dict.fromkeys(name for finding in findings for name in finding["columns"]))
    if not columns:
        return
    which = f"{', '.join(columns)} {'is' if len(columns) == 1 else 'are'}"
    for when, changed in (
        ("only afterwards", replace(wishes, not_available=(*wishes.not_available, *columns))),
        ("when a prediction is asked for", replace(wishes, allow_leak=columns)),
    ):
        words = ["try", shlex.quote(str(file)), "--target", shlex.quote(target)]
        words += ["--model", followed.model, *words_of(changed), "--replace-spec"]
        command = shown_command(*words, context=context.name)
        say(f"  If {which} known {when}:\n    {command}")


def first_record(spec: Spec, file: Path) -> dict[str, Any]:
    """The first row of a file that the predictor takes, as the JSON record it takes."""
    from shared.tabular.reading.sampling import first_cells  # pyarrow is slow to import

    records = [as_record(spec, cells) for cells in first_cells(file, spec)]
    numbers = [name for name in spec.feature_names() if spec.columns[name].type == "number"]
    clean = (record for record in records if not any(type(record[n]) is str for n in numbers))
    return next(clean, records[0])


def as_record(spec: Spec, cells: Mapping[str, str]) -> dict[str, Any]:
    """Cells of a file as JSON values: numbers, texts, null for missing ones."""
    source = spec.main_source
    rules = CellRules(missing=source.missing, strip=source.strip, decimal=source.decimal)
    record: dict[str, Any] = {}
    for name in (*spec.feature_names(), *spec.carried_names()):
        cell = cells.get(name, "").strip()
        record[name] = None if cell in source.missing else cell
        if record[name] is not None and spec.all_columns[name].type == "number":
            try:
                number = rules.number_of(cell)
            except BadCell:
                continue  # the predictor says what is wrong with it
            record[name] = int(number) if number.is_integer() else number
            if math.isnan(number):
                record[name] = None
    return record


def _first_prediction(context: Context, model: str, spec: Spec, file: Path) -> None:
    record = first_record(spec, file)
    url = f"{context.config.predict_url}/models/{model}/predict"
    body = json.dumps({"instances": [record]}, ensure_ascii=False)
    say("\nIts answer for the first row of the file:")
    say(json.dumps(ask(context, model, [record])["predictions"][0], indent=1, ensure_ascii=False))
    say(
        f"\nAsk it yourself:\n  curl -s {shlex.quote(url)} {_who(context)}"
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )


def _who(context: Context) -> str:
    """On Google Cloud the predictor is private."""
    header = '"Authorization: Bearer $(gcloud auth print-identity-token)"'
    return f"-H {header} " if context.installation else ""
