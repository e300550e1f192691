"""The withdrawals of a store: an append-only table that is at once the history and a standing blocklist.

A withdrawn document stays out however it comes back: as the same record (``doc_id``), as the same content under another
name, in another source or corpus (``content_id``), or as other content in the same place (corpus, source, ``uri``).
Where records of one file are numbered by their position, the place says nothing about the document and does not count.
Where nothing was ever withdrawn, reading the blocklist is one look for a file.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.storage.content import digest_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record

ASSET = "headwater/withdrawals"
TABLE = "withdrawals"
RULE = "withdrawn"  # what raw's ledger says of a blocked record

WITHDRAWALS = pa.schema(
    [
        pa.field("withdrawal", pa.string(), nullable=False),  # 12 hexadecimal digits, one per command
        pa.field("corpus", pa.string(), nullable=False),  # the component that held the document
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by", pa.string(), nullable=False),
        pa.field("date", pa.string(), nullable=False),  # ISO 8601 in UTC
        pa.field("with_duplicates", pa.bool_(), nullable=False),
        pa.field("scope", pa.string(), nullable=False),  # how it was asked for: ids | uris | match
        pa.field("because", pa.string(), nullable=False),  # asked | exact | near: itself, or what it duplicates
    ]
)

_POSITION = re.compile(r"#(?:.*&)?(?:line|row|offset)=\d+(?:&\w+)?$")
NO_TEXT = blake2b(b"", digest_size=16).hexdigest()  # the content of every record that could not be read


@dataclass(frozen=True)
class Blocklist:
    """What may not come back, in the order in which it was withdrawn."""

    entries: pa.Table = field(default_factory=WITHDRAWALS.empty_table)

    def __len__(self) -> int:
        return self.entries.num_rows

    @cached_property
    def _reasons(self) -> pa.Array:
        """Why and when, per entry, as raw's ledger shows it."""
        columns = [self.entries[name].to_pylist() for name in ("reason", "date", "withdrawal")]
        texts = [f"{reason} (withdrawn {date}, {name})" for reason, date, name in zip(*columns, strict=True)]
        return pa.array(texts, pa.string())

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def digest_for(self, corpus: str) -> str:
        """A stable hash of the entries that touch a corpus; "" where there is none.

        Content stays out wherever it comes from, so an entry of one corpus touches the others too.
        """
        if len(self) == 0:
            return ""
        if corpus not in self._digests:
            columns = [self.entries[name].to_pylist() for name in ("doc_id", "content_id", "withdrawal")]
            self._digests[corpus] = digest_of([list(zip(*columns, strict=True)), sorted(self._places(corpus))])
        return self._digests[corpus]

    def blocks(self, ledger: pa.Table, corpus: str | None = None) -> pa.Array:
        """For each row of a raw ledger the reason and date for which it stays out; null where it does not.

        Args:
            ledger: has the columns doc_id, content_id, source and uri.
            corpus: the component that reads the records; only its own places count (None: those of every corpus).
        """
        if len(self) == 0 or ledger.num_rows == 0:
            return pa.nulls(ledger.num_rows, pa.string())
        found = pc.coalesce(self._entry_by("doc_id", ledger), self._entry_by("content_id", ledger))
        places = self._places(corpus)
        if places:
            keys = [f"{s}\n{u}" for s, u in zip(ledger["source"].to_pylist(), ledger["uri"].to_pylist(), strict=True)]
            found = pc.coalesce(found, pa.array([places.get(key) for key in keys], pa.int32()))
        return self._reasons.take(found)

    def _entry_by(self, column: str, ledger: pa.Table) -> pa.Array:
        """The first entry with the same value, per row; a record without text has the content of no other."""
        values = _one_chunk(ledger[column])
        found = pc.index_in(values, value_set=_one_chunk(self.entries[column]))
        return pc.if_else(pc.equal(values, NO_TEXT), None, found)

    def _places(self, corpus: str | None) -> dict[str, int]:
        """Source and uri → the first entry, for places that are not positions in a file."""
        columns = [self.entries[name].to_pylist() for name in ("corpus", "source", "uri")]
        places: dict[str, int] = {}
        for number, (owner, source, uri) in enumerate(zip(*columns, strict=True)):
            if corpus in (None, owner) and not _POSITION.search(uri):
                places.setdefault(f"{source}\n{uri}", number)
        return places


def read_blocklist(store: Store) -> Blocklist:
    """The withdrawals of a store; an empty list where nothing was ever withdrawn."""
    record = store.place(ASSET).record()
    return Blocklist() if record is None else Blocklist(withdrawals_of(store, record))


def withdrawals_of(store: Store, record: Record) -> pa.Table:
    """All rows of the table that a record of the withdrawals names."""
    from headwater.assets.storage.tables import read_table  # loads Lance, which an empty blocklist does not need

    return read_table(store.place(ASSET).table(TABLE), record.tables[TABLE].version)


def _one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.Array):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
