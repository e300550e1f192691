"""The index of deduplication: a few numbers of every document, from which all candidates are found again.

It holds the exact key, the number of shingles and one 64-bit key for each band of the signature; the signature itself
is not needed any more. Who looks for candidates asks for one column at a time, so that memory holds one band of all
documents, never all bands. A `pyarrow.Table` is an index as it is; `stored.StoredIndex` reads one from the store.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.bands import band_names, bands_and_rows
from headwater.assets.deduplication.normalise import Hashes, Rows
from headwater.assets.deduplication.options import DeduplicationOptions, Near


class Index(Protocol):
    """Columns of `signature_schema`, one row for each document."""

    def column(self, name: str) -> pa.ChunkedArray:
        """One column, in the order of the rows."""
        ...


class LargeIndex(Index, Protocol):
    """An index that is better read in pieces, as nobody should hold all of it."""

    def batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Columns, some rows at a time, in the order of the rows."""
        ...

    def rows(self, names: list[str], places: Rows) -> pa.Table:
        """Columns of the rows at some places."""
        ...


def batches_of(index: Index, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns of an index, some rows at a time, in the order of the rows."""
    return index.select(names).to_batches() if isinstance(index, pa.Table) else index.batches(names)  # type: ignore[attr-defined]


def rows_of(index: Index, names: list[str], places: Rows) -> pa.Table:
    """Columns of the rows of an index at some places."""
    return index.select(names).take(pa.array(places)) if isinstance(index, pa.Table) else index.rows(names, places)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ArrangedIndex:
    """Rows of an index in another order (`rows`: their positions in it); columns are gathered when asked for."""

    index: Index
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """The column's values at the rows."""
        return pa.chunked_array([self.index.column(name).combine_chunks().take(pa.array(self.rows))])


def band_columns(options: Near) -> list[str]:
    """Names of the columns with the keys of the bands, in the order of the bands."""
    return band_names(bands_and_rows(options)[0])


def signature_schema(options: DeduplicationOptions) -> pa.Schema:
    """doc_id, exact_key (16 bytes), shingles (repeats included) and the key of every band, as declared."""
    fields = [pa.field("doc_id", pa.string(), nullable=False), pa.field("exact_key", pa.binary(16), nullable=False)]
    if options.near:
        fields.append(pa.field("shingles", pa.int64(), nullable=False))
        fields.extend(pa.field(name, pa.uint64(), nullable=False) for name in band_columns(options.near))
    return pa.schema(fields)


def exact_words(column: pa.ChunkedArray | pa.Array) -> Hashes:
    """Exact keys as (rows, 2) integers of 64 bits, without copying where the column is one chunk."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if len(array) == 0:
        return np.empty((0, 2), dtype=np.uint64)
    values = np.frombuffer(array.buffers()[1], dtype="<u8", count=2 * len(array), offset=16 * array.offset)
    return values.reshape(-1, 2)


def numbers(column: pa.ChunkedArray) -> npt.NDArray:
    """A column of integers without nulls as an array, without copying where the column is one chunk."""
    return column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()
