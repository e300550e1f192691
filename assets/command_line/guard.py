"""Errors that people can mend end a command with one message and status 1; a traceback means a defect."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import typer


def clear_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Turns the errors that people can mend into one message."""

    @wraps(function)
    def guarded(*arguments: Any, **named: Any) -> Any:
        from headwater.assets.command_line.errors import mendable

        try:
            return function(*arguments, **named)
        except (KeyboardInterrupt, BrokenPipeError):
            raise typer.Exit(130) from None
        except Exception as error:
            message = mendable(error)
            if message is None:
                raise
            typer.secho(message, fg="red", err=True)
            raise typer.Exit(1) from None

    return guarded
