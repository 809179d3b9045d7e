"""spec check, show, diff, plan. All of them only read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from shared import paths
from shared.approvals import every
from shared.cli import contexts
from shared.cli.console import json_option, show_json
from shared.cli.following import REFUSED
from shared.cli.known import unknown
from shared.errors import BadSpec, ObjectNotFound, UnreadableText
from shared.files import guards
from shared.ports import Bucket
from shared.served import champion_of
from shared.spec.consequences import consequences
from shared.spec.differences import Difference, differences
from shared.spec.effective import effective, render, written
from shared.spec.load import complaints, dump_spec, load_spec
from shared.spec.model import RegisteredSpec, Spec
from shared.spec.protected import asks_in, protected
from shared.spec.registry import find_spec, known_generations, read_registered
from shared.spec.serving import redaction_costs

a_file = click.Path(exists=True, dir_okay=False, path_type=Path)
model_option = click.option("--model", help="The model's name; that of the file otherwise.")


@click.group()
def spec() -> None:
    """Check a spec file, show the one in force, compare them, or see what dropping one would do."""


@spec.command()
@click.argument("file", type=a_file)
@json_option
def check(file: Path, as_json: bool) -> None:
    """Read a spec file as intake would; exit code 2 with the reasons when it is refused."""
    try:
        found = _load(file)
    except (BadSpec, UnreadableText) as error:
        problems = complaints(error, str(file))
        if as_json:
            show_json({"file": str(file), "ok": False, "problems": problems})
        else:
            click.echo("\n".join(problems), err=True)
        raise SystemExit(REFUSED) from error
    notes = list(redaction_costs(found))
    if as_json:
        show_json({"file": str(file), "ok": True, "problems": [], "notes": notes})
        return
    columns = f"{len(found.columns)} columns" if found.columns else "columns as the file has them"
    click.echo(f"{file}: {found.task}, target {found.target.column}, {columns}")
    for note in notes:
        click.echo(f"note: {note}")


@spec.command()
@click.argument("what", metavar="MODEL|FILE")
@click.option("--effective", "whole", is_flag=True, help="Every value, with where it comes from.")
@json_option
@contexts.pass_name
def show(context_name: str, what: str, whole: bool, as_json: bool) -> None:
    """The spec in force for a model, or that of a file.

    With --effective every value has its origin: `spec` (written there), `default`, or `derived`
    from other keys."""
    shown = _shown(what, context_name)
    values = effective(shown.spec, shown.written)
    if as_json:
        body = {**shown.about, "spec": shown.spec.model_dump(mode="json")}
        show_json({**body, "values": [item.as_dict() for item in values]} if whole else body)
        return
    about = "".join(
        f", {key} {shown.about[key]}" for key in ("generation", "registered") if key in shown.about
    )
    click.echo(f"# {what}{about}")
    click.echo(render(values) if whole else dump_spec(shown.spec), nl=False)


@spec.command()
@click.argument("what", metavar="FILE|MODEL")
@click.argument("generations", nargs=-1, type=int, metavar="[OLD NEW]")
@model_option
@json_option
@contexts.pass_name
def diff(
    context_name: str, what: str, generations: tuple[int, ...], model: str | None, as_json: bool
) -> None:
    """FILE against the spec in force, or two generations of MODEL, key by key.

    The exit code is 0 when nothing differs, 1 when something does, as diff's is."""
    lake = contexts.load(context_name).lake
    if generations:
        if len(generations) != 2:
            raise click.UsageError(f"name two generations, such as: spec diff {what} 2 3")
        old, new = (_generation(what, number, lake) for number in generations)
        names, found = (
            [f"{what} {item.generation}" for item in (old, new)],
            differences(old.spec, new.spec),
        )
    else:
        file = _file(what)
        present = _in_force(model or file.stem, lake)
        names = [f"{present.model} {present.generation} (in force)", str(file)]
        found = differences(present.spec, _load(file))
    if as_json:
        show_json({"old": names[0], "new": names[1], "differences": _rows(found)})
    else:
        click.echo(f"{names[0]} -> {names[1]}: {_count(found)}")
        _list(found)
    raise SystemExit(1 if found else 0)


@spec.command()
@click.argument("file", type=a_file)
@model_option
@json_option
@contexts.pass_name
def plan(context_name: str, file: Path, model: str | None, as_json: bool) -> None:
    """What dropping FILE would do, and when. Nothing is written."""
    context = contexts.load(context_name)
    name = model or file.stem
    if not paths.is_model_name(name):
        raise click.ClickException(f"{name!r} is no model name; say which with --model")
    body = plan_of(name, _load(file), context.config.context, context.lake)
    if as_json:
        show_json(body)
        return
    click.echo(body["sentence"])
    for title, key in (("Differences", "differences"), ("What follows", "consequences")):
        if body[key]:
            click.echo(f"\n{title}:")
            click.echo(
                "\n".join(
                    f"  {item['text'] if key == 'differences' else item}" for item in body[key]
                )
            )
    if body["approval"]:
        click.echo(f"\n{body['approval']}")


def plan_of(model: str, new: Spec, context: str, lake: Bucket) -> dict[str, Any]:
    """What would happen, as JSON: `action` is none, first, in_force or ask."""
    present = find_spec(model, lake=lake)
    found = differences(present.spec, new) if present else []
    need = protected(found)
    champion = champion_of(model, lake=lake)
    next_one = max([0, *known_generations(model, lake=lake)]) + 1
    if present is None:
        action = "first"
        sentence = f"Generation {next_one} of {model}, a new model, would be in force at once."
    elif not found:
        action = "none"
        sentence = f"No change: it means the same as generation {present.generation} of {model}."
    elif need and asks_in(context):
        action = "ask"
        sentence = (
            f"Generation {next_one} of {model} would wait for an approval; until then generation "
            f"{present.generation} stays in force."
        )
    else:
        action = "in_force"
        sentence = (
            f"Generation {next_one} of {model} would take the place of generation "
            f"{present.generation} at once."
        )
    return {
        "model": model,
        "context": context,
        "action": action,
        "generation": next_one if action != "none" else None,
        "in_force": present.generation if present else None,
        "sentence": sentence,
        "differences": _rows(found),
        "protected": [item.key for item in need],
        "approval": _approval(need, context),
        "consequences": [
            *consequences(
                present.spec if present else None,
                new,
                found,
                champion=champion.spec if champion else None,
            ),
            *_around(model, present, lake),
        ],
    }


def _approval(need: list[Difference], context: str) -> str:
    """Which changes a person decides here, or would decide elsewhere."""
    keys = ", ".join(item.key for item in need)
    if not need:
        return ""
    if asks_in(context):
        return f"Needs an approval in context {context}, all of it or nothing: {keys}."
    return f"Needs no approval in context {context}; elsewhere it would: {keys}."


def _around(model: str, present: RegisteredSpec | None, lake: Bucket) -> list[str]:
    """What else is there that dropping the file would touch."""
    waiting = sum(1 for _ in lake.list(f"waiting/{model}/"))
    found = [f"{waiting} waiting file(s) would be released."] if waiting and not present else []
    pending = [item for item in every(model, lake=lake) if item.pending]
    questions = [item.version for item in pending if item.spec_generation is not None]
    if questions:
        found.append(f"The open question about {', '.join(questions)} would be superseded.")
    return found


# --- reading -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shown:
    spec: Spec
    written: tuple[str, ...]
    about: dict[str, Any]


def _shown(what: str, context_name: str) -> _Shown:
    """A file's spec where there is such a file, a model's otherwise."""
    if Path(what).suffix in (".yaml", ".yml"):
        found = _load(_file(what))
        return _Shown(found, written(found), {"file": what})
    registered = _in_force(what, contexts.load(context_name).lake)
    about = registered.model_dump(mode="json", exclude={"spec", "written"})
    return _Shown(registered.spec, registered.written, about)


def _file(what: str) -> Path:
    path = Path(what)
    if not path.is_file():
        raise click.ClickException(
            f"there is no file {what}; to compare a model's generations: spec diff {path.stem} 1 2"
        )
    return path


def _load(file: Path) -> Spec:
    """Raises BadSpec, UnreadableText."""
    return load_spec(guards.decode_text(file.read_bytes(), str(file)), str(file))


def _in_force(model: str, lake: Bucket) -> RegisteredSpec:
    registered = find_spec(model, lake=lake) if paths.is_model_name(model) else None
    if registered is None:
        raise click.ClickException(unknown(model, lake))
    return registered


def _generation(model: str, number: int, lake: Bucket) -> RegisteredSpec:
    try:
        return read_registered(model, number, lake=lake)
    except ObjectNotFound as error:
        known = ", ".join(map(str, known_generations(model, lake=lake)))
        text = f"there is no generation {number} of {model}; known: {known or 'none'}"
        raise click.ClickException(text) from error


def _rows(found: list[Difference]) -> list[dict[str, Any]]:
    need = {item.path for item in protected(found)}
    return [{**item.as_dict(), "protected": item.path in need, "text": str(item)} for item in found]


def _count(found: list[Difference]) -> str:
    return f"{len(found)} difference{'' if len(found) == 1 else 's'}" if found else "no difference"


def _list(found: list[Difference]) -> None:
    for item in found:
        click.echo(f"  {item}")
