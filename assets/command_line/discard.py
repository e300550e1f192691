"""`headwater discard`: take an output away as a whole, after showing what goes."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.assets.command_line.guard import clear_errors

if TYPE_CHECKING:
    from headwater.assets.withdrawal.discarding import Discarded


@clear_errors
def discard(
    outputs: Annotated[list[str], typer.Argument(help="Assets such as my_text/tokens, or whole components.")],
    reason: Annotated[str, typer.Option(help="Why; a note in the store keeps it.")] = "",
    by: Annotated[str, typer.Option(help="Who decides (default: the name of your login).")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take outputs away with all their past versions; ids and numbers stay for traces, and a note says why.

    Meant for what holds withdrawn documents and cannot be refreshed any more. What is declared is made anew by the next
    `headwater materialize` that can.
    """
    from headwater.assets.command_line.errors import CommandError
    from headwater.assets.command_line.loading import load_workspace
    from headwater.assets.withdrawal.discarding import discard as take_away
    from headwater.assets.withdrawal.discarding import discard_plan, outputs_named

    loaded = load_workspace()
    assets = list(dict.fromkeys(asset for name in outputs for asset in outputs_named(loaded.store, name)))
    plan = [item for item in discard_plan(loaded.store, assets) if not item.empty]
    if not plan:
        typer.echo("Nothing is left of it; nothing to do.")
        return
    if not reason.strip():
        raise CommandError("Say --reason: a note in the store keeps why it was discarded.")
    for item in plan:
        _print(item)
    if not yes and not typer.confirm("\nDiscard this?"):
        raise typer.Exit(1)
    consumers = {stage.asset: list(stage.inputs.values()) for stage in loaded.stages}
    take_away(loaded.store, [item.asset for item in plan], reason.strip(), by.strip() or _login(), consumers)
    typer.echo(f"Discarded: {', '.join(item.asset for item in plan)}.")


def _print(item: "Discarded") -> None:
    typer.echo(f"{item.asset}:" if item.identity else f"{item.asset} (what an interrupted discard or run left):")
    for table, size in item.tables.items():
        typer.echo(f"  table {table}, all versions: {size / 1e3:,.1f} kB")
    if item.files:
        typer.echo(f"  {item.files:,} file{'' if item.files == 1 else 's'}: {item.file_bytes / 1e3:,.1f} kB")
    if item.pending:
        typer.echo("  finished parts of an interrupted run")
    if item.readers:
        typer.echo(f"  made from it, and staying: {', '.join(item.readers)}")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "an unnamed user"
