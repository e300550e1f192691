"""`headwater trace`, `headwater diff`, `headwater index`: what went where, for audits, on the terminal and as JSON."""

import json as json_text
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from headwater.assets.command_line.guard import clear_errors

trace_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Follow documents to the training steps that saw them, and back; ask what a checkpoint is made of.",
)
index_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Build indexes that searches use.")

_SELECTOR = "A checkpoint: its name, name@latest, name@previous, or name@ and the beginning of a version."
Json = Annotated[bool, typer.Option(help="Print JSON for machines.")]


@trace_app.command()
@clear_errors
def document(
    document: Annotated[str, typer.Argument(help="A document's id, its address (uri), or a file with its text.")],
    checkpoint: Annotated[str | None, typer.Argument(help=f"{_SELECTOR} All current ones when left out.")] = None,
    all_versions: Annotated[bool, typer.Option("--all", help="Also the checkpoints of the history.")] = False,
    json: Json = False,
) -> None:
    """Follow a document: source, signals, decisions, duplicates, tokens, shards, steps, evaluations."""
    from headwater.assets.command_line.trace_print import print_stories
    from headwater.assets.lineage.story import tell

    stories = tell(_store(), document, checkpoint, all_versions)
    _print(json, [story.to_json() for story in stories], lambda: print_stories(stories))


@trace_app.command()
@clear_errors
def step(
    checkpoint: Annotated[str, typer.Argument(help=_SELECTOR)],
    step: Annotated[int, typer.Argument(help="Number of a step, from 0.")],
    json: Json = False,
) -> None:
    """List the documents that a training step read, with the tokens of each."""
    from headwater.assets.command_line.trace_print import print_step
    from headwater.assets.lineage.history import select
    from headwater.assets.lineage.steps import trace_step

    store = _store()
    found = trace_step(store, select(store, checkpoint), step)
    _print(json, found, lambda: print_step(found))


@trace_app.command()
@clear_errors
def checkpoint(
    checkpoint: Annotated[str, typer.Argument(help=_SELECTOR)],
    export: Annotated[Path | None, typer.Option(help="Folder for a Parquet file with every document it saw.")] = None,
    json: Json = False,
) -> None:
    """Say what a checkpoint is made of: inputs, options, code, segments, documents by source, licence and language."""
    from headwater.assets.command_line.trace_print import print_checkpoint
    from headwater.assets.lineage.checkpoint import describe_checkpoint, export_documents
    from headwater.assets.lineage.history import select

    store = _store()
    record = select(store, checkpoint)
    found = describe_checkpoint(store, record)
    _print(json, found, lambda: print_checkpoint(found))
    if export is not None:
        path, rows = export_documents(store, record, export.absolute())
        typer.echo(f"Wrote {path}: {rows:,} documents.", err=json)


@trace_app.command()
@clear_errors
def text(
    text: Annotated[str, typer.Argument(help="A passage, looked for verbatim in the texts as they were trained on.")],
    checkpoint: Annotated[str | None, typer.Argument(help=f"{_SELECTOR} All current corpora when left out.")] = None,
    show: Annotated[int, typer.Option(min=0, help="Documents listed.")] = 20,
    json: Json = False,
) -> None:
    """Find every document that contains a text, letter for letter, and where in it."""
    from headwater.assets.command_line.trace_print import print_occurrences
    from headwater.assets.lineage.history import select
    from headwater.assets.lineage.text import find_text

    store = _store()
    found = find_text(store, text, select(store, checkpoint) if checkpoint else None)
    _print(json, found, lambda: print_occurrences(found, show))


@index_app.command(name="text")
@clear_errors
def index_text(
    corpus: Annotated[str, typer.Argument(help="Name of a Corpus; all that are materialized when left out.")] = "",
) -> None:
    """Index the texts of a corpus, so that `headwater trace text` need not read all of them."""
    from headwater.assets.command_line.trace_print import print_text_index
    from headwater.assets.lineage.text import build_indexes

    for name, built in build_indexes(_store(), corpus):
        print_text_index(name, built)


@clear_errors
def diff(
    first: Annotated[str, typer.Argument(help=_SELECTOR)],
    second: Annotated[str, typer.Argument(help="What it is compared with, named alike.")],
    export: Annotated[Path | None, typer.Option(help="Folder for a Parquet file with every document.")] = None,
    json: Json = False,
) -> None:
    """Say how two checkpoints differ: data by source, options, code, figures."""
    from headwater.assets.command_line.trace_print import print_difference
    from headwater.assets.lineage.diff import compare, export_difference
    from headwater.assets.lineage.history import select

    store = _store()
    records = select(store, first), select(store, second)
    found = compare(store, *records)
    _print(json, found, lambda: print_difference(found))
    if export is not None:
        path, rows = export_difference(store, *records, export.absolute())
        typer.echo(f"Wrote {path}: {rows:,} documents.", err=json)


def _store() -> Any:
    """The store of the current workspace; declarations are not needed to look at what is stored."""
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    return Store(workspace.store_url)


def _print(json: bool, value: Any, otherwise: Callable[[], Any]) -> None:
    """Prints a value as JSON, or for people."""
    if json:
        typer.echo(json_text.dumps(plain(value), indent=2, ensure_ascii=False))
    else:
        otherwise()


def plain(value: Any) -> Any:
    """A value as JSON has it: data classes as objects, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    return value
