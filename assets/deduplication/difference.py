"""Which documents reached deduplication when it last ran, which reach it now, and which of them are the same.

A document is the same as before when its row of the ledger stayed, its text and what the ledger says that matters here
(date, source, split) are as they were, and curation keeps it now as it did then. All others go, arrive, or do both.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild, StageContext, StageError
from headwater.assets.corpus.view import CorpusView, Rows, Table, open_corpus, raw_of
from headwater.assets.deduplication.buckets import Flags
from headwater.assets.deduplication.neighbourhood import without
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import Positions, read_table

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

    @cached_property
    def curated(self) -> pa.Table:
        """All of curation's decisions."""
        return read_table(*self.decisions)

    @cached_property
    def documents(self) -> pa.Table:
        """Rows of the ledger of those documents."""
        return self.ledger.filter(pa.array(self.kept))


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
    """Reads what a curated record says of all documents."""
    view, chunks = open_corpus(context, curated)
    rows = read_table(*view.ledger, columns=[*LEDGER_COLUMNS, "kept"])
    decisions = context.table_url(curated, "decisions")
    kept = read_table(*decisions, columns=["kept"])["kept"].to_numpy()
    ledger, readable = rows.drop_columns("kept"), rows["kept"].to_numpy()
    return Reaching(raw_of(context, curated), view, chunks, ledger, readable, decisions, kept)


def reached(context: StageContext) -> Reaching:
    """What reached the run that this one builds on.

    Raises:
        Rebuild: the history no longer tells.
    """
    try:
        return reaching(context, context.earlier("curated"))
    except (StageError, FileNotFoundError) as error:
        raise Rebuild(str(error)) from error


def difference(context: StageContext, before: Reaching, now: Reaching) -> Difference:
    """Compares the documents that reached an earlier run with those that reach this one.

    Raises:
        Rebuild: the earlier version of the ledger is no longer there.
    """
    changes = context.changes_between(before.raw, now.raw, "ledger")
    same = _same(before, now, changes.removed, changes.kept)
    gone, arrived = before.kept.copy(), now.kept.copy()
    staying = np.delete(np.arange(len(gone)), changes.removed)
    gone[staying[same]] = False
    arrived[: changes.kept][same] = False
    return Difference(changes.removed, changes.kept, gone, arrived)


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
