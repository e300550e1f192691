"""What a refresh of `raw` has to read and which rows it takes away, told from the listing before anything is opened.

A file whose size and time stayed is not read. A changed one is, and its records are compared by `doc_id`, which holds
the content: those that are the same stay where they are, so that a touched file changes nothing. A document that was
withdrawn since goes, and its place in the ledger is taken by a row that says so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.corpus.reading import SourceFile
from headwater.assets.schemas import RAW_LEDGER
from headwater.assets.storage.tables import Positions
from headwater.assets.withdrawal.blocklist import RULE

FILES = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("stamp", pa.string(), nullable=False),
    ]
)


class Listing(NamedTuple):
    """How the present files differ from those that were read before."""

    read: list[SourceFile]  # new or changed
    stale: Positions  # rows of the earlier table of files that no longer hold
    changed: int
    gone: int

    @property
    def new(self) -> int:
        """Files that were not there before."""
        return len(self.read) - self.changed


def files_table(files: Sequence[SourceFile]) -> pa.Table:
    """The listing as a table (FILES)."""
    return pa.Table.from_pylist(
        [{"source": f.source, "uri": f.uri, "size": f.size, "stamp": f.stamp} for f in files], schema=FILES
    )


def compare_listings(before: pa.Table, files: Sequence[SourceFile]) -> Listing:
    """Compares the files read before (FILES) with those that are there now, by name, size and time stamp."""
    columns = (before[name].to_pylist() for name in FILES.names)
    known = {
        (source, uri): (row, size, stamp) for row, (source, uri, size, stamp) in enumerate(zip(*columns, strict=True))
    }
    read, stale, changed = [], [], 0
    for file in files:
        row, *was = known.pop((file.source, file.uri), (None,))
        if was == [file.size, file.stamp] and file.stamp:
            continue
        read.append(file)
        if row is not None:
            stale.append(row)
            changed += 1
    stale += [row for row, *_ in known.values()]
    return Listing(read, np.sort(np.array(stale, dtype=np.int64)), changed, len(known))


def rows_of_files(ledger: pa.Table, files: pa.Table, known: pa.Table) -> Positions:
    """Positions of the ledger rows (columns source, uri) that come from some of the known files (source, uri)."""
    wanted = _joined(files["source"], files["uri"])
    if len(wanted) == 0:
        return np.empty(0, dtype=np.int64)
    names = _joined(ledger["source"], ledger["uri"])
    whole = pc.replace_substring_regex(names, pattern="#.*$", replacement="")
    sharp = np.flatnonzero(np.asarray(pc.match_substring(_joined(known["source"], known["uri"]), "#")))
    if len(sharp):  # a file's own name has the sign that separates a record's key: the longest known file wins
        whole = _longest(names, set(_joined(known["source"], known["uri"]).to_pylist()))
    return np.flatnonzero(np.asarray(pc.is_in(whole, value_set=wanted)))


def _joined(sources: pa.ChunkedArray, uris: pa.ChunkedArray) -> pa.Array:
    joined = pc.binary_join_element_wise(sources, uris, "\n")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _longest(names: pa.Array, known: set[str]) -> pa.Array:
    found = []
    for name in names.to_pylist():
        while name not in known and "#" in name:
            name = name.rpartition("#")[0]
        found.append(name)
    return pa.array(found, pa.string())


def record_keys(ledger: pa.Table) -> list[str]:
    """What makes a record the one that is stored: its id, and where there is no content in the id, what was said of it.

    Args:
        ledger: has the columns doc_id, kept, rule and detail.
    """
    columns = (ledger[name].to_pylist() for name in ("doc_id", "kept", "rule", "detail"))
    return [
        doc_id if kept else f"{doc_id}\n{rule}\n{detail}" for doc_id, kept, rule, detail in zip(*columns, strict=True)
    ]


def withdrawn_rows(ledger: pa.Table, reasons: pa.Array) -> pa.Table:
    """Ledger rows (RAW_LEDGER) of blocked documents: ids and place stay, what they said of themselves goes."""
    rows = ledger.num_rows
    columns = {name: ledger[name] for name in RAW_LEDGER.names}
    nothing = pa.nulls(rows, pa.string())
    columns |= {
        "kept": pa.array(np.zeros(rows, dtype=bool)),
        "rule": pa.array([RULE] * rows, pa.string()),
        "value": pa.nulls(rows, pa.float64()),
        "threshold": pa.nulls(rows, pa.float64()),
        "detail": reasons,
        "bytes": pa.array(np.zeros(rows, dtype=np.int64)),
        "meta": nothing,
        "url": nothing,
    }
    return pa.table(columns, schema=RAW_LEDGER).combine_chunks()


def withhold(documents: pa.RecordBatch, ledger: pa.RecordBatch, reasons: pa.Array) -> tuple[pa.Table, pa.Table]:
    """A batch as it is stored: blocked records keep a ledger row that says why, and give no document.

    Args:
        documents: the readable records of the batch, in the ledger's order.
        ledger: every record met.
        reasons: why a record is blocked; null where it is not.
    """
    rows, texts = pa.Table.from_batches([ledger]), pa.Table.from_batches([documents])
    blocked = np.asarray(pc.is_valid(reasons))
    if not blocked.any():
        return texts, rows
    readable = rows["kept"].to_numpy()
    texts = texts.filter(pa.array(~blocked[readable]))
    said = withdrawn_rows(rows, reasons)
    mask = pa.array(blocked)
    merged = [pc.if_else(mask, said[name], rows[name]) for name in RAW_LEDGER.names]
    return texts, pa.table(merged, schema=RAW_LEDGER).combine_chunks()


def shrink_chunks(chunks: pa.Table, records: Positions, documents: Positions) -> list[list[int]]:
    """[documents, records] of each earlier chunk once the rows at these positions are gone."""
    left = []
    for name, removed in (("documents", documents), ("records", records)):
        counts = chunks[name].to_numpy()
        ends = np.cumsum(counts)
        lost = np.diff(np.searchsorted(removed, np.concatenate([[0], ends])))
        left.append(counts - lost)
    return [[int(d), int(r)] for d, r in zip(*left, strict=True)]
