"""The index where it lies in the store, read a column at a time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from headwater.assets.storage.tables import open_table


@dataclass(frozen=True)
class StoredIndex:
    """A version of a stored index (columns of `signature_schema`)."""

    url: str
    version: int

    def column(self, name: str) -> pa.ChunkedArray:
        """Reads one column, in the order of the rows."""
        return self._table.to_table(columns=[name])[name]

    @cached_property
    def _table(self) -> Any:
        return open_table(self.url, self.version)
