"""Lance tables: fragments are written by any number of workers and become visible by one commit.

A fragment's description is JSON, so that a worker can hand it back and an interrupted attempt can pick it up again.
Tables are opened at the version a record names; later versions do not disturb a reader.
"""

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, Literal, TypeVar

os.environ.setdefault("LANCE_LOG", "error")
# Said at every fork, also of those that only start another program; nothing here uses Lance in a forked process.
warnings.filterwarnings("ignore", message="lance is not fork-safe")

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance.fragment import FragmentMetadata, write_fragments

from headwater.assets.storage.content import ContentSum, content_of, hashed_columns, total

FORMAT: Literal["2.1"] = "2.1"  # Lance's file format; stable row ids can only be chosen when a table is created

_REMEMBERED_ROWS = 2_000_000  # of tables whose row ids and flags are remembered, 9 bytes each

T = TypeVar("T")
Positions = npt.NDArray[np.int64]  # of rows within a version, in table order
Flags = npt.NDArray[np.bool_]  # one for each row of a version, in table order

# What Lance keeps of all tables read in this process, over the life of any of them: footers of data files, indexes.
_session = lance.Session(metadata_cache_size_bytes=256 << 20, index_cache_size_bytes=1 << 30)


def write_part(
    url: str, schema: pa.Schema, batches: Sequence[pa.RecordBatch], content: ContentSum | None = None
) -> tuple[list[str], ContentSum]:
    """Writes batches as fragments that no version shows yet: (their descriptions as JSON, their content).

    Rows are not hashed where the caller knows their ``content``.
    """
    rows = pa.Table.from_batches(list(batches), schema=schema)
    if rows.num_rows == 0:
        return [], ContentSum()
    # "overwrite" is about the numbers of columns only: they begin anew, whatever columns earlier versions have.
    fragments = write_fragments(
        rows, url, schema=schema, mode="overwrite", data_storage_version=FORMAT, enable_stable_row_ids=True
    )
    return [json.dumps(fragment.to_json()) for fragment in fragments], content or content_of(rows)


def commit_parts(url: str, schema: pa.Schema, fragments: Iterable[str]) -> int:
    """Makes the fragments, in the order given, the table's new version and returns its number."""
    found = [FragmentMetadata.from_json(text) for text in fragments]
    if not found:
        mode = "overwrite" if table_exists(url) else "create"
        empty = schema.empty_table()
        return lance.write_dataset(
            empty, url, mode=mode, enable_stable_row_ids=True, data_storage_version=FORMAT
        ).version
    operation = lance.LanceOperation.Overwrite(schema, found)
    return lance.LanceDataset.commit(url, operation, enable_stable_row_ids=True).version


def remembered(versions: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Remembers what a function of (table, version, …) told of the last versions: a version never changes.

    What it told is shared by all who ask, so nobody may change it.
    """

    def remembering(function: Callable[..., T]) -> Callable[..., T]:
        @lru_cache(maxsize=versions)
        def known(manifest: tuple[int, ...], *asked: Any) -> T:
            return function(*asked)

        @wraps(function)
        def ask(url: str, version: int, *rest: Any) -> T:
            manifest = manifest_of(url, version)
            return function(url, version, *rest) if manifest is None else known(manifest, url, version, *rest)

        return ask

    return remembering


def row_ids(table: "lance.LanceDataset", positions: Positions) -> list[int]:
    """Stable ids of the rows at some positions, in the same order."""
    if len(positions) == 0:
        return []
    known = _known_row_ids if table.count_rows() <= _REMEMBERED_ROWS else _row_ids
    return known(table.uri, table.version).take(pa.array(positions)).to_pylist()


def _row_ids(url: str, version: int) -> pa.ChunkedArray:
    table = open_table(url, version)
    return table.scanner(columns=[], with_row_id=True, scan_in_order=True).to_table()["_rowid"]


_known_row_ids = remembered(4)(_row_ids)  # a stage that takes rows of a table mostly does so column by column


def content_at(url: str, version: int, positions: Positions) -> ContentSum:
    """The content of the rows at some positions; texts that a ``content_id`` stands for are not read."""
    if len(positions) == 0:
        return ContentSum()
    return content_of(take_positions(url, version, positions, hashed_columns(open_table(url, version).schema)))


def read_flags(url: str, version: int, column: str = "kept") -> Flags:
    """A column of a version that says yes or no of every row, not to be written to.

    Several stages of a run ask which rows are kept, so that those asked for last are remembered.
    """
    small = open_table(url, version).count_rows() <= _REMEMBERED_ROWS
    return (_known_flags if small else _flags)(url, version, column)


def _flags(url: str, version: int, column: str) -> Flags:
    flags = read_table(url, version, [column])[column].to_numpy()
    flags.flags.writeable = False
    return flags


_known_flags = remembered(8)(_flags)


def take_positions(url: str, version: int, positions: Positions, columns: list[str] | None = None) -> pa.Table:
    """Columns (default: all) of the rows at some positions, in the order of the positions.

    By row ids where rows were deleted: ``take`` of Lance walks the deletion marks anew for every row, seconds for a few
    hundred of them.
    """
    table = open_table(url, version)
    if len(positions) == 0:
        return table.scanner(columns=columns, limit=0).to_table()
    if not _has_deletions(url, version):
        return table.take(positions.tolist(), columns=columns)
    return table._take_rows(row_ids(table, positions), columns=columns)


@remembered(32)
def _has_deletions(url: str, version: int) -> bool:
    return any(fragment.num_deletions for fragment in open_table(url, version).get_fragments())


def content_of_version(url: str, version: int) -> ContentSum:
    """The content of a whole version, read once.

    Raises:
        FileNotFoundError: the version is not there.
    """
    table = open_table(url, version)
    return total(content_of(batch) for batch in table.scanner(columns=hashed_columns(table.schema)).to_batches())


def live_offsets(fragment: Any) -> Positions:
    """Offsets within the fragment's files of the rows that are not deleted, ascending."""
    addresses = fragment.to_table(columns=[], with_row_address=True)["_rowaddr"].to_numpy()
    return (addresses & np.uint64(0xFFFFFFFF)).astype(np.int64)


def table_exists(url: str) -> bool:
    """Whether any version of the table was ever committed."""
    try:
        lance.dataset(url)
    except (ValueError, FileNotFoundError):
        return False
    return True


def version_exists(url: str, version: int) -> bool:
    """Whether a version of a table can still be read."""
    try:
        open_table(url, version)
    except FileNotFoundError:
        return False
    return True


def open_table(url: str, version: int) -> "lance.LanceDataset":
    """The table as it was at a version (readable by DuckDB, pandas and Ray Data as it is), for this caller alone.

    A version never changes, so that those opened last stay open; a local one is known again by its manifest.

    Raises:
        FileNotFoundError: the table or that version is not there.
    """
    manifest = manifest_of(url, version)
    if manifest is None:
        return _open(url, version, _session)
    return _kept_open(url, version, manifest).checkout_version(version)


def open_afresh(url: str, version: int) -> "lance.LanceDataset":
    """The same with nothing remembered of its files: for whoever checks what is on the disk.

    Raises:
        FileNotFoundError: the table or that version is not there.
    """
    return _open(url, version, None)


@lru_cache(maxsize=32)
def _kept_open(url: str, version: int, manifest: tuple[int, ...]) -> "lance.LanceDataset":
    return _open(url, version, _session)


def manifest_of(url: str, version: int) -> tuple[int, ...] | None:
    """What tells a version's manifest from that of another table made later in its place; None where none is seen."""
    try:
        found = Path(url, "_versions", f"{2**64 - 1 - version:020d}.manifest").stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _open(url: str, version: int, session: "lance.Session | None") -> "lance.LanceDataset":
    try:
        return lance.dataset(url, version=version, session=session)
    except (ValueError, OSError) as error:
        raise FileNotFoundError(f"{url} has no version {version}: {str(error).splitlines()[0]}") from error


def read_table(url: str, version: int, columns: list[str] | None = None, where: str | None = None) -> pa.Table:
    """Reads columns of a version; ``where`` is an SQL condition that Lance evaluates while scanning."""
    return open_table(url, version).to_table(columns=columns, filter=where)


def scan_batches(
    url: str, version: int, columns: list[str] | None = None, rows: int = 1024, fragments: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Streams a version's batches in table order, of some fragments only where they are named."""
    table = open_table(url, version)
    chosen: list[Any] | None = None
    if fragments is not None:
        chosen = [table.get_fragment(number) for number in fragments]
    yield from table.scanner(columns=columns, batch_size=rows, fragments=chosen, scan_in_order=True).to_batches()


def take_rows(url: str, version: int, start: int, count: int | None, columns: list[str] | None) -> pa.Table:
    """Rows [start, start + count) in table order, all behind `start` for None; all columns for None."""
    return open_table(url, version).scanner(columns=columns, offset=start, limit=count, scan_in_order=True).to_table()


def spread_rows(url: str, version: int, rows: int, columns: list[str] | None = None, runs: int = 12) -> pa.Table:
    """About so many rows of a version, drawn as runs of neighbours at even distances; all rows where there are fewer.

    For figures that people look at: what it costs does not grow with the table.
    """
    table = open_table(url, version)
    there, each = int(table.count_rows()), -(-rows // runs)
    if there <= rows:
        return table.to_table(columns=columns)
    starts = np.linspace(0, there - each, runs).astype(np.int64)
    return take_positions(url, version, (starts[:, np.newaxis] + np.arange(each)).ravel(), columns)
