"""`headwater withdraw`: take documents out of everything, after showing what that touches; prove that they are gone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.assets.command_line.guard import clear_errors

if TYPE_CHECKING:
    from headwater.assets.storage.places import Store
    from headwater.assets.storage.records import Record
    from headwater.assets.withdrawal.blocklist import Blocklist
    from headwater.assets.withdrawal.selecting import Selection
    from headwater.assets.withdrawal.touching import Touched

_SHOWN = 12


@clear_errors
def withdraw(
    ids: Annotated[list[str] | None, typer.Option(help="Document ids, or @FILE with one a line.")] = None,
    uris: Annotated[list[str] | None, typer.Option(help="Addresses; * and ? stand for any text. Or @FILE.")] = None,
    match: Annotated[str | None, typer.Option(help="All documents that contain this text.")] = None,
    regex: Annotated[bool, typer.Option("--regex", help="--match is a regular expression (RE2).")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the ledger for ever.")] = "",
    by: Annotated[str, typer.Option(help="Who decided it; kept in the ledger for ever.")] = "",
    with_duplicates: Annotated[
        bool, typer.Option("--with-duplicates", help="Also what was verified to resemble them closely.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is touched, and withdraw nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove that nothing withdrawn is left in the store.")
    ] = False,
) -> None:
    """Withdraw documents: no refresh delivers them again, and the next one removes them everywhere.

    Byte-identical copies go with a document. `headwater gc --yes` then frees what still holds them, and
    `headwater withdraw --verify` proves that they are gone.
    """
    from headwater.assets.command_line.errors import CommandError

    asked = [given for given in (ids, uris, match) if given]
    if verify:
        if asked:
            raise CommandError(
                "--verify looks for everything that was ever withdrawn: leave out --ids, --uris, --match."
            )
        print_verification()
        return
    if len(asked) != 1:
        raise CommandError("Say which documents: --ids, --uris or --match, one of the three.")
    if not dry_run and not (reason.strip() and by.strip()):
        raise CommandError("Say --reason and --by: the ledger keeps why it was withdrawn and who decided it.")
    scope = "ids" if ids else "uris" if uris else "match"
    values = [match] if match is not None else listed([*(ids or []), *(uris or [])])
    _withdraw(scope, values, regex, reason.strip(), by.strip(), with_duplicates, dry_run, yes)


def listed(values: list[str]) -> list[str]:
    """The values, with those of the files that are named by @FILE; each once, in order.

    Raises:
        CommandError: a file cannot be read, or nothing is named.
    """
    from headwater.assets.command_line.errors import CommandError

    found: dict[str, None] = {}
    for value in values:
        if not value.startswith("@"):
            found[value.strip()] = None
            continue
        try:
            lines = Path(value[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{value[1:]} cannot be read: {error}.") from error
        found |= dict.fromkeys(line.strip() for line in lines if line.strip())
    if not [value for value in found if value]:
        raise CommandError("No document is named: the list is empty.")
    return [value for value in found if value]


def _withdraw(
    scope: str, values: list[str], regex: bool, reason: str, by: str, duplicates: bool, dry_run: bool, yes: bool
) -> None:
    from headwater.assets.withdrawal.blocklist import read_blocklist
    from headwater.assets.withdrawal.selecting import not_yet
    from headwater.assets.withdrawal.selecting import with_copies as copies
    from headwater.assets.withdrawal.selecting import with_duplicates as resembling
    from headwater.assets.withdrawal.touching import touched_by
    from headwater.assets.withdrawal.withdrawing import withdraw as publish

    store = _store()
    blocked = read_blocklist(store)
    asked = _select(store, scope, values, regex, blocked)
    every = not_yet(resembling(store, asked), blocked)
    chosen = every if duplicates else not_yet(copies(store, asked), blocked)
    if not chosen:
        typer.echo("All of these were withdrawn before; nothing to do.")
        return
    print_touched(touched_by(store, chosen), chosen)
    if left := len(every) - len(chosen):
        typer.echo(f"{_count(left, 'near-duplicate')} would stay: --with-duplicates takes them too.")
    if dry_run:
        typer.echo("\nA dry run: nothing was withdrawn.")
        return
    if not yes and not typer.confirm(f"\nWithdraw {_count(len(chosen), 'document')}?"):
        raise typer.Exit(1)
    record = publish(store, chosen, reason, by, scope, duplicates)
    _tell_dagster(store, record)
    typer.echo(f"\nWithdrawn: {_count(len(chosen), 'document')} ({record.identity.options['withdrawal']}). Now:")
    for command, what in (
        ("headwater materialize PIPELINE", "takes them out of every table and shard"),
        ("headwater gc --yes", "frees what still holds them: past versions, old shards, logs"),
        ("headwater withdraw --verify", "proves that they are gone"),
    ):
        typer.echo(f"  {command:<32}{what}")


def _store() -> "Store":
    from headwater.assets.storage.places import Store
    from headwater.assets.workspace import find_workspace

    workspace = find_workspace()
    workspace.prepare()
    return Store(workspace.store_url)


def _select(store: "Store", scope: str, values: list[str], regex: bool, blocked: "Blocklist") -> "Selection":
    from headwater.assets.withdrawal.selecting import select_ids, select_matching, select_uris

    if scope == "match":
        return select_matching(store, values[0], regex)
    return (select_ids if scope == "ids" else select_uris)(store, values, blocked)


def _tell_dagster(store: "Store", record: "Record") -> None:
    import dagster as dg

    from headwater.assets.withdrawal.dagster_asset import report_withdrawal

    with dg.DagsterInstance.get() as instance:
        report_withdrawal(instance, store, record)


def print_touched(touched: "Touched", chosen: "Selection") -> None:
    """Prints documents by source, shards, checkpoints, and what training again would take."""
    because = {"asked": "", "exact": "identical copies", "near": "near-duplicates"}
    typer.echo(f"{_count(len(chosen), 'document')}:")
    for corpus, source, why, documents, size in touched.documents:
        note = f"  ({because[why]})" if because[why] else ""
        typer.echo(f"  {corpus}, source {source}: {documents:,}, {size / 1e3:,.1f} kB{note}")
    for item in list(chosen.values())[:_SHOWN]:
        typer.echo(f"    {item.doc_id}  {item.uri}")
    if len(chosen) > _SHOWN:
        typer.echo(f"    … {len(chosen) - _SHOWN:,} more")
    for shard in touched.shards:
        members = f"{shard.members:,} of {_count(shard.of_members, 'file')}"
        typer.echo(f"{shard.asset}: {shard.tokens:,} tokens in {members} become holes")
    for checkpoint in touched.checkpoints:
        current = "" if checkpoint.current else " (a past version)"
        typer.echo(f"{checkpoint.name}{current}: {checkpoint.status.sentence()}")
    again = [c for c in touched.checkpoints if c.current and c.status.documents]
    if again:
        seconds = sum(checkpoint.seconds for checkpoint in again)
        names = ", ".join(checkpoint.name for checkpoint in again)
        typer.echo(f"To train without them: {names} anew, which took {seconds:,.0f} s last time.")
    elif not touched.checkpoints:
        typer.echo("No checkpoint saw any of them.")


def print_verification() -> None:
    """Looks for everything withdrawn in all that the store holds; exits with status 1 when something is left."""
    from headwater.assets.withdrawal.verifying import quoted_in, verify_absence
    from headwater.assets.workspace import find_workspace

    store = _store()
    found = verify_absence(store)
    for line in found.lines():
        typer.echo(line)
    quoting = quoted_in(store, find_workspace().dagster_home)
    for path in quoting:
        typer.echo(f"Outside the store, Dagster's history quotes a withdrawn text: {path}")
    if quoting:
        typer.echo("`dagster run delete RUN`, where RUN.db is such a file, removes the events of that run.")
    raise typer.Exit(0 if found.absent else 1)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
