"""`headwater current`, `promote`, `rollback`: which checkpoint of a training is the one to use, and who said so."""

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.assets.command_line.guard import clear_errors

if TYPE_CHECKING:
    from headwater.assets.command_line.loading import Loaded
    from headwater.assets.training.promotion import Event

Name = Annotated[str, typer.Argument(help="Name of a Training that declares `promote:`.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the chain.")]
By = Annotated[str, typer.Option(help="Who decides (default: the name of your login).")]


@clear_errors
def current(name: Name) -> None:
    """Say which checkpoint is current, and by which decisions it became so."""
    from rich.console import Console
    from rich.markdown import Markdown

    from headwater.assets.training.promotion import chain_of, chain_table

    record = _load_promoting(name).record(f"{name}/current")
    now, latest = record.metrics["checkpoint"], record.metrics["candidate"]
    typer.echo(f"{name}: {'no checkpoint is current' if now is None else f'checkpoint {now} is current'}")
    if latest != now:
        typer.echo(f"the latest, {latest}, is a candidate: {record.checks[0].description}")
    Console(highlight=False).print(Markdown(chain_table(chain_of(record))))


@clear_errors
def promote(name: Name, reason: Reason, by: By = "") -> None:
    """Make the latest checkpoint current, whatever its comparison said."""
    from headwater.assets.training.promotion import promote_by_hand

    loaded = _load_promoting(name)
    _tell(loaded, name, promote_by_hand(loaded.store, name, reason, by or _login()))


@clear_errors
def rollback(
    name: Name,
    reason: Reason,
    to: Annotated[str | None, typer.Option(help="Beginning of an identity (default: the one before).")] = None,
    by: By = "",
) -> None:
    """Make a former checkpoint current again; it stays until a new checkpoint is promoted."""
    from headwater.assets.training.promotion import roll_back

    loaded = _load_promoting(name)
    _tell(loaded, name, roll_back(loaded.store, name, to, reason, by or _login()))


def _load_promoting(name: str) -> "Loaded":
    """The workspace, once it is sure that the training decides which checkpoint is current, or did so before.

    Raises:
        CommandError: it is a Training that declares no promotion, or no Training at all.
    """
    from headwater.assets.command_line.errors import CommandError
    from headwater.assets.command_line.loading import load_workspace

    loaded = load_workspace()
    assets = {stage.asset for stage in loaded.stages}
    if f"{name}/current" in assets or loaded.store.place(f"{name}/current").record():
        return loaded
    if f"{name}/checkpoint" in assets:
        raise CommandError(
            f"{name} has no promotion declared: its latest checkpoint is the one to use (headwater show "
            f"{name}/checkpoint). To have checkpoints compared and one of them current, write `promote: {{}}` among "
            f"the attributes of the Training '{name}', then: headwater materialize {name}/current"
        )
    trainings = sorted(asset.removesuffix("/checkpoint") for asset in assets if asset.endswith("/checkpoint"))
    raise CommandError(f"No Training is named '{name}'. There are: {', '.join(trainings) or 'none'}.")


def _tell(loaded: "Loaded", name: str, event: "Event") -> None:
    """Tells the person, and Dagster, whose automation evaluates what is current now."""
    from headwater.assets.command_line.errors import CommandError
    from headwater.assets.command_line.materialize import tell_dagster
    from headwater.assets.withdrawal.status import standing_checks

    typer.echo(f"{name}: checkpoint {event.checkpoint} is current{_instead_of(event.former)}.")
    record = loaded.store.place(f"{name}/checkpoint").record(event.checkpoint)
    for check in standing_checks(loaded.store, record) if record else []:
        if not check.passed:
            typer.echo(f"! {check.name}: {check.description}")
    try:
        tell_dagster(loaded, f"{name}/current")
    except CommandError as error:  # it is decided all the same
        typer.echo(f"The UI learns of it with the next run: {error}", err=True)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"


def _instead_of(former: str | None) -> str:
    return f" instead of {former[:8]}" if former else ""
