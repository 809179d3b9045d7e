"""What a file on this disk is for, by its columns."""

from __future__ import annotations

from pathlib import Path

import click

from shared.cli.console import say, shown_command
from shared.cli.contexts import Context
from shared.cli.following import REFUSED
from shared.errors import BinaryFile, EmptyFile, HeaderMismatch, Rejected, UnreadableText
from shared.routes import FOLDERS
from shared.spec.model import Source, Spec
from shared.spec.registry import find_spec
from shared.usecases.replaying import MARK


class Unusable(click.ClickException):
    """A file that intake would refuse whatever it is for."""

    exit_code = REFUSED


def guess_folder(context: Context, file: Path, model: str) -> str:
    """Labels name predictions, training files the target, corrected rows their run. Raises
    ClickException for a file that cannot be read so far."""
    registered = find_spec(model, lake=context.lake)
    spec = registered.spec if registered else None
    folder = folder_of(file, spec)
    if spec is not None and spec.sources and folder != "labels" and not _is_replay(file, spec):
        together = [f"{source}.csv" for source in spec.sources]
        whole = shown_command("drop", *together, "--model", model, "--batch", "NAME")
        raise Unusable(f"{model} is made of several files; drop all of a batch together: {whole}")
    if spec is not None and folder == "score" and spec.main_source.header:
        say(
            f"Note: it has no column {spec.target.column!r}, so it is to be scored; if it is to "
            f"train, say --as train",
            err=True,
        )
    return folder


def _is_replay(file: Path, spec: Spec) -> bool:
    return columns_of(file, spec.main_source)[:1] == (MARK,)


def folder_of(file: Path, spec: Spec | None) -> str:
    """As `guess_folder`, with the spec in force. Of several sources it is the primary's file that
    tells."""
    names = columns_of(file, spec.main_source if spec else Source())
    if "prediction_id" in names:
        return "labels"
    if spec is None or names[:1] == (MARK,):
        return "train"
    if spec.main_source.header:
        return "train" if spec.target.column in names else "score"
    return "train" if len(names) == len(spec.file_columns(with_target=True)) else "score"


def refuse_empty(file: Path) -> None:
    """Raises ClickException for a file without a byte, whatever it is for."""
    if not file.stat().st_size:
        raise Unusable(f"{file} was not dropped: the file has 0 bytes; was it written to its end?")


def columns_of(file: Path, source: Source) -> tuple[str, ...]:
    """The names of a file's columns; without header as many as there are. Raises
    ClickException."""
    from shared.tabular.reading.sheets import open_sheet  # heavy, and most commands do without

    refuse_empty(file)
    try:
        with file.open("rb") as stream:
            names = open_sheet(stream, source, name=file.name).names
    except (BinaryFile, EmptyFile, HeaderMismatch, UnreadableText) as error:
        raise Unusable(f"{file} was not dropped: {error}") from error
    except Rejected as error:
        raise click.ClickException(
            f"what {file} is for cannot be seen in its columns: {error}. Name the kind with "
            f"--as {'|'.join(FOLDERS)}"
        ) from error
    return tuple(name.strip() for name in names)
