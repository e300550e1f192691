"""The index where it lies in the store, read a few columns at a time; a refresh holds a small one whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from headwater.assets.deduplication.index import Index
from headwater.assets.storage.tables import Positions, open_table, take_positions

SMALL_BYTES = 64 << 20  # of an index that a refresh reads whole: of a quarter of a million documents
HELD_BYTES = 128 << 20  # of columns that are read together: all bands of half a million documents
_BATCH_ROWS = 1 << 14
_VALUE_BYTES = 8  # of a band's key; the few other columns are not asked for together
_ID_BYTES = 40  # of a document's id, which is text


@dataclass(frozen=True)
class StoredIndex:
    """A version of a stored index (columns of `signature_schema`)."""

    url: str
    version: int
    held_bytes: int = HELD_BYTES

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, in the order of the rows.

        Columns are asked for one after the other, and each reading goes through all fragments: as many as memory
        should hold are read at once, and given up when others are.
        """
        if name == "doc_id":  # four times as large as a key, and asked for once
            return self._table.to_table(columns=[name])[name]
        if name not in self._held:
            self._held.clear()
            names = self._table.schema.names
            together = max(self.held_bytes // (_VALUE_BYTES * max(self._table.count_rows(), 1)), 1)
            at = names.index(name)
            read = self._table.to_table(columns=names[at : at + together])
            self._held.update(zip(read.column_names, read.columns, strict=True))
        return self._held[name]

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Columns, some rows at a time: few enough that the same memory serves again for the next ones."""
        yield from self._table.scanner(columns=names, batch_size=_BATCH_ROWS, scan_in_order=True).to_batches()

    def rows(self, names: list[str], places: Positions) -> pa.Table:
        """Columns of the rows at some places (ascending)."""
        return take_positions(self.url, self.version, places, names)

    def whole(self) -> pa.Table:
        """All of it, in one piece."""
        return self._table.to_table().combine_chunks()

    @property
    def bytes(self) -> int:
        """About how large all of it is in memory."""
        return int(self._table.count_rows()) * (len(self._table.schema) * _VALUE_BYTES + _ID_BYTES)

    @cached_property
    def _held(self) -> dict[str, pa.ChunkedArray]:
        return {}

    @cached_property
    def _table(self) -> Any:
        return open_table(self.url, self.version)


def index_to_go_on_from(url: str, version: int) -> Index:
    """The index as a refresh reads it, more than once: from memory where it is small, and otherwise where it lies."""
    stored = StoredIndex(url, version, held_bytes=0)
    return stored.whole() if stored.bytes <= SMALL_BYTES else stored
