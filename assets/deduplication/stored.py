"""The index where it lies in the store, read a column at a time."""

from dataclasses import dataclass

import pyarrow as pa

from headwater.assets.storage.tables import read_table


@dataclass(frozen=True)
class StoredIndex:
    """A version of a stored index (columns of `signature_schema`)."""

    url: str
    version: int

    def column(self, name: str) -> pa.ChunkedArray:
        """Reads one column, in the order of the rows."""
        return read_table(self.url, self.version, columns=[name])[name]
