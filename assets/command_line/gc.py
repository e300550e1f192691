"""`headwater gc`: show what the store no longer needs, and free it when told."""

from typing import TYPE_CHECKING, Annotated

import typer

from headwater.assets.command_line.guard import clear_errors

if TYPE_CHECKING:
    from headwater.assets.storage.gc import GcPlan
    from headwater.assets.storage.gc_options import Retention

_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "": 1.0}


@clear_errors
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Free it; without this it is only shown.")] = False,
    keep: Annotated[int | None, typer.Option(min=0, help="Past outputs of each asset to keep.")] = None,
    older_than: Annotated[str | None, typer.Option(help="Free past outputs older than this: 30d, 2w, 12h.")] = None,
    attempts_older_than: Annotated[
        str | None, typer.Option(help="Give up interrupted runs older than this: 24h, 0h.")
    ] = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Look for withdrawn text again although it was purged before.")
    ] = False,
) -> None:
    """Free past versions beyond the retention, what dead runs left, and whatever still holds withdrawn documents.

    The retention is declared as `[tool.headwater.retention]` in the workspace's pyproject.toml: keep, older_than_days,
    attempt_hours.
    """
    from headwater.assets.command_line.loading import load_workspace
    from headwater.assets.storage.gc import collect, plan_gc
    from headwater.assets.storage.gc_options import declared_retention
    from headwater.assets.withdrawal.purging import purge_plan, purge_withdrawn

    loaded = load_workspace()
    retention = _given(declared_retention(loaded.workspace.root), keep, older_than, attempts_older_than)
    consumers = {stage.asset: list(stage.inputs.values()) for stage in loaded.stages}
    if not yes:
        for line in purge_plan(loaded.store, purge, consumers).lines():
            typer.echo(line)
        print_gc(plan_gc(loaded.store, retention, consumers), freed=False)
        return
    for line in purge_withdrawn(loaded.store, purge, consumers).lines():
        typer.echo(line)
    print_gc(collect(loaded.store, retention, consumers), freed=True)


def _given(retention: "Retention", keep: int | None, older: str | None, attempts: str | None) -> "Retention":
    update: dict[str, float] = {} if keep is None else {"keep": keep}
    if older is not None:
        update["older_than_days"] = days(older)
    if attempts is not None:
        update["attempt_hours"] = 24 * days(attempts)
    return retention.model_copy(update=update)


def days(text: str) -> float:
    """`30d`, `2w` or `12h` in days.

    Raises:
        CommandError: it is none of these.
    """
    from headwater.assets.command_line.errors import CommandError

    number, unit = (text[:-1], text[-1]) if text and text[-1].isalpha() else (text, "")
    try:
        return float(number) * _DAYS[unit]
    except (ValueError, KeyError):
        raise CommandError(f"'{text}' is no time: say 30d, 2w or 12h.") from None


def print_gc(plan: "GcPlan", freed: bool) -> None:
    """Prints what goes by asset and reason."""
    for asset, reason, size in plan.rows():
        typer.echo(f"  {asset:<36} {reason:<16} {_bytes(size):>12}")
    for asset, table, before, after in plan.merged:
        typer.echo(f"  {asset:<36} {table}: {before:,} fragments put together in {after:,}")
    for asset, why in plan.skipped.items():
        typer.echo(f"  {asset:<36} left alone: {why}")
    if freed:
        typer.echo(f"Freed {_bytes(plan.bytes)}.")
    elif plan.bytes:
        typer.echo(f"Would free {_bytes(plan.bytes)}: headwater gc --yes")
    else:
        typer.echo("Nothing to free.")


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
