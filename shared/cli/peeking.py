"""What a file on this disk is for, by its columns."""

from __future__ import annotations

from pathlib import Path

import click

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
    return folder_of(file, registered.spec if registered else None)


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


def columns_of(file: Path, source: Source) -> tuple[str, ...]:
    """The names of a file's columns; without header as many as there are. Raises
    ClickException."""
    from shared.tabular.reading.sheets import open_sheet  # heavy, and most commands do without

    if not file.stat().st_size:
        raise Unusable(f"{file} was not dropped: the file has 0 bytes; was it written to its end?")
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
