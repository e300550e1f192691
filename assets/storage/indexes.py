"""Indexes: finding rows by a value in milliseconds, without changing what a version holds.

*Keys* (document ids, addresses, token positions) get sorted indexes that belong to the table itself: a refresh inherits
them, Lance searches rows they do not cover yet by scanning, and a table without one is scanned as a whole. So a lookup
is right with any index or none, and only its speed depends on it.

*Texts* get an index of three-character pieces, made when asked for, in a version beside those that records pin: no
refresh waits for it. A search in another version takes candidates for the files that both versions share and scans the
rest; every candidate is verified by reading its text.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.storage.tables import open_table

# Below this a scan answers in a few milliseconds; above it an index is worth its half second per million rows.
MIN_ROWS = 100_000
# Looking up a value in an index costs about as much as reading the column of so many rows.
ROWS_PER_LOOKUP = 2_500
_BATCH_ROWS = 256


def index_keys(url: str, version: int, columns: Sequence[str], min_rows: int = MIN_ROWS) -> int:
    """Makes sure that columns of the table's latest version are indexed; returns the version that is.

    Only rows that came since are added to an index that is there. Where fewer than ``min_rows`` rows lack one, or the
    version is not the latest, nothing is done.
    """
    table = open_table(url, version)
    if table.latest_version != version:
        return version
    indexed = {name: item["name"] for item in table.list_indices() for name in item["fields"]}
    for column in columns:
        if _uncovered_rows(table, indexed.get(column)) < min_rows:
            continue
        if column in indexed:
            table.optimize.optimize_indices(num_indices_to_merge=0, index_names=[indexed[column]])
        else:
            table.create_scalar_index(column, "BTREE")
    return int(table.version)


def _uncovered_rows(table: Any, index: str | None) -> int:
    if index is None:
        return int(table.count_rows())
    return int(table.stats.index_stats(index)["num_unindexed_rows"])


def equals(column: str, values: Sequence[str]) -> str:
    """The SQL condition that a text column has one of some values."""
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({listed})"


def find_rows(url: str, version: int, column: str, values: Sequence[str], columns: list[str] | None = None) -> pa.Table:
    """Rows of a version whose text column has one of some values, in table order; by index where that is quicker."""
    if open_table(url, version).count_rows() < ROWS_PER_LOOKUP * len(values):
        listed = pa.array(values, pa.string())
        return choose_rows(url, version, [column], lambda rows: pc.is_in(rows[column], value_set=listed), columns)
    return rows_where(url, version, equals(column, values), columns)


def rows_where(url: str, version: int, condition: str, columns: list[str] | None = None) -> pa.Table:
    """The few rows of a version that meet an SQL condition, in table order.

    Their places are asked of the index first and the rows are taken then: reading columns while filtering costs ten
    times as much for rows that lie scattered.
    """
    return choose_rows(url, version, [], None, columns, condition)


def choose_rows(
    url: str,
    version: int,
    read: list[str],
    choose: Callable[[pa.Table], Any] | None,
    columns: list[str] | None = None,
    where: str | None = None,
) -> pa.Table:
    """Rows that a function marks, given a few columns of all that meet a condition; in table order."""
    table = open_table(url, version)
    seen = table.to_table(columns=[*read, "_rowoffset"], filter=where)
    places = seen["_rowoffset"] if choose is None else seen["_rowoffset"].filter(choose(seen))
    return table.take(np.sort(places.to_numpy()).tolist(), columns=columns)


@dataclass(frozen=True)
class TextIndex:
    """An index of the texts of one version: how many rows it covers, what it took and what it takes."""

    version: int
    rows: int
    seconds: float
    bytes: int

    def to_json(self) -> str:
        """The description as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "TextIndex":
        """Reads what :meth:`to_json` wrote."""
        return cls(**json.loads(text))


def build_text_index(url: str, version: int, column: str = "text") -> tuple[int, int]:
    """Indexes the texts of a version: (the version that holds the index, bytes of the index).

    The version is restored first where it is not the latest, as an index is added to the latest one.
    """
    table = open_table(url, version)
    if table.latest_version != version:
        table.restore()
    if f"{column}_idx" in {item["name"] for item in table.list_indices()}:
        table.drop_index(f"{column}_idx")
    table.create_scalar_index(column, "NGRAM")
    return int(table.version), _index_bytes(url, table, column)


def _index_bytes(url: str, table: Any, column: str) -> int:
    filesystem, root = fsspec.core.url_to_fs(url)
    found = [item["uuid"] for item in table.list_indices() if column in item["fields"]]
    return sum(int(filesystem.du(f"{root}/_indices/{uuid}")) for uuid in found)


def rows_with_text(
    url: str, version: int, text: str, columns: list[str], index: int | None = None, column: str = "text"
) -> Iterator[pa.RecordBatch]:
    """Rows of a version whose text column contains a text verbatim, in no particular order.

    Args:
        index: a version of the table that holds an index of its texts, if there is one; it need not be the same.
    """
    table = open_table(url, version)
    condition = f"contains({column}, '{text.replace(chr(39), chr(39) * 2)}')"
    shared, rest = _shared_fragments(url, table, index)
    if shared and index is not None:
        indexed = open_table(url, index).to_table(columns=[], filter=condition, with_row_id=True)["_rowid"].to_pylist()
        for first in range(0, len(indexed), _BATCH_ROWS):
            # A row keeps its id as long as it lives; what was deleted since is not found, and texts are read again.
            listed = ", ".join(map(str, indexed[first : first + _BATCH_ROWS]))
            where = f"_rowid IN ({listed}) AND {condition}"
            yield from table.scanner(columns=columns, filter=where, fragments=shared).to_batches()
    if rest:
        yield from table.scanner(columns=columns, filter=condition, fragments=rest, batch_size=_BATCH_ROWS).to_batches()


def _shared_fragments(url: str, table: Any, index: int | None) -> tuple[list[Any], list[Any]]:
    """Fragments whose live rows the indexed version holds too, and those that must be scanned."""
    fragments = table.get_fragments()
    try:
        held = {} if index is None else {_files(f): f.num_deletions for f in open_table(url, index).get_fragments()}
    except FileNotFoundError:
        held = {}
    # Rows deleted in the indexed version but not here would be missed: such a fragment is scanned.
    shared = [f for f in fragments if _files(f) in held and held[_files(f)] <= f.num_deletions]
    shared_ids = {fragment.fragment_id for fragment in shared}
    return shared, [fragment for fragment in fragments if fragment.fragment_id not in shared_ids]


def uncovered_rows(url: str, version: int, index: int | None) -> int:
    """Rows of a version that a search with an index must scan."""
    return sum(int(fragment.count_rows()) for fragment in _shared_fragments(url, open_table(url, version), index)[1])


def _files(fragment: Any) -> tuple[str, ...]:
    return tuple(sorted(file.path for file in fragment.data_files()))
