"""A corpus as its consumers see it: the documents that were kept, range by range, without copying any text.

Text is stored twice at most (as read, and as repaired by `signals`); `curated` and `deduplicated` hold decisions only.
A view joins them: rows of the decision tables stand in the order of the raw ledger, so a join is a slice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.context import Rebuild, StageContext
from headwater.assets.corpus.annotations import all_annotated, annotated_rows, with_annotated_meta
from headwater.assets.storage.changes import Changes
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_flags, read_table, remembered, take_rows

Table = tuple[str, int]  # location and version


class Rows(NamedTuple):
    """A chunk's rows: [first, first + count) of the documents and of the ledger."""

    first_document: int
    documents: int
    first_record: int
    records: int


@dataclass(frozen=True)
class CorpusView:
    """Where a corpus's tables are, at the versions that belong together; small and picklable."""

    documents: Table  # text as the `signals` stage left it
    ledger: Table  # raw's: where each record came from
    decisions: Table | None  # the stage that decided last; None: everything readable
    annotations: tuple[Table, ...] = ()  # of all annotations on the way, the oldest first; rows as in the ledger
    arrays: Table | None = None  # raw's documents, row for row with `documents`; None where documents are text alone

    def kept(
        self, rows: Rows, columns: tuple[str, ...] = ("source", "split"), text: bool = True, arrays: bool = False
    ) -> pa.Table:
        """The kept documents of a chunk: doc_id, columns of the ledger, then text and packed arrays, in table order.

        `meta` has what annotations say of a document beside what its source says.

        Raises:
            ValueError: arrays are asked for, but the documents are text alone.
        """
        wanted = ["doc_id", "kept", *columns]
        ledger = take_rows(*self.ledger, rows.first_record, rows.records, list(dict.fromkeys(wanted)))
        if self.annotations and "meta" in columns:
            ledger = with_annotated_meta(ledger, self.annotated(rows))
        readable = ledger["kept"].to_numpy()
        found = ledger.select(["doc_id", *columns]).filter(pa.array(readable))
        if text:
            documents = take_rows(*self.documents, rows.first_document, rows.documents, ["doc_id", "text"])
            found = found.append_column(pa.field("text", pa.large_string()), documents["text"])
        if arrays:
            if self.arrays is None:
                raise ValueError("these documents are text alone and have no arrays")
            packed = take_rows(*self.arrays, rows.first_document, rows.documents, ["arrays"])
            found = found.append_column(pa.field("arrays", pa.large_binary()), packed["arrays"])
        if self.decisions is None:
            return found
        decided = take_rows(*self.decisions, rows.first_record, rows.records, ["kept"])["kept"].to_numpy()
        return found.filter(pa.array(decided[readable]))

    def kept_mask(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which ledger rows of a chunk are kept: (records,)."""
        kept = take_rows(*self.ledger, rows.first_record, rows.records, ["kept"])["kept"].to_numpy()
        if self.decisions is None:
            return kept
        return kept & take_rows(*self.decisions, rows.first_record, rows.records, ["kept"])["kept"].to_numpy()

    def annotated(self, rows: Rows) -> pa.Table:
        """What annotations say of each ledger row of a chunk."""
        return annotated_rows(self.annotations, rows.first_record, rows.records)


def chunk_rows(context: StageContext, raw: Record) -> list[Rows]:
    """The row ranges of a raw record's chunks, in order."""
    return list(_chunks(*context.table_url(raw, "chunks")))


@remembered(8)
def _chunks(url: str, version: int) -> tuple[Rows, ...]:
    table = read_table(url, version).sort_by("chunk")
    found, document, record = [], 0, 0
    for documents, records in zip(table["documents"].to_pylist(), table["records"].to_pylist(), strict=True):
        found.append(Rows(document, documents, record, records))
        document, record = document + documents, record + records
    return tuple(found)


class RawChanges(NamedTuple):
    """What changed in a corpus since an earlier output was made from it, and the chunks that hold what is new."""

    ledger: Changes
    documents: Changes
    added: list[Rows]


def raw_changes(context: StageContext, older: Record, newer: Record) -> RawChanges:
    """Compares two raw records of one corpus.

    Raises:
        Rebuild: rows cannot be told apart, or what the ledger says of a document changed and not its text.
    """
    ledger = context.changes_between(older, newer, "ledger")
    documents = context.changes_between(older, newer, "documents")
    readable = read_flags(*context.table_url(older, "ledger"))
    gone = (np.cumsum(readable) - 1)[ledger.removed[readable[ledger.removed]]]
    if not np.array_equal(gone, documents.removed):
        raise Rebuild(f"{newer.asset} says something else of documents whose text stayed")
    chunks = chunk_rows(context, newer)
    return RawChanges(ledger, documents, rows_after(chunks, documents.kept, ledger.kept))


def rows_after(chunks: list[Rows], documents: int, records: int) -> list[Rows]:
    """The parts of the chunks that lie behind the first ``documents`` and ``records`` rows; empty ones are left out."""
    found = []
    for chunk in chunks:
        document, record = max(chunk.first_document, documents), max(chunk.first_record, records)
        last_document, last_record = chunk.first_document + chunk.documents, chunk.first_record + chunk.records
        if last_record > record:
            found.append(Rows(document, max(last_document - document, 0), record, last_record - record))
    return found


def behind(context: StageContext, record: Record) -> Iterator[Record]:
    """A corpus's record and those of the stages before it, back to `raw`: a stage's first input is its corpus."""
    yield record
    while record.asset.split("/")[1] != "raw":
        record = context.upstream(record, next(iter(record.identity.options["_inputs"])))
        yield record


def raw_of(context: StageContext, record: Record) -> Record:
    """The raw record behind any later stage's record of the same corpus."""
    return next(found for found in behind(context, record) if found.asset.endswith("/raw"))


def has_arrays(raw: Record) -> bool:
    """Whether the documents of a raw record are more than text."""
    return "documents" in raw.tables and "arrays" in raw.tables["documents"].columns


def signals_of(context: StageContext, record: Record) -> Record:
    """The signals record behind a later stage's record of the same corpus."""
    return next(found for found in behind(context, record) if found.asset.endswith("/signals"))


def open_corpus(context: StageContext, record: Record) -> tuple[CorpusView, list[Rows]]:
    """The view of a corpus at the stage of ``record`` (signals or any later one), and its chunks."""
    stages = list(behind(context, record))
    signals = next(found for found in stages if found.asset.endswith("/signals"))
    decided = None if record.asset == signals.asset else context.table_url(record, "decisions")
    annotations = tuple(context.table_url(r, "annotations") for r in reversed(stages) if "annotations" in r.tables)
    texts, ledger = context.table_url(signals, "documents"), context.table_url(stages[-1], "ledger")
    arrays = context.table_url(stages[-1], "documents") if has_arrays(stages[-1]) else None
    return CorpusView(texts, ledger, decided, annotations, arrays), chunk_rows(context, stages[-1])


def kept_ledger(view: CorpusView, columns: list[str]) -> pa.Table:
    """Columns of the ledger (and `doc_id`) for all kept documents, in table order."""
    ledger = read_table(*view.ledger, columns=list(dict.fromkeys(["doc_id", "kept", *columns])))
    if view.annotations and "meta" in columns:
        ledger = with_annotated_meta(ledger, all_annotated(view.annotations, ledger.num_rows))
    mask = ledger["kept"].to_numpy()
    if view.decisions is not None:
        mask = mask & read_flags(*view.decisions)
    return ledger.select(["doc_id", *columns]).filter(pa.array(mask))


def tables_of(view: CorpusView, rows: list[Rows], wanted: set[str]) -> Iterator[pa.Table]:
    """Columns doc_id and text of the wanted documents in table order, reading only chunks that hold one."""
    for chunk in rows:
        ids = view.kept(chunk, columns=(), text=False)["doc_id"].to_pylist()
        if not wanted.isdisjoint(ids):
            keep = np.array([doc_id in wanted for doc_id in ids], dtype=bool)
            yield view.kept(chunk, columns=()).filter(pa.array(keep))


def texts_of(view: CorpusView, rows: list[Rows], wanted: set[str]) -> Iterator[tuple[str, str]]:
    """(doc_id, text) of the same documents."""
    for table in tables_of(view, rows, wanted):
        yield from zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True)
