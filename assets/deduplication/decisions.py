"""The decisions of a refresh: those of the earlier output, and in their places those that are others now.

Decisions stand row for row with the ledger. Rows of documents that went are deleted and those of new ones appended;
rows that stay are given other values where they are decided otherwise, which writes the columns that say so anew and
nothing else. Where curation says of the rows that stayed what it said before, only what was decided again can differ,
and only that is read.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.curation.stage import LEDGER
from headwater.assets.deduplication.difference import Difference, Reaching, equal
from headwater.assets.deduplication.neighbourhood import overlaid, without
from headwater.assets.schemas import DECISIONS
from headwater.assets.storage.changes import staying
from headwater.assets.storage.records import Record, TableRecord
from headwater.assets.storage.refreshing import Revision
from headwater.assets.storage.tables import Positions, read_table, take_positions, take_rows

TOLD = ["kept", "rule", "stage"]  # of the decisions, on the asset's page


def follow_decisions(
    context: StageContext, base: Record, now: Reaching, found: Difference, rows: Positions, decided: pa.Table
) -> tuple[TableRecord, pa.Table, int]:
    """(the published table, `TOLD` of all its rows, how many documents of both runs are decided otherwise).

    `decided` belongs to the `rows` of the ledger, which reach deduplication.
    """
    revision, new = (_decided_again if now.alike else _laid_together)(context, base, now, found, rows, decided)
    record = context.update_table("decisions", found.removed, new.combine_chunks(), revision)
    told = read_table(context.place.table("decisions"), record.version, TOLD)
    return record, told, len(revision.places)


def _decided_again(
    context: StageContext, base: Record, now: Reaching, found: Difference, at: Positions, decided: pa.Table
) -> tuple[Revision, pa.Table]:
    """What is decided otherwise now of rows that stayed, and the rows behind them."""
    again = at < found.stayed
    places = at[again]
    earlier = base.tables["decisions"]
    before = staying(earlier.rows, found.removed)[places]
    old = take_positions(context.place.table("decisions"), earlier.version, before, LEDGER.names).cast(LEDGER)
    revision = _revision(places, old, in_ledger(decided.filter(pa.array(again)), old["content_id"]))
    return revision, _behind(now, found.stayed, at[~again], decided.filter(pa.array(~again)))


def _behind(now: Reaching, first: int, at: Positions, decided: pa.Table) -> pa.Table:
    """The decisions behind the rows that stayed: curation's, with those of the documents that reach this stage."""
    curated = take_rows(*now.decisions, first, len(now.ledger) - first, LEDGER.names).cast(LEDGER)
    content = curated["content_id"].take(pa.array(at - first))
    return overlaid(curated, 0, at - first, in_ledger(decided, content))


def _laid_together(
    context: StageContext, base: Record, now: Reaching, found: Difference, at: Positions, decided: pa.Table
) -> tuple[Revision, pa.Table]:
    """The same from decisions for all rows of the ledger: curation's own, the earlier ones, and those made again."""
    earlier = read_table(context.place.table("decisions"), base.tables["decisions"].version).cast(LEDGER)
    records, places = len(now.ledger), np.arange(len(now.ledger))
    carried = np.flatnonzero(now.kept[: found.stayed])
    places[carried] = records + staying(len(earlier), found.removed)[carried]
    places[at] = records + len(earlier) + np.arange(len(at))
    content = now.curated["content_id"].combine_chunks().take(pa.array(at))
    parts = [now.curated, earlier, in_ledger(decided, content)]
    together = pa.concat_tables([part.select(LEDGER.names).cast(LEDGER) for part in parts])
    decisions = together.take(pa.array(places)).combine_chunks()
    stayed = decisions.slice(0, found.stayed)
    revision = _revision(np.arange(found.stayed), without(earlier, found.removed), stayed)
    return revision, decisions.slice(found.stayed)


def in_ledger(decided: pa.Table, content: pa.Array | pa.ChunkedArray) -> pa.Table:
    """This stage's decisions (DECISIONS) as rows of LEDGER, given the content_id of each document."""
    stage = pc.if_else(decided["kept"], pa.scalar(None, pa.string()), pa.scalar("deduplicated"))
    columns = {name: decided[name] for name in DECISIONS.names} | {"stage": stage, "content_id": content}
    return pa.table({name: columns[name] for name in LEDGER.names}, schema=LEDGER)


def _revision(places: Positions, old: pa.Table, new: pa.Table) -> Revision:
    """The rows (LEDGER), at these places of the table, of which the new ones say something else, and what differs."""
    differs = {name: ~equal(old[name], new[name]) for name in LEDGER.names}
    rows = np.logical_or.reduce(list(differs.values())) if len(places) else np.zeros(0, dtype=np.bool_)
    columns = [name for name, where in differs.items() if where.any()]
    return Revision(places[rows], new.filter(pa.array(rows)), columns)
