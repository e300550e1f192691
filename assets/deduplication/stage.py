"""deduplicated: exact and near duplicates and evaluation items, decided over tables.

Signatures and look-ups of evaluation items are row steps, verification is a step over pairs; only the candidates and
the final decision see the whole, and they read numbers, not texts. Where there is an earlier output, all of it is
built on (`refreshing`), and nothing but what changed is computed.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headwater.assets.compute.memory import give_back_memory
from headwater.assets.context import StageContext
from headwater.assets.corpus.view import Table, raw_of
from headwater.assets.curation.stage import LEDGER, corpus_content
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_edges, exact_groups
from headwater.assets.deduplication.decide import Verdicts, judge
from headwater.assets.deduplication.decisions import count_all, in_ledger
from headwater.assets.deduplication.decontamination import build_index
from headwater.assets.deduplication.description import describe
from headwater.assets.deduplication.difference import Reaching, reaching
from headwater.assets.deduplication.estimated import add_estimate
from headwater.assets.deduplication.neighbourhood import overlaid
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.refreshing import LATE, Result, published, refresh
from headwater.assets.deduplication.repeats import repeats_of, write_repeated
from headwater.assets.deduplication.stored import StoredIndex
from headwater.assets.deduplication.tasks import make_fit, sign, verify
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import TableRecord
from headwater.assets.storage.tables import read_table, take_rows

PIECE_ROWS = 1 << 18  # decisions that are written at once


def materialize_deduplicated(context: StageContext) -> Outcome:
    """Finds duplicates and decides which documents stay."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    curated = context.inputs["curated"]
    now = reaching(context, curated)
    rank = {name: place for place, name in enumerate(context.stage.identity_options["source_order"])}
    items, too_short = _evaluation_items(context, options)
    if context.base is not None:
        result = refresh(context, context.base, now, rank, items)
    else:
        result = _compute(context, now, rank, items)
    outcome = Outcome(
        tables={name: result.tables[name] for name in published(options)},
        metrics=result.figures | {"short_items": too_short},
        content=corpus_content(raw_of(context, curated), result.tables["decisions"]),
    )
    describe(outcome, now, result, options)
    add_estimate(outcome, context, now, result, rank)
    return outcome


def _evaluation_items(context: StageContext, options: DeduplicationOptions) -> tuple[Table | None, int]:
    """(the table to look evaluation items up in, None without any; items too short to look for)."""
    sets: list[tuple[str, list[str]]] = context.found
    if not sets:
        return None, 0
    built = build_index(sets, options.decontamination)
    stored = context.write_table("evaluation_index", built.table)
    return (context.place.table("evaluation_index"), stored.version), built.too_short


def _compute(context: StageContext, now: Reaching, rank: dict[str, int], items: Table | None) -> Result:
    """All documents, compared with one another."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    give_back_memory()
    made = make_fit(context, now)
    fit = None if made is None else (context.place.table("fit"), made.version)
    tables = sign(context, now, now.kept, items, fit)
    if made is not None:
        tables["fit"] = made
    give_back_memory()
    edges, compared = _compare(context, now, rank, tables["signatures"], fit)
    give_back_memory()
    hits = read_table(context.place.table("hits"), tables["hits"].version) if items is not None else None
    repeats = repeats_of(context, tables, now)
    decided = judge(now.documents, edges, options, rank, hits, repeats)
    if repeats is not None:
        tables["repeated"] = write_repeated(context, now, decided.table(), repeats, rank)
    give_back_memory()
    tables["edges"] = context.write_table("edges", edges)
    tables["decisions"] = context.write_pieces("decisions", LEDGER, _overlaid(now, decided))
    give_back_memory()
    counts = count_all(context, now, tables["decisions"])
    figures = {"fit_documents": len(now.documents)} if options.needs_fit else {}
    figures |= {
        LATE: 0,
        "documents_signed": len(now.documents),
        "edges_added": len(edges),
        "edges_removed": 0,
        "decisions_changed": 0,
    }
    return Result(tables, counts, edges, figures | compared)


def _compare(
    context: StageContext, now: Reaching, rank: dict[str, int], signatures: TableRecord, fit: Table | None
) -> tuple[pa.Table, dict[str, int]]:
    """(all verified edges, figures); what candidates are found with is given up on return."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    index = StoredIndex(context.place.table("signatures"), signatures.version)
    arranged = arrange(index, now.documents, rank)
    roots = exact_groups(arranged, options)
    exact = exact_edges(arranged, roots, options)
    pairs, left_out = candidate_pairs(arranged, roots, options)
    del index, arranged, roots
    give_back_memory()
    edges = pa.concat_tables([exact, verify(context, now, pairs, fit)])
    return edges, {"pairs_verified": len(pairs), "comparisons_left_out": left_out}


def _overlaid(now: Reaching, decided: Verdicts) -> Iterator[pa.Table]:
    """This stage's decisions laid over those of curation, row for row with the ledger, piece by piece."""
    before = np.concatenate([[0], np.cumsum(now.kept)])
    for first in range(0, len(now.kept), PIECE_ROWS):
        curated = take_rows(*now.decisions, first, PIECE_ROWS, LEDGER.names).cast(LEDGER)
        kept = now.kept[first : first + PIECE_ROWS]
        content = curated["content_id"].filter(pa.array(kept)).combine_chunks()
        own = in_ledger(decided.table(before[first], len(content)), content)
        yield overlaid(curated, 0, np.flatnonzero(kept), own)
