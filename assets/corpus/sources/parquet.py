"""Parquet: rows of the text column and of the columns that the options name, one small batch at a time."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.assets.corpus.options import ParquetFiles, ReadLimits
from headwater.assets.corpus.sources.jsonl import record_of_object
from headwater.assets.corpus.sources.mapped import Keys
from headwater.assets.corpus.sources.opening import open_raw
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceError,
    SourceFile,
    Undecodable,
    decode,
    dropped,
    too_large,
)

_ROWS = 256
_FAULTS = (pa.ArrowException, OSError)


def read(source: ParquetFiles, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """One record per row, known by its number from 0 in the file. A damaged row group costs its rows only.

    Raises SourceError when a named column does not exist, or the text column holds no text.
    """
    with open_raw(file) as raw:
        try:
            table = pq.ParquetFile(raw)
        except _FAULTS as fault:
            yield dropped("", file.size, "truncated", f"{file.uri}: {fault}; the file is cut off, or no Parquet file")
            return
        rows = _Rows(source, file, table, limits)
        for group in range(table.metadata.num_row_groups):
            yield from rows.of_group(group)


def _columns(source: ParquetFiles, file: SourceFile, schema: pa.Schema) -> list[str]:
    named = [source.text_field, source.id_field, source.url_field, source.date_field, source.license_field]
    wanted = [name for name in dict.fromkeys([*named, source.group_field, *source.meta_fields]) if name is not None]
    for name in wanted:
        if name not in schema.names:
            raise SourceError(
                f"{source.name}: {file.uri}: no column is called {name!r}; it has {', '.join(schema.names)}: set "
                "text_field and the other fields to these names"
            )
    if not _is_text(schema.field(source.text_field).type):
        raise SourceError(
            f"{source.name}: {file.uri}: column {source.text_field!r} holds {schema.field(source.text_field).type}, "
            "not text; set text_field to a string column"
        )
    return wanted


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(inner) for test in (*tests, pa.types.is_binary, pa.types.is_large_binary))


class _Rows:
    """Turns a file's rows into records, row group after row group."""

    def __init__(self, source: ParquetFiles, file: SourceFile, table: pq.ParquetFile, limits: ReadLimits) -> None:
        self._source = source
        self._file = file
        self._table = table
        self._columns = _columns(source, file, table.schema_arrow)
        self._limit = limits.max_bytes
        self._keys = Keys()
        self._end = 0

    def of_group(self, group: int) -> Iterator[ReadRecord]:
        """The records of the next row group."""
        row, self._end = self._end, self._end + self._table.metadata.row_group(group).num_rows
        batches = self._table.iter_batches(_ROWS, row_groups=[group], columns=self._columns)
        while True:
            try:
                batch = next(batches)
                cells = {name: _python_values(batch.column(name)) for name in self._columns}
            except StopIteration:
                return
            except _FAULTS as fault:
                place = f"{self._file.uri}, rows {row:,} to {self._end - 1:,}"
                yield dropped(f"row={row}", 0, "unreadable", f"{place}: row group {group} is damaged ({fault})")
                return
            for index in range(batch.num_rows):
                yield self._record({name: values[index] for name, values in cells.items()}, row)
                row += 1

    def _record(self, record: dict[str, Any], row: int) -> ReadRecord:
        place, where, source = f"row={row}", f"{self._file.uri}, row {row:,}", self._source
        raw = record[source.text_field]
        size = len(raw) if raw is not None else 0
        if size > self._limit:
            return too_large(place, size, self._limit, where)
        cells: dict[str, object] = {
            name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for name, value in record.items()
        }
        key = self._keys.of(cells[source.id_field] if source.id_field else None, place)
        try:
            cells[source.text_field] = None if raw is None else decode(raw, source.encoding_errors)
        except Undecodable as fault:
            return dropped(key, size, "not_utf8", f"{where}: {fault} of the value")
        return record_of_object(cells, key, size, where, source, source.encoding_errors)


def _python_values(column: pa.Array) -> list[Any]:
    """A column's values; strings as bytes, for Parquet does not promise that they are UTF-8."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    elif pa.types.is_string_view(column.type):
        column = column.cast(pa.binary_view())
    return column.to_pylist()
