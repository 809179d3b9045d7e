"""get: bring one object to this disk, by its name or by the run that made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from shared import documents, paths
from shared.cli import contexts
from shared.cli.console import say, shown_command
from shared.cli.contexts import Context
from shared.cli.why import find_run, main_result
from shared.errors import ObjectNotFound
from shared.ports import Bucket, ObjectInfo

ADDRESS = re.compile(r"gs://([^/]+)/(.+?)(?:#(\d+))?")
CHUNK_BYTES = 1 << 20
PARQUET = "predictions.parquet"
SHOWN = 10


@click.command()
@click.argument("name")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; - is stdout.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@contexts.pass_name
def get(context_name: str, name: str, output: str | None, force: bool) -> None:
    """Write an object to a file, by default under its own name in this folder.

    NAME is gs://BUCKET/OBJECT, an object's name in the lake, or a run id: then it is the
    predictions of a score run, the card of a trained version, or the bad rows of a rejected run.
    RUN/FILE is another file of a run or version, such as RUN/data-card.html or RUN/data.csv.gz.
    """
    context = contexts.load(context_name)
    bucket, found, generation = find_object(context, name)
    if output == "-":
        with bucket.open_reader(found, generation=generation) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                click.echo(chunk, nl=False)
        return
    base = found.rpartition("/")[2]
    if is_parts(found) and not (output or "").endswith(".json"):
        target = Path(output or PARQUET)
        target = target / PARQUET if target.is_dir() else target
        bring_parquet(bucket, found, target, force=force)
        return
    target = Path(output or base)
    if target.is_dir():
        target = target / base
    bring(bucket, found, target, generation=generation, force=force)


def bring(
    bucket: Bucket, name: str, target: Path, *, generation: int | None = None, force: bool
) -> ObjectInfo:
    """Write an object to a file, whole or not at all, and say so. Raises ClickException when one
    is there that nobody wants overwritten, or it cannot be written."""
    with whole(target, force=force) as part:
        info = bucket.download(name, part, generation=generation)
    say(f"{target}: {info.size_bytes:,} bytes of gs://{bucket.name}/{name}", err=True)
    return info


@contextmanager
def whole(target: Path, *, force: bool) -> Iterator[Path]:
    """A file to write that becomes the target once it is complete. Raises as `bring`."""
    if target.exists() and not force:
        raise click.ClickException(f"{target} exists; name another with -o, or give --force")
    part = target.with_name(f"{target.name}.part")
    try:
        yield part
        part.replace(target)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def is_parts(name: str) -> bool:
    """Whether an object only names the Parquet files of a scored file."""
    return name.startswith("predictions/") and name.endswith("/predictions.json")


def bring_parquet(bucket: Bucket, name: str, target: Path, *, force: bool) -> None:
    """The Parquet files of a scored file as one. Raises as `bring`."""
    from pyarrow import parquet  # few commands need it

    parts = documents.require(bucket, name)["parts"]
    with whole(target, force=force) as into, ExitStack() as stack:
        writer = None
        piece = into.with_name(f"{into.name}.piece")
        stack.callback(piece.unlink, missing_ok=True)
        for part in parts:
            bucket.download(part["object"], piece)
            file = stack.enter_context(parquet.ParquetFile(piece))
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(into, file.schema_arrow))
            for group in range(file.num_row_groups):
                writer.write_table(file.read_row_group(group))
    rows = sum(part["rows"] for part in parts)
    say(f"{target}: {rows:,} rows of {len(parts)} parts, gs://{bucket.name}/{name}", err=True)


def find_object(context: Context, text: str) -> tuple[Bucket, str, int | None]:
    """Bucket, object and generation (None: the live one) of what a person named.
    Raises ClickException when it does not exist."""
    bucket, name, generation = context.lake, text, None
    if address := ADDRESS.fullmatch(text):
        bucket, name = _bucket(context, address[1]), address[2]
        generation = int(address[3]) if address[3] else None
    elif text.startswith("gs://"):
        raise click.ClickException(f"{text} names no object; write gs://{bucket.name}/OBJECT")
    elif "/" not in text:
        return bucket, _result_of_run(context, text), None
    try:
        bucket.stat(name, generation=generation)
    except ObjectNotFound as error:
        of_run = None if address else _file_of_run(context, text)
        if of_run is None:
            raise click.ClickException(f"{error}{_beneath(bucket, name)}") from error
        return bucket, of_run, None
    return bucket, name, generation


def _bucket(context: Context, name: str) -> Bucket:
    known = {bucket.name: bucket for bucket in (context.lake, context.inbox)}
    if name not in known:
        raise click.ClickException(
            f"there is no bucket {name} in context {context.name}; known: {', '.join(known)}"
        )
    return known[name]


def _result_of_run(context: Context, text: str) -> str:
    model, run_id = find_run(text, context.lake)
    name = main_result(model, run_id, context.lake)
    if name is None:
        look = shown_command("why", run_id, context=context.name)
        raise click.ClickException(f"run {run_id} left nothing to read (yet); see {look}")
    return name


def _file_of_run(context: Context, text: str) -> str | None:
    """The object behind RUN/FILE; None when nothing fits."""
    start, _, name = text.partition("/")
    try:
        model, run_id = find_run(start, context.lake)
    except click.ClickException:
        return None
    for place in (paths.version, paths.dataset, paths.predictions, paths.quarantine):
        found = place(model, run_id, name)
        if name and any(info.name == found for info in context.lake.list(found)):
            return found
    return None


def _beneath(bucket: Bucket, name: str) -> str:
    """What a folder holds, when a folder was named."""
    names = [info.name for info in bucket.list(f"{name.rstrip('/')}/")]
    lines = [f"\n  gs://{bucket.name}/{found}" for found in names[:SHOWN]]
    more = f"\n  and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; it is a folder with{''.join(lines)}{more}" if names else ""
