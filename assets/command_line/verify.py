"""`headwater verify`: compare what the store holds with what its records promise, and give up what is damaged."""

from typing import TYPE_CHECKING, Annotated

import typer

from headwater.assets.command_line.guard import clear_errors

if TYPE_CHECKING:
    from headwater.assets.storage.places import Store
    from headwater.assets.storage.records import Record
    from headwater.assets.storage.verification import Fault


@clear_errors
def verify(
    selection: Annotated[str, typer.Argument(help="An asset, a component or a pipeline; all when left out.")] = "",
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Give damaged outputs up, so that the next materialization makes them anew."),
    ] = False,
) -> None:
    """Read every current output back: files by their hash, tables by the content of their rows and texts.

    Ends with status 1 where anything is not as its record says.
    """
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    store = Store(workspace.store_url)
    records, unreadable = _selected(store, selection)
    faults, met = _faults(store, records)
    unreadable += [message for message in dict.fromkeys(met) if message not in unreadable]
    for fault in [*unreadable, *faults]:
        typer.secho(f"  {fault}", fg="red")
    tables, files = sum(len(r.tables) for r in records), sum(len(r.files) for r in records)
    typer.echo(
        f"Verified {len(records):,} assets: {tables:,} tables, {files:,} files. Found wrong: "
        f"{len(unreadable) + len(faults):,}."
    )
    if not faults and not unreadable:
        return
    if faults and mend:
        _mend(store, faults)
    elif faults:
        typer.echo("Put the files back from a backup and verify again; or give them up: headwater verify --mend")
    raise typer.Exit(1)


def _selected(store: "Store", selection: str) -> "tuple[list[Record], list[str]]":
    """The records to verify, and what is said of those that cannot be read."""
    from headwater.assets.command_line.errors import CommandError
    from headwater.assets.storage.places import StoreError

    current, unreadable = [], []
    for asset in store.assets():
        try:
            record = store.place(asset).record()
        except StoreError as error:
            unreadable += [str(error)] if selection in ("", asset, asset.split("/")[0]) else []
        else:
            current += [record] if record is not None else []
    chosen = [r for r in current if selection in ("", r.asset, r.asset.split("/")[0], r.pipeline)]
    if not current and not unreadable:
        raise CommandError("The store holds no output yet: there is nothing to verify.")
    if not chosen and not unreadable:
        known = ", ".join(record.asset for record in current)
        raise CommandError(f"No record belongs to '{selection}'. There are: {known}.")
    return chosen, unreadable


def _faults(store: "Store", records: "list[Record]") -> "tuple[list[Fault], list[str]]":
    """What is not as its record says, and what is said of records that cannot be read, which others lean on."""
    from headwater.assets.compute.progress import Progress
    from headwater.assets.storage.places import StoreError
    from headwater.assets.storage.verification import bytes_to_read, verify_record

    found: list[Fault] = []
    unreadable: list[str] = []
    with Progress("verify", total=sum(bytes_to_read(store, r) for r in records) / 1e6, unit="MB") as bar:
        for record in records:
            try:
                found += verify_record(store, record, lambda size: bar.advance(size / 1e6))
            except StoreError as error:
                unreadable.append(str(error))
    return found, unreadable


def _mend(store: "Store", faults: "list[Fault]") -> None:
    from headwater.assets.storage.mending import mend
    from headwater.assets.withdrawal.blocklist import ASSET

    given = mend(store, faults, keep=(ASSET,))
    if any(fault.asset == ASSET for fault in faults):
        typer.secho(f"{ASSET} was typed in, not computed: only a backup brings it back.", fg="red")
    current = {(asset, r.digest): r for asset in store.assets() if (r := store.place(asset).record()) is not None}
    for name in sorted(given.keys() & current.keys()):
        typer.echo(f"  given up: {name[0]} ({', '.join(sorted(given[name]))})")
    if past := len(given.keys() - current.keys()):
        typer.echo(f"  given up: {past:,} past outputs that share what is damaged")
    waiting = given.keys() | {(fault.asset, fault.identity) for fault in faults if fault.asset != ASSET}
    for pipeline in sorted({current[name].pipeline for name in waiting & current.keys()}):
        typer.echo(f"To make them anew: headwater materialize {pipeline}")
    typer.echo(
        "A training that read damaged files meanwhile cannot tell: its record names the content as it was meant."
    )
