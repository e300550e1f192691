"""What changed in a table between two versions: the feed that lets a consumer work on the difference alone.

A refresh deletes rows and appends others, and Lance marks deletions beside the data files, so two versions share the
files of every row that stayed. Comparing file names and deletion marks tells which rows went and which came without
reading any column; only where no file is shared (a table that was rebuilt or compacted) are the rows' hashes compared.
A row whose values changed counts as one removed and one added.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headwater.assets.storage.content import hashed_columns, row_hashes
from headwater.assets.storage.tables import Positions, live_offsets, manifest_of, open_table


class Changes(NamedTuple):
    """The difference between two versions of a table.

    ``removed`` are positions in the older version, ascending. The newer version begins with the ``kept`` other rows of
    the older one, in the same order, and ends with ``added`` further rows.
    """

    removed: Positions
    kept: int
    added: int

    @property
    def nothing(self) -> bool:
        """Whether both versions hold the same rows in the same order."""
        return len(self.removed) == 0 and self.added == 0


def changes(url: str, older: int, newer: int) -> Changes:
    """Compares two versions of one table.

    Raises:
        FileNotFoundError: one of the versions is no longer there.
    """
    manifests = manifest_of(url, older), manifest_of(url, newer)
    return _changes(url, older, newer) if None in manifests else _known_changes(url, older, newer, manifests)


@lru_cache(maxsize=16)
def _known_changes(url: str, older: int, newer: int, manifests: tuple[Any, ...]) -> Changes:
    """The same again: every stage behind `raw` asks what changed in it."""
    found = _changes(url, older, newer)
    found.removed.flags.writeable = False
    return found


def _changes(url: str, older: int, newer: int) -> Changes:
    by_file = changes_by_files(url, older, newer)
    return by_file if by_file is not None else _by_rows(open_table(url, older), open_table(url, newer))


def changes_by_files(url: str, older: int, newer: int) -> Changes | None:
    """The same as far as it can be told without reading a column: None where files and deletion marks do not tell.

    Raises:
        FileNotFoundError: one of the versions is no longer there.
    """
    old, new = open_table(url, older), open_table(url, newer)
    if older == newer:
        return Changes(np.empty(0, dtype=np.int64), old.count_rows(), 0)
    return _by_files(old, new)


def _by_files(old: Any, new: Any) -> Changes | None:
    """The difference as files and deletion marks tell it; None when they cannot."""
    before, after = old.get_fragments(), new.get_fragments()
    wanted = {_files(fragment): fragment for fragment in after}
    shared = [_files(fragment) for fragment in before if _files(fragment) in wanted]
    if before and after and not shared:
        return None
    if [_files(fragment) for fragment in after[: len(shared)]] != shared:
        return None
    removed, position = [np.empty(0, dtype=np.int64)], 0
    for fragment in before:
        rows = fragment.count_rows()
        gone = _gone(fragment, wanted.get(_files(fragment)), rows)
        if gone is None:
            return None
        removed.append(position + gone)
        position += rows
    positions = np.concatenate(removed)
    return Changes(
        positions, position - len(positions), sum(fragment.count_rows() for fragment in after[len(shared) :])
    )


def _files(fragment: Any) -> tuple[str, ...]:
    return tuple(sorted(file.path for file in fragment.data_files()))


def _gone(old: Any, new: Any | None, rows: int) -> Positions | None:
    """Places within the old fragment's live rows that the new one marks as deleted; None when rows came back."""
    if new is None:
        return np.arange(rows, dtype=np.int64)
    if old.deletion_file() == new.deletion_file():
        return np.empty(0, dtype=np.int64)
    before, after = live_offsets(old), live_offsets(new)
    stayed = np.isin(before, after, assume_unique=True)
    return np.flatnonzero(~stayed) if np.count_nonzero(stayed) == len(after) else None


def _by_rows(old: Any, new: Any) -> Changes:
    """The difference by row hashes: rows stayed as far as the newer version repeats the order of the older one."""
    before, after = _hashes(old), _hashes(new)
    order = np.argsort(before, kind="stable")
    found = np.minimum(np.searchsorted(before, after, sorter=order), max(len(before) - 1, 0))
    places = order[found] if len(before) else np.zeros(len(after), dtype=np.int64)
    stays = before[places] == after if len(before) else np.zeros(len(after), dtype=bool)
    stays[1:] &= places[1:] > places[:-1]
    kept = len(stays) if stays.all() else int(np.argmin(stays))
    removed = np.setdiff1d(np.arange(len(before), dtype=np.int64), places[:kept], assume_unique=True)
    return Changes(removed, kept, len(after) - kept)


def _hashes(table: Any) -> npt.NDArray[np.uint64]:
    parts = [
        row_hashes(batch)
        for batch in table.scanner(columns=hashed_columns(table.schema), scan_in_order=True).to_batches()
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def staying(rows: int, removed: Positions) -> Positions:
    """The positions among so many rows that are not removed, ascending."""
    stays = np.ones(rows, dtype=bool)
    stays[removed] = False
    return np.flatnonzero(stays)
