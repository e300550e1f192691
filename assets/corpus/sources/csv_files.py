"""CSV: rows under a header line, quoted as in RFC 4180, read in constant memory by Python's own parser.

Bytes reach the parser through an encoding that keeps faulty ones recognisable (PEP 383), so that one row of bad bytes
costs that row and not the file.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

from headwater.assets.corpus.options import CsvFiles, ReadLimits
from headwater.assets.corpus.sources.jsonl import record_of_object
from headwater.assets.corpus.sources.lines import Line, bounded_lines
from headwater.assets.corpus.sources.mapped import Keys
from headwater.assets.corpus.sources.opening import compression_of, open_chunks
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceError,
    SourceFile,
    Undecodable,
    decode,
    dropped,
    too_large,
)


class _RowTooLarge(Exception):
    """The row under way has more bytes than the limit; `size` of them were met until its end."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class _Feed:
    """Hands lines to the csv parser, and knows the place and size of the row under way."""

    def __init__(self, lines: Iterator[Line], limit: int) -> None:
        self._lines = lines
        self._limit = limit
        self.first_line = 1
        self.last_line = 0
        self.size = 0
        self.fault: str | None = None
        self._quotes = 0

    def begin_row(self) -> None:
        """What is handed out from here on belongs to the next row."""
        self.first_line, self.size, self._quotes = self.last_line + 1, 0, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if line.fault is not None:
            self.fault = line.fault
            raise StopIteration
        self.last_line = line.number
        self.size += line.size
        if line.data is None or self.size > self._limit:
            self._pass_over_row(line)
            raise _RowTooLarge(self.size)
        self._quotes += line.data.count(b'"')
        return line.data.decode("utf-8", "surrogateescape")

    def _pass_over_row(self, line: Line) -> None:
        # Quotes come in pairs within a well-formed row, so an even count at a line's end ends the row. A line too
        # large to keep cannot be counted and is taken to end its row.
        if line.data is None:
            return
        quotes = self._quotes + line.data.count(b'"')
        while quotes % 2 and (following := next(self._lines, None)) is not None:
            if following.fault is not None:
                self.fault = following.fault
                return
            self.last_line, self.size = following.number, self.size + following.size
            if following.data is None:
                return
            quotes += following.data.count(b'"')


def _rows(feed: _Feed, delimiter: str) -> Iterator[list[str] | Exception]:
    parser = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        feed.begin_row()
        try:
            yield next(parser)
        except StopIteration:
            return
        except _RowTooLarge as fault:
            yield fault
            # The parser still holds the start of the row; a fresh one begins with the next.
            parser = csv.reader(feed, delimiter=delimiter, strict=True)
        except csv.Error as fault:
            yield fault


def read(source: CsvFiles, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """One record per row under the header, known by its number from 0.

    Raises SourceError when the header lacks a column that the source names.
    """
    csv.field_size_limit(max(csv.field_size_limit(), min(limits.max_bytes, sys.maxsize)))
    with open_chunks(file) as chunks:
        feed = _Feed(bounded_lines(chunks, limits.max_bytes), limits.max_bytes)
        rows = _rows(feed, source.delimiter or _delimiter_of(file.uri))
        first = next(rows, None)
        if first is None:
            yield _nothing(file, feed)
            return
        table = _Table(source, file, _header(first, source, file), limits)
        number = 0
        for row in rows:
            if feed.fault is not None and isinstance(row, csv.Error):
                continue  # the cut-off row, reported below
            yield table.record(row, number, feed)
            number += 1
        if feed.fault is not None:
            yield dropped(f"row={number}", feed.size, "truncated", f"{table.where(number, feed)}: {feed.fault}")


def _nothing(file: SourceFile, feed: _Feed) -> ReadRecord:
    if feed.fault is not None:
        return dropped("", feed.size, "truncated", f"{file.uri}: {feed.fault}")
    return dropped("", 0, "empty", f"{file.uri}: no header line and no rows")


def _delimiter_of(name: str) -> str:
    stem = PurePosixPath(name).stem if compression_of(name) else name
    return "\t" if stem.lower().endswith((".tsv", ".tab")) else ","


def _header(row: list[str] | Exception, source: CsvFiles, file: SourceFile) -> list[str]:
    if isinstance(row, Exception):
        raise SourceError(f"{source.name}: {file.uri}: the header line cannot be read ({row}); is this a CSV file?")
    wanted = [source.text_field, source.id_field, source.url_field, source.date_field, source.license_field]
    for name in [*wanted, source.group_field, *source.meta_fields]:
        if name is not None and name not in row:
            raise SourceError(
                f"{source.name}: {file.uri}: no column is called {name!r}; line 1 has {', '.join(row) or 'none'}: set "
                "text_field and the other fields to these names, or `delimiter` to the character between them"
            )
    return row


class _Table:
    """Turns a file's rows into records."""

    def __init__(self, source: CsvFiles, file: SourceFile, header: list[str], limits: ReadLimits) -> None:
        self._source = source
        self._file = file
        self._header = header
        self._limit = limits.max_bytes
        self._keys = Keys()

    def where(self, number: int, feed: _Feed) -> str:
        """The place of a row, for people."""
        return f"{self._file.uri}, row {number:,} from line {feed.first_line:,}"

    def record(self, row: list[str] | Exception, number: int, feed: _Feed) -> ReadRecord:
        """The record of one parsed row, or of the fault met in its place."""
        place, where = f"row={number}", self.where(number, feed)
        if isinstance(row, _RowTooLarge):
            return too_large(place, row.size, self._limit, where)
        if isinstance(row, Exception):
            return _unparsed(place, where, row, feed)
        if not row:
            return dropped(place, feed.size, "empty", f"{where}: an empty line")
        if len(row) != len(self._header):
            detail = f"{where}: {len(row)} cells under {len(self._header)} columns; quote cells that hold the delimiter"
            return dropped(place, feed.size, "not_csv", detail)
        return self._of_cells(dict(zip(self._header, row, strict=True)), place, where, feed.size)

    def _of_cells(self, cells: dict[str, object], place: str, where: str, size: int) -> ReadRecord:
        source = self._source
        key = self._keys.of(cells[source.id_field] if source.id_field else None, place)
        try:
            raw = str(cells[source.text_field]).encode("utf-8", "surrogateescape")
            cells[source.text_field] = decode(raw, source.encoding_errors)
        except Undecodable as fault:
            return dropped(key, size, "not_utf8", f"{where}: {fault} of the cell")
        return record_of_object(cells, key, size, where, source, source.encoding_errors)


def _unparsed(place: str, where: str, fault: Exception, feed: _Feed) -> ReadRecord:
    if "unexpected end of data" in str(fault):
        detail = f"{where}: a quote opened in this row is never closed; the {feed.size:,} bytes up to the end are lost"
        return dropped(place, feed.size, "truncated", detail)
    return dropped(place, feed.size, "not_csv", f"{where}: {fault}")
