"""Looking at what is stored: records for people, plans with reasons, traces, exports."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from headwater.assets.command_line.errors import CommandError
from headwater.assets.command_line.headline import headline
from headwater.assets.command_line.loading import Loaded, load_workspace, with_upstream
from headwater.assets.lineage.plan import plan
from headwater.assets.lineage.trace import upstream_record
from headwater.assets.storage.places import Store, StoreError
from headwater.assets.storage.records import Record
from headwater.assets.workspace import find_workspace

_MARKS = {
    "reuse": "[dim]= reuse[/]",
    "restore": "[green]↺ restore[/]",
    "compute": "[yellow]✎ compute[/]",
    "maybe": "[cyan]? maybe[/]",
}
_DRAWING = re.compile(r"!\[[^\]]*\]\(data:[^)]*\)")  # what a browser draws and a terminal would spell out


def print_plan(selections: Sequence[str]) -> None:
    """Prints what a materialization would do, why, and what each asset read last time."""
    loaded = load_workspace()
    table = Table(box=None, pad_edge=False)
    for column in ("asset", "plan"):
        table.add_column(column, no_wrap=True)
    for column in ("because", "last time"):
        table.add_column(column, overflow="fold")
    selected = loaded.select_all(selections)
    chosen = {stage.asset for stage in selected}
    for item in plan(with_upstream(loaded.stages, selected), loaded.store, loaded.workspace):
        if item.asset in chosen:
            table.add_row(item.asset, _MARKS[item.action], "\n".join(item.reasons), _last(item.last))
    Console(highlight=False).print(table)


def _last(record: Record | None) -> str:
    if record is None:
        return ""
    read = [
        f"read {asset.split('/')[-1]} {found.content[:8]}" for asset, found in _inputs(record) if asset != "outside"
    ]
    done = ", ".join(filter(None, [headline(record), f"{record.execution.seconds:.1f} s"]))
    return "\n".join([done, *read])


def _inputs(record: Record) -> list[tuple[str, Any]]:
    names = record.identity.options.get("_inputs", {})
    return [(names.get(role, role), found) for role, found in record.identity.inputs.items()]


def print_assets() -> None:
    """Prints a line for every asset of the workspace."""
    loaded = load_workspace()
    table = Table(box=None, pad_edge=False)
    for column in ("asset", "kind", "content", "what came out", "when"):
        table.add_column(column, no_wrap=column in ("asset", "content"))
    for stage in loaded.stages:
        try:
            record = loaded.store.place(stage.asset).record()
        except StoreError as error:
            table.add_row(stage.asset, stage.kind, "", f"[red]{escape(str(error))}[/]", "")
            continue
        if record is None:
            table.add_row(stage.asset, stage.kind, "", "[dim]never materialized[/]", "")
        else:
            when = record.execution.started.replace("T", " ")[:16]
            table.add_row(stage.asset, stage.kind, record.content_version[:8], headline(record), when)
    Console(highlight=False).print(table)


def print_asset(asset: str, json: bool = False) -> None:
    """Prints an asset's record."""
    from headwater.assets.withdrawal.status import standing_checks  # loads Lance

    store, record = _stored(asset)
    if json:
        typer.echo(record.model_dump_json(indent=2))
        return
    console = Console(highlight=False)
    console.print(f"[bold]{record.asset}[/]  ({record.kind} of {record.pipeline})  {headline(record)}")
    console.print(_facts(record))
    for check in [*record.checks, *standing_checks(store, record)]:
        mark = "[green]✓[/]" if check.passed else ("[red]✗ blocks[/]" if check.blocking else "[yellow]! warns[/]")
        console.print(f"{mark} {check.name}: {check.description}")
    for title, text in record.markdown.items():
        console.print(f"\n[bold]{title}[/]")
        console.print(Markdown(_DRAWING.sub("", text)))
    for title, file in record.plots.items():
        console.print(f"[dim]{title}:[/] {store.place(record.asset).folder(record.digest)}/{file}")


def _stored(asset: str) -> tuple[Store, Record]:
    """The record of an asset, which is found by its whole name without loading what is declared."""
    workspace = find_workspace()
    workspace.prepare()
    store = Store(workspace.store_url)
    record = store.place(asset).record() if "/" in asset else None
    if record is not None:
        return store, record
    loaded = load_workspace()
    return loaded.store, loaded.record(loaded.asset(asset))


def _facts(record: Record) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    execution = record.execution
    started = datetime.fromisoformat(execution.started).strftime("%Y-%m-%d %H:%M UTC")
    git = (
        f"{execution.git_commit[:10]}{' with changes' if execution.git_dirty else ''}" if execution.git_commit else "–"
    )
    rows = {
        "content": record.content_version,
        "identity": record.digest,
        "made": f"{started}, {execution.seconds:.1f} s, {execution.engine} × {execution.workers}",
        "code": f"step {record.identity.code.number}, modules {record.identity.code.modules}, git {git}",
        "libraries": ", ".join(f"{k} {v}" for k, v in record.identity.code.libraries.items()) or "–",
    }
    rows |= {f"from {asset}": found.content for asset, found in _inputs(record) if found.content}
    rows |= {f"table {name}": f"{t.rows:,} rows, version {t.version}" for name, t in record.tables.items()}
    for name, value in rows.items():
        table.add_row(f"[dim]{name}[/]", str(value))
    for name, value in record.metrics.items():
        if isinstance(value, int | float | str):
            table.add_row(f"[dim]{name}[/]", f"{value:,}" if isinstance(value, int) else str(value))
    return table


def export_training(training: str, folder: Path, seed: int | None) -> None:
    """Writes a checkpoint as a Hugging Face folder.

    Raises:
        FileExistsError: the folder holds something already.
    """
    from headwater.assets.fitting.stage import tokenizer_at
    from headwater.assets.training.behind import shards_behind
    from headwater.assets.training.checkpoints import export_checkpoint, open_checkpoint

    folder = folder.absolute()
    loaded = load_workspace()
    record = loaded.record(f"{training}/checkpoint")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder.")
    tokens = upstream_record(loaded.store, shards_behind(loaded.store, record), "tokens")
    tokenizer = tokenizer_at(loaded.store, upstream_record(loaded.store, tokens, "tokenizer"))
    chosen = record.identity.options["seeds"][0] if seed is None else seed
    export_checkpoint(open_checkpoint(loaded.store, record, chosen), tokenizer, folder, typer.echo)


def accept_code(asset: str) -> None:
    """Notes in an asset's record that the present code gives the same content.

    Raises:
        CommandError: more than the code differs.
    """
    from headwater.assets.lineage.plan import differences
    from headwater.assets.running import wanted_identity

    loaded = load_workspace()
    record = loaded.record(asset)
    wanted = wanted_identity(_stage(loaded, asset), loaded.store, loaded.workspace)
    if record.serves(wanted):
        typer.echo(f"{asset} is up to date; there is nothing to accept.")
        return
    other = [reason for reason in differences(record.identity, wanted) if not reason.startswith(("code", "library"))]
    if other:
        raise CommandError(f"{asset} differs in more than its code: {'; '.join(other)}. Materialize it.")
    accepted = record.model_copy(update={"accepted_code": [*record.accepted_code, wanted.code]})
    loaded.store.place(asset).publish(accepted)
    typer.echo(f"Accepted: {asset} keeps its content under code {wanted.code.modules}.")


def _stage(loaded: Loaded, asset: str) -> Any:
    return next(stage for stage in loaded.stages if stage.asset == asset)
