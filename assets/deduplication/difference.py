"""Which documents reached deduplication when it last ran, which reach it now, and which of them are the same.

A document is the same as before when its row of the ledger stayed, its text and what the ledger says that matters here
(date, source, split) are as they were, and curation keeps it now as it did then. All others go, arrive, or do both.

Where curation's decisions lie in the files they lay in, all of that holds for every row that stayed, and only the rows
behind them are read.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.arrow_rows import put_together, without
from headwater.assets.context import Rebuild, StageContext, StageError
from headwater.assets.corpus.view import CorpusView, Rows, Table, open_corpus, raw_of
from headwater.assets.deduplication.buckets import Flags
from headwater.assets.document_ids import rows_by_id
from headwater.assets.storage.changes import Changes, changes_by_files, staying
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import Positions, read_flags, read_table, take_rows

LEDGER_COLUMNS = ["doc_id", "source", "split", "date"]


@dataclass(frozen=True)
class Reaching:
    """A corpus as curation left it: all rows of its ledger, of which the `kept` ones reach deduplication."""

    raw: Record
    view: CorpusView
    chunks: list[Rows]
    ledger: pa.Table
    readable: Flags
    decisions: Table  # curation's, row for row with the ledger
    kept: Flags
    before: "Reaching | None" = None  # what reached the run that this one builds on
    changes: Changes | None = None  # of the ledger since then
    alike: bool = False  # curation says of every row that stayed what it said then

    @cached_property
    def curated(self) -> pa.Table:
        """All of curation's decisions."""
        return read_table(*self.decisions)

    @cached_property
    def documents(self) -> pa.Table:
        """Rows of the ledger of those documents."""
        if self.kept.all():
            return self.ledger
        return self.ledger.filter(pa.array(self.kept))

    def text_rows(self, ids: pa.Array) -> Positions:
        """Rows of the table of texts for different ids, all of which have a text."""
        records = rows_by_id(pa.chunked_array([ids]), self.ledger["doc_id"], self.readable)
        return (np.cumsum(self.readable, dtype=np.int64) - 1)[records]


@dataclass(frozen=True)
class Difference:
    """What became of the rows of the ledger that an earlier run saw.

    `removed` are rows of the earlier ledger that are no longer there; the others are the first `stayed` rows of the
    present one. `gone` and `arrived` mark rows (of the earlier and of the present ledger) of the documents that it must
    take leave of and of those that are new to it.
    """

    removed: Positions
    stayed: int
    gone: Flags
    arrived: Flags


def reaching(context: StageContext, curated: Record) -> Reaching:
    """What a curated record says of all documents, and what reached the run that this one builds on.

    Raises:
        Rebuild: the history no longer tells what reached that run.
    """
    if context.base is None:
        return _read(context, curated)
    try:
        earlier = context.earlier("curated")
        before = _read(context, earlier)
    except (StageError, FileNotFoundError) as error:
        raise Rebuild(str(error)) from error
    return _followed(context, before, earlier, curated)


def _read(context: StageContext, curated: Record, first: int = 0) -> Reaching:
    """The rows from `first` on."""
    view, chunks = open_corpus(context, curated)
    raw, decisions = raw_of(context, curated), context.table_url(curated, "decisions")
    count = raw.rows("ledger") - first
    ledger = put_together(take_rows(*view.ledger, first, count, LEDGER_COLUMNS))
    if first == 0:
        readable, kept = read_flags(*view.ledger), read_flags(*decisions)
    else:
        readable, kept = (take_rows(*of, first, count, ["kept"])["kept"].to_numpy() for of in (view.ledger, decisions))
    return Reaching(raw, view, chunks, ledger, readable, decisions, kept)


def _followed(context: StageContext, before: Reaching, earlier: Record, curated: Record) -> Reaching:
    """What a curated record says now, of which only the rows behind those that stayed are read where that suffices."""
    raw = raw_of(context, curated)
    changes = context.changes_between(before.raw, raw, "ledger")
    older, newer = (context.table_url(record, "decisions") for record in (earlier, curated))
    decided = changes_by_files(newer[0], older[1], newer[1])
    if decided is None or decided.kept != changes.kept or not np.array_equal(decided.removed, changes.removed):
        return replace(_read(context, curated), before=before, changes=changes)
    new = _read(context, curated, changes.kept)
    stays = np.ones(len(before.kept), dtype=np.bool_)
    stays[changes.removed] = False
    return replace(
        new,
        ledger=put_together(pa.concat_tables([without(before.ledger, changes.removed), new.ledger])),
        readable=np.concatenate([before.readable[stays], new.readable]),
        kept=np.concatenate([before.kept[stays], new.kept]),
        before=before,
        changes=changes,
        alike=True,
    )


def difference(now: Reaching) -> tuple[Reaching, Difference]:
    """What reached the run that this one builds on, and how what reaches this one differs from it.

    Raises:
        Rebuild: there is no such run.
    """
    before, changes = now.before, now.changes
    if before is None or changes is None:
        raise Rebuild("no earlier output is known")
    gone, arrived = before.kept.copy(), now.kept.copy()
    stayed = staying(len(gone), changes.removed)
    same = now.kept[: changes.kept] if now.alike else _same(before, now, changes.removed, changes.kept)
    gone[stayed[same]] = False
    arrived[: changes.kept][same] = False
    return before, Difference(changes.removed, changes.kept, gone, arrived)


def _same(before: Reaching, now: Reaching, removed: Positions, stayed: int) -> Flags:
    """Of the rows that stayed, those of documents that reach deduplication as they did."""
    same = without(before.curated.select(["kept"]), removed)["kept"].to_numpy() & now.kept[:stayed]
    for name, then, present in (
        ("content_id", before.curated, now.curated),
        *((name, before.ledger, now.ledger) for name in ("doc_id", "source", "split", "date")),
    ):
        same &= equal(without(then.select([name]), removed)[name], present[name].slice(0, stayed))
    return same


def equal(one: pa.ChunkedArray, two: pa.ChunkedArray) -> Flags:
    """Where two columns have the same value; null is equal to null."""
    both_null = pc.and_(pc.is_null(one), pc.is_null(two))
    return pc.or_(pc.fill_null(pc.equal(one, two), False), both_null).to_numpy()
