"""deduplicated, built on its earlier output: index, edges and decisions change where documents did.

The earlier tables stay; rows of documents that went are deleted and rows of new ones appended. Decisions in their midst
change where they stand, because they stand row for row with the ledger.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.arrow_rows import rows_at, without
from headwater.assets.context import Rebuild, StageContext
from headwater.assets.corpus.view import Table
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.decisions import follow_decisions
from headwater.assets.deduplication.difference import Difference, Reaching, difference
from headwater.assets.deduplication.incremental import plan_refresh
from headwater.assets.deduplication.neighbourhood import decide_again, touched_documents
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.population import Documents
from headwater.assets.deduplication.repeats import repeats_of, write_repeated
from headwater.assets.deduplication.stored import index_to_go_on_from
from headwater.assets.deduplication.tasks import sign, verify
from headwater.assets.storage.records import Counts, Record, TableRecord
from headwater.assets.storage.tables import Positions, read_table, take_rows

LATE = "documents_indexed_late"  # behind documents that stand after them in the ledger, since the last full run


class Result(NamedTuple):
    """What a run publishes and what it has to tell: `edges` are all of them; `figures` are of this run."""

    tables: dict[str, TableRecord]
    counts: Counts
    edges: pa.Table
    figures: dict[str, int]


def published(options: DeduplicationOptions) -> tuple[str, ...]:
    """The tables that the stage publishes."""
    tables = ("decisions", "edges", "signatures", "hits", *(("fit",) if options.needs_fit else ()))
    return tables if options.passages is None else (*tables, "passages", "repeated")


def fit_of_record(context: StageContext, tables: dict[str, TableRecord]) -> Table | None:
    """Where the fit lies that these tables were made with."""
    return (context.place.table("fit"), tables["fit"].version) if "fit" in tables else None


def refresh(context: StageContext, base: Record, now: Reaching, rank: dict[str, int], items: Table | None) -> Result:
    """Follows the changes since `base`; the result is that of a full run.

    Raises:
        Rebuild: the earlier output cannot be built on.
    """
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    if absent := set(published(options)) - set(base.tables):
        raise Rebuild(f"the earlier output has no {' and no '.join(sorted(absent))}")
    before, found = difference(now)
    earlier, gone = _indexed(context, base, before, found)
    fit = fit_of_record(context, base.tables)
    tables = sign(context, now, found.arrived, items, fit, _leaving(context, base, before, found, gone))
    if options.needs_fit:
        tables["fit"] = base.tables["fit"]
    arrived = Documents(*_arrivals(context, tables["signatures"], base, now, found, gone))
    edges = _read(context, base, "edges")
    plan = plan_refresh(earlier, edges, gone, arrived, options, rank)
    added = pa.concat_tables([plan.added, verify(context, now, plan.pairs, fit)])
    tables["edges"] = context.update_table("edges", plan.removed, added)
    hits = _read_at(context, "hits", tables["hits"]) if items is not None else None
    seeds = touched_documents(edges, plan.removed, added, arrived.ledger)
    final = pa.concat_tables([without(edges, plan.removed), added])
    if (repeats := repeats_of(context, tables, now)) is not None:
        decided = decide(now.documents, final, options, rank, hits, repeats)
        rows = np.flatnonzero(now.kept)
        tables["repeated"] = write_repeated(context, now, decided, repeats, rank)
    else:
        rows, decided = decide_again(now.ledger, final, seeds, options, rank, hits, now.kept)
    tables["decisions"], counts, changed = follow_decisions(context, base, now, found, rows, decided)
    figures = {name: base.metrics[name] for name in ("fit_documents",) if options.needs_fit} | {
        LATE: base.metrics.get(LATE, 1) + int(np.count_nonzero(found.arrived[: found.stayed])),
        "documents_signed": len(arrived.ledger),
        "pairs_verified": len(plan.pairs),
        "edges_added": len(added),
        "edges_removed": len(plan.removed),
        "decisions_changed": changed,
        "comparisons_left_out": base.metrics["comparisons_left_out"] + plan.left_out,
    }
    return Result(tables, counts, final, figures)


def _read(context: StageContext, base: Record, table: str) -> pa.Table:
    return _read_at(context, table, base.tables[table])


def _read_at(context: StageContext, table: str, record: TableRecord) -> pa.Table:
    return read_table(context.place.table(table), record.version)


def _indexed(context: StageContext, base: Record, before: Reaching, found: Difference) -> tuple[Documents, Positions]:
    """(the earlier documents in the order of their index, the rows of those that are gone).

    The index is in the order of the ledger, but for documents that curation once dropped and keeps by now.
    """
    index = index_to_go_on_from(context.place.table("signatures"), base.tables["signatures"].version)
    rows = np.flatnonzero(before.kept)
    if base.tables["signatures"].rows != len(rows):
        raise Rebuild("the index does not have the documents that the earlier run saw")
    if base.metrics.get(LATE) != 0:
        ledger, doc_ids = before.documents, index.column("doc_id")
        if not pc.all(pc.equal(doc_ids, ledger["doc_id"]), min_count=0).as_py():
            places = pc.index_in(doc_ids, value_set=ledger["doc_id"].combine_chunks())
            if places.null_count:
                raise Rebuild("the index does not have the documents that the earlier run saw")
            rows = rows[places.to_numpy()]
    return Documents(index, before.ledger, rows), np.flatnonzero(found.gone[rows])


def _leaving(
    context: StageContext, base: Record, before: Reaching, found: Difference, gone: Positions
) -> dict[str, Positions]:
    """Which rows of the earlier tables of signatures and hits go."""
    ids = rows_at(before.ledger.select(["doc_id"]), np.flatnonzero(found.gone))["doc_id"].combine_chunks()
    hits = pc.is_in(_read(context, base, "hits")["doc_id"], value_set=ids).to_numpy()
    return {"signatures": gone, "hits": np.flatnonzero(hits)} | (
        {"passages": gone} if "passages" in base.tables else {}
    )


def _arrivals(
    context: StageContext, signed: TableRecord, base: Record, now: Reaching, found: Difference, gone: Positions
) -> tuple[pa.Table, pa.Table]:
    """(rows of the index, ledger) of the new documents."""
    stayed = base.tables["signatures"].rows - len(gone)
    index = take_rows(
        context.place.table("signatures"), signed.version, stayed, signed.rows - stayed, list(signed.columns)
    )
    return index, rows_at(now.ledger, np.flatnonzero(found.arrived))
