"""The decisions of a refresh: those of the earlier output, and in their places those that are others now.

Decisions stand row for row with the ledger. Rows of documents that went are deleted and those of new ones appended;
rows that stay are given other values where they are decided otherwise, which writes the columns that say so anew and
nothing else. Where curation says of the rows that stayed what it said before, only what was decided again can differ,
and only that is read.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.arrow_rows import rows_at, without
from headwater.assets.context import StageContext
from headwater.assets.curation.counting import TOLD, Recounted, carried, count_decisions
from headwater.assets.curation.stage import LEDGER
from headwater.assets.deduplication.difference import Difference, Reaching, equal
from headwater.assets.deduplication.neighbourhood import overlaid
from headwater.assets.schemas import DECISIONS
from headwater.assets.storage.changes import staying
from headwater.assets.storage.records import Counts, Record, TableRecord
from headwater.assets.storage.refreshing import Revision
from headwater.assets.storage.tables import Positions, read_table, take_positions, take_rows

_STAGE = "deduplicated"  # as decisions name it


def follow_decisions(
    context: StageContext, base: Record, now: Reaching, found: Difference, rows: Positions, decided: pa.Table
) -> tuple[TableRecord, Counts, int]:
    """(the published table, what it says in numbers, how many documents of both runs are decided otherwise).

    `decided` belongs to the `rows` of the ledger, which reach deduplication.
    """
    revision, old, new = (_decided_again if now.alike else _laid_together)(context, base, now, found, rows, decided)
    record = context.update_table("decisions", found.removed, new.combine_chunks(), revision)
    if not now.alike or now.before is None or not base.counts:
        return record, count_all(context, now, record), len(revision.places)
    gone = take_positions(context.place.table("decisions"), base.tables["decisions"].version, found.removed, TOLD)
    sources = now.ledger.select(["source"])
    moved, behind = rows_at(sources, revision.places)["source"], sources["source"].slice(found.stayed)
    left = rows_at(now.before.ledger.select(["source"]), found.removed)["source"]
    changed = Recounted([(gone, left), (old, moved)], [(revision.rows, moved), (new, behind)])
    return record, carried(base.counts, changed, _STAGE), len(revision.places)


def count_all(context: StageContext, now: Reaching, decisions: TableRecord) -> Counts:
    """What decisions say in numbers, told from all of them."""
    told = read_table(context.place.table("decisions"), decisions.version, TOLD)
    return count_decisions(told, _STAGE, now.ledger["source"])


def _decided_again(
    context: StageContext, base: Record, now: Reaching, found: Difference, at: Positions, decided: pa.Table
) -> tuple[Revision, pa.Table, pa.Table]:
    """What is decided otherwise now of rows that stayed, what was decided of those, and the rows behind them all."""
    again = at < found.stayed
    places = at[again]
    earlier = base.tables["decisions"]
    before = staying(earlier.rows, found.removed)[places]
    old = take_positions(context.place.table("decisions"), earlier.version, before, LEDGER.names).cast(LEDGER)
    new = _behind(now, found.stayed, at[~again], decided.filter(pa.array(~again)))
    return *_revision(places, old, in_ledger(decided.filter(pa.array(again)), old["content_id"])), new


def _behind(now: Reaching, first: int, at: Positions, decided: pa.Table) -> pa.Table:
    """The decisions behind the rows that stayed: curation's, with those of the documents that reach this stage."""
    curated = take_rows(*now.decisions, first, len(now.ledger) - first, LEDGER.names).cast(LEDGER)
    content = curated["content_id"].take(pa.array(at - first))
    return overlaid(curated, 0, at - first, in_ledger(decided, content))


def _laid_together(
    context: StageContext, base: Record, now: Reaching, found: Difference, at: Positions, decided: pa.Table
) -> tuple[Revision, pa.Table, pa.Table]:
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
    revision, old = _revision(np.arange(found.stayed), without(earlier, found.removed), stayed)
    return revision, old, decisions.slice(found.stayed)


def in_ledger(decided: pa.Table, content: pa.Array | pa.ChunkedArray) -> pa.Table:
    """This stage's decisions (DECISIONS) as rows of LEDGER, given the content_id of each document."""
    stage = pc.if_else(decided["kept"], pa.scalar(None, pa.string()), pa.scalar(_STAGE))
    columns = {name: decided[name] for name in DECISIONS.names} | {"stage": stage, "content_id": content}
    return pa.table({name: columns[name] for name in LEDGER.names}, schema=LEDGER)


def _revision(places: Positions, old: pa.Table, new: pa.Table) -> tuple[Revision, pa.Table]:
    """(the rows (LEDGER), at these places, of which the new ones say something else and what differs; the old ones)."""
    differs = {name: ~equal(old[name], new[name]) for name in LEDGER.names}
    rows = np.logical_or.reduce(list(differs.values())) if len(places) else np.zeros(0, dtype=np.bool_)
    columns = [name for name, where in differs.items() if where.any()]
    return Revision(places[rows], new.filter(pa.array(rows)), columns), old.filter(pa.array(rows))
