"""A version of a table made from an earlier one: rows go, rows that stay say something else, rows come.

Deletions are marks beside the data files, and new rows lie in files of their own. Where rows that stay change, the
columns that do are written anew for the fragments that have such a row, and all others stay where they lie, as Lance
keeps the columns of a fragment in one file or in several. So rows keep their order and their ids, indexes of other
columns stay right, and the earlier version stays readable.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lance.file import LanceFileWriter
from lance.fragment import FragmentMetadata

from headwater.assets.storage.tables import FORMAT, Positions, live_offsets, open_table, row_ids

_ELSEWHERE = -2  # instead of a column's number: another file of the fragment has it


class Revision(NamedTuple):
    """What rows say that stay: `rows` (all columns) at `places` (ascending), of which only `columns` are others."""

    places: Positions
    rows: pa.Table
    columns: list[str]


def refresh_parts(
    url: str, base: int, removed: Positions, fragments: Sequence[str], revision: Revision | None = None
) -> int:
    """Makes a version of ``base`` without the rows at some positions and with further fragments at its end.

    Whatever a dead attempt committed since is left behind: the base is restored first. A version becomes visible to
    readers only once a record names it.

    Args:
        url: the table.
        base: the version to build on.
        removed: positions of rows that go.
        fragments: descriptions of fragments that come.
        revision: other values in rows that stay, whose places are counted without those that go.

    Raises:
        FileNotFoundError: the base version is no longer there.
    """
    table = open_table(url, base)
    revises = revision is not None and len(revision.places) > 0
    if len(removed) == 0 and not fragments and not revises:
        return base
    gone = row_ids(table, removed)
    if table.latest_version != base:
        table.restore()
    if len(gone):
        table.delete(f"_rowid IN ({','.join(map(str, gone))})")
    if revision is not None and revises:
        table = _revised(url, table, revision)
    if fragments:
        appended = lance.LanceOperation.Append([FragmentMetadata.from_json(text) for text in fragments])
        table = lance.LanceDataset.commit(table, appended, read_version=table.version)
    return int(table.version)


def _revised(url: str, table: Any, revision: Revision) -> Any:
    """The table with other values in some of its rows."""
    values = revision.rows.select(revision.columns)
    revised, first = [], 0
    for fragment in table.get_fragments():
        stop = first + fragment.count_rows()
        start, end = np.searchsorted(revision.places, [first, stop]).tolist()
        if start < end:
            columns = _columns(table, fragment, revision.places[start:end] - first, values.slice(start, end - start))
            revised.append(_with_file(url, table, fragment, columns))
        first = stop
    operation = lance.LanceOperation.Update(
        updated_fragments=revised, fields_modified=_numbers(table, revision.columns), update_mode="rewrite_columns"
    )
    return lance.LanceDataset.commit(table, operation, read_version=table.version)


def _columns(table: Any, fragment: Any, places: Positions, values: pa.Table) -> pa.Table:
    """The columns of a fragment with other values at some places of its live rows; rows marked as deleted included."""
    names = values.column_names
    rows = table.scanner(columns=names, fragments=[fragment], scan_in_order=True).to_table()
    replaced = np.zeros(rows.num_rows, dtype=np.bool_)
    replaced[places] = True
    mask = pa.array(replaced)
    columns = [pc.replace_with_mask(rows[name], mask, values[name].combine_chunks()) for name in names]
    found = pa.Table.from_arrays(columns, schema=pa.schema([table.schema.field(name) for name in names]))
    if fragment.num_deletions == 0:
        return found
    source = np.zeros(fragment.physical_rows, dtype=np.int64)  # deleted rows repeat the first: nobody reads them
    source[live_offsets(fragment)] = np.arange(rows.num_rows)
    return found.take(pa.array(source))


def _with_file(url: str, table: Any, fragment: Any, columns: pa.Table) -> FragmentMetadata:
    """The fragment with these columns in a file of their own."""
    name = f"{uuid.uuid4().hex}.lance"
    writer = LanceFileWriter(f"{url}/data/{name}", columns.schema, version=FORMAT)
    for batch in columns.to_batches():
        writer.write_batch(batch)
    writer.close()
    numbers, (major, minor) = _numbers(table, columns.column_names), map(int, FORMAT.split("."))
    own: dict[str, Any] = {
        "path": name,
        "fields": numbers,
        "column_indices": list(range(len(numbers))),
        "base_id": None,
    }
    own |= {"file_major_version": major, "file_minor_version": minor, "file_size_bytes": writer.size_bytes}
    described = fragment.metadata.to_json()
    files = [*(_without(file, numbers) for file in described["files"]), own]
    files = [file for file in files if any(number != _ELSEWHERE for number in file["fields"])]
    return FragmentMetadata.from_json(json.dumps(described | {"files": files}))


def _without(file: dict[str, Any], numbers: list[int]) -> dict[str, Any]:
    """A file's description that says that some of its columns lie elsewhere."""
    return file | {"fields": [_ELSEWHERE if number in numbers else number for number in file["fields"]]}


def _numbers(table: Any, names: list[str]) -> list[int]:
    return [int(table.lance_schema.field(name).id()) for name in names]
