"""The decisions of a refresh: those of the earlier output, and in their places those that are others now.

Decisions stand row for row with the ledger. Where curation says of the rows that stayed what it said before, only what
was decided again can differ. The table is appended to as long as nothing in its midst changed, and else written anew;
its content version follows from the rows that differ either way.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.curation.stage import LEDGER
from headwater.assets.deduplication.difference import Difference, Reaching, equal
from headwater.assets.deduplication.neighbourhood import overlaid, without
from headwater.assets.schemas import DECISIONS
from headwater.assets.storage.content import content_of
from headwater.assets.storage.records import Record, TableRecord
from headwater.assets.storage.tables import Positions, read_table, take_rows


def follow_decisions(
    context: StageContext, base: Record, now: Reaching, found: Difference, rows: Positions, decided: pa.Table
) -> tuple[TableRecord, pa.Table, int]:
    """(the published table, all its rows, how many documents of both runs are decided otherwise).

    `decided` belongs to the `rows` of the documents that reach deduplication.
    """
    earlier = read_table(context.place.table("decisions"), base.tables["decisions"].version).cast(LEDGER)
    stayed = without(earlier, found.removed)
    at = np.flatnonzero(now.kept)[rows]
    if now.alike:
        again = at < found.stayed
        places, present = _differing(stayed, at[again], decided.filter(pa.array(again)))
        new = _behind(now, found.stayed, at[~again], decided.filter(pa.array(~again)))
    else:
        decisions = _laid_together(earlier, now, found, at, decided)
        places = np.flatnonzero(_differ(stayed, decisions.slice(0, found.stayed)))
        present, new = decisions.take(pa.array(places)), decisions.slice(found.stayed)
    if len(places) == 0:
        record = context.update_table("decisions", found.removed, new.combine_chunks())
        return record, pa.concat_tables([stayed, new]), 0
    content = base.tables["decisions"].sum
    for lost in (earlier.take(pa.array(found.removed)), stayed.take(pa.array(places))):
        content = content.minus(content_of(lost.combine_chunks()))
    for come in (new, present):
        content = content.plus(content_of(come.combine_chunks()))
    written = pa.concat_tables([_replaced(stayed, places, present), new])
    return context.write_table("decisions", written, content), written, len(places)


def _differing(stayed: pa.Table, at: Positions, decided: pa.Table) -> tuple[Positions, pa.Table]:
    """Of the rows that stayed and were decided again, those that are decided otherwise now, and what is decided."""
    old = stayed.take(pa.array(at)).combine_chunks()
    present = in_ledger(decided, old["content_id"])
    differs = _differ(old, present)
    return at[differs], present.filter(pa.array(differs))


def _behind(now: Reaching, first: int, at: Positions, decided: pa.Table) -> pa.Table:
    """The decisions behind the rows that stayed: curation's, with those of the documents that reach this stage."""
    curated = take_rows(*now.decisions, first, len(now.ledger) - first, LEDGER.names).cast(LEDGER)
    content = curated["content_id"].take(pa.array(at - first))
    return overlaid(curated, 0, at - first, in_ledger(decided, content))


def _laid_together(earlier: pa.Table, now: Reaching, found: Difference, at: Positions, decided: pa.Table) -> pa.Table:
    """Decisions (LEDGER) for all rows of the present ledger: curation's own, the earlier ones, and those made again."""
    records = len(now.ledger)
    places = np.arange(records)
    staying = np.delete(np.arange(len(earlier)), found.removed)
    carried = np.flatnonzero(now.kept[: found.stayed])
    places[carried] = records + staying[carried]
    places[at] = records + len(earlier) + np.arange(len(at))
    content = now.curated["content_id"].combine_chunks().take(pa.array(at))
    parts = [now.curated, earlier, in_ledger(decided, content)]
    together = pa.concat_tables([part.select(LEDGER.names).cast(LEDGER) for part in parts])
    return together.take(pa.array(places)).combine_chunks()


def in_ledger(decided: pa.Table, content: pa.Array | pa.ChunkedArray) -> pa.Table:
    """This stage's decisions (DECISIONS) as rows of LEDGER, given the content_id of each document."""
    stage = pc.if_else(decided["kept"], pa.scalar(None, pa.string()), pa.scalar("deduplicated"))
    columns = {name: decided[name] for name in DECISIONS.names} | {"stage": stage, "content_id": content}
    return pa.table({name: columns[name] for name in LEDGER.names}, schema=LEDGER)


def _differ(one: pa.Table, two: pa.Table) -> np.ndarray:
    """Where two tables of as many rows (LEDGER) say something else."""
    differs = np.zeros(len(one), dtype=np.bool_)
    for name in LEDGER.names:
        differs |= ~equal(one[name], two[name])
    return differs


def _replaced(rows: pa.Table, places: Positions, present: pa.Table) -> pa.Table:
    """The rows with others at some places (ascending), whose ids are the same."""
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[places] = True
    columns = {name: rows[name] for name in LEDGER.names}
    for name in LEDGER.names:
        if name not in ("doc_id", "content_id"):
            columns[name] = pc.replace_with_mask(rows[name], pa.array(mask), present[name].combine_chunks())
    return pa.table(columns, schema=LEDGER)
