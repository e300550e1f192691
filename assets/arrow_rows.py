"""Rows of Arrow tables that lie in many pieces in memory, as a table read from the store does.

Arrow puts the pieces of a column together before it takes rows of it, and copies what is left where rows go. For a few
rows of a million that is most of the work, above all in a process that has not used the memory before.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Places = npt.NDArray[np.int64]

_FEW_RUNS = 64  # of rows that stay, as pieces of their own
_SMALL_PIECE = 1 << 14  # rows; to go from one piece to the next costs as much as so many
_FEW_ROWS = 1 << 20  # to have twice in memory for a moment


def put_together(table: pa.Table) -> pa.Table:
    """The same rows, in one piece where they lie in many small ones and are few enough to be copied."""
    pieces = max((column.num_chunks for column in table.columns), default=1)
    small = pieces > 1 and len(table) < pieces * _SMALL_PIECE
    return table.combine_chunks() if small and len(table) <= _FEW_ROWS else table


def rows_at(table: pa.Table, places: Places) -> pa.Table:
    """The rows at some places, in the order of the places."""
    if table.num_columns == 0 or table.column(0).num_chunks <= 1:
        return table.take(pa.array(places))
    if np.any(places[1:] < places[:-1]):
        order = np.argsort(places, kind="stable")
        position = np.empty_like(order)
        position[order] = np.arange(len(order))
        return rows_at(table, places[order]).take(pa.array(position))
    parts, first, begin = [], 0, 0
    for batch in table.to_batches():
        end = int(np.searchsorted(places, first + batch.num_rows))
        if end > begin:
            parts.append(batch.take(pa.array(places[begin:end] - first)))
        first, begin = first + batch.num_rows, end
    return pa.Table.from_batches(parts, table.schema).combine_chunks()


def without(rows: pa.Table, removed: Places) -> pa.Table:
    """The rows at all other places (`removed` ascending)."""
    if len(removed) == 0:
        return rows
    ends = np.append(removed, len(rows))
    starts = np.append(0, removed + 1)
    runs = np.flatnonzero(ends > starts)
    if len(runs) <= _FEW_RUNS:
        return pa.concat_tables(
            [rows.slice(0, 0), *(rows.slice(starts[run], ends[run] - starts[run]) for run in runs.tolist())]
        )
    stays = np.ones(len(rows), dtype=np.bool_)
    stays[removed] = False
    return rows.filter(pa.array(stays))
