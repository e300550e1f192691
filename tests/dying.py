"""Death at a chosen moment: every operation that changes a store is counted, and one of them is the last.

The operations of Lance (write fragments, write a table, commit, restore, delete) and of the file system (rename, link,
copy, remove, truncating open through `Path.open`) are wrapped; at the k-th the process "dies": an exception that
nothing catches, before the operation or right after it.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import fsspec.implementations.local
import lance

from headwater.assets.storage import tables

OPERATIONS: tuple[tuple[Any, str], ...] = (
    (tables, "write_fragments"),
    (lance, "write_dataset"),
    (lance.LanceDataset, "commit"),
    (lance.LanceDataset, "restore"),
    (lance.LanceDataset, "delete"),
    (Path, "replace"),
    (Path, "unlink"),
    (os, "link"),
    (shutil, "copyfile"),
    (shutil, "rmtree"),
    (fsspec.implementations.local.LocalFileSystem, "rm"),
    (fsspec.implementations.local.LocalFileSystem, "rm_file"),
)


class Died(BaseException):
    """The process is gone: no `except Exception` may survive it."""


class Clock:
    """Counts the operations on one store and dies at one of them."""

    def __init__(self, root: str, last: int, after: bool) -> None:
        self.root, self.last, self.after = root, last, after
        self.count, self.dead = 0, False
        self.log: list[str] = []

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **named: Any) -> Any:
            if self.dead:  # clean-up code of a dead process does not run either
                raise Died
            if not any(self.root in place for place in _places(arguments)):
                return original(*arguments, **named)
            self.count += 1
            number = self.count  # operations may nest
            self.log.append(original.__name__)
            if number == self.last and not self.after:
                self.dead = True
                raise Died
            result = original(*arguments, **named)
            if number == self.last:
                self.dead = True
                raise Died
            return result

        return operation


def _places(arguments: tuple[Any, ...]) -> list[str]:
    """The paths and tables that an operation names."""
    found = (getattr(argument, "uri", argument) for argument in arguments)
    return [str(place) for place in found if isinstance(place, str | Path)]


@contextmanager
def dying_at(root: str, last: int, after: bool = False) -> Iterator[Clock]:
    """Within the block, the process dies at this operation (from 1) on the store at `root`; 0 only counts."""
    clock = Clock(root, last, after)
    patches = []
    for owner, name in OPERATIONS:
        original = owner.__dict__[name]
        plain = original.__func__ if isinstance(original, staticmethod | classmethod) else original
        wrapped: Any = clock.wrap(plain)
        patches.append(
            patch.object(owner, name, staticmethod(wrapped) if isinstance(original, staticmethod) else wrapped)
        )
    for item in patches:
        item.start()
    try:
        yield clock
    except Died:
        pass
    finally:
        for item in patches:
            item.stop()
