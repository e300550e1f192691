"""The steps of deduplication over tables in memory: what the stage does over stored ones, for tests and small data."""

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.arrow_rows import without
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_edges, exact_groups
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.decontamination import contaminated
from headwater.assets.deduplication.fit import Fit, fit_documents, fit_of
from headwater.assets.deduplication.incremental import plan_refresh
from headwater.assets.deduplication.neighbourhood import decide_again, overlaid, touched_documents
from headwater.assets.deduplication.normalise import Rows
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.passages import compute_passages, passages_of
from headwater.assets.deduplication.population import Documents
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.verify import Texts, verify_pairs


class Deduplicated(NamedTuple):
    """What deduplication leaves behind: a decision for each document, the evidence, and the reusable signatures."""

    decisions: pa.Table
    edges: pa.Table
    signatures: pa.Table
    left_out: int  # comparisons that the bucket width left out
    hits: pa.Table | None = None  # evaluation items found in documents
    verified: int = 0  # pairs compared on their texts in this run
    fit: Fit | None = None  # what is common in the corpus, where that is asked


def deduplicate(
    documents: pa.Table,
    ledger: pa.Table,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    index: pa.Table | None = None,
    fit: Fit | None = None,
) -> Deduplicated:
    """Deduplicate documents (doc_id, text) described by a ledger (doc_id, split, source, date).

    `index` is the table of `decontamination.build_index`; `fit` says what is common, where it was told from other
    documents than these. Decisions come in the ledger's order; neither the order of
    the rows nor that of arrival changes them.
    """
    fit = fit or _fit(documents, options)
    signatures = compute_signatures(documents, options, fit)
    arranged = arrange(signatures, ledger, source_rank)
    roots = exact_groups(arranged, options)
    pairs, left_out = candidate_pairs(arranged, roots, options)
    verified = verify_pairs(pairs, lambda _: documents, options, fit)
    edges = pa.concat_tables([exact_edges(arranged, roots, options), verified])
    hits = contaminated(documents, index, options.decontamination) if index is not None else None
    repeats = None
    if options.passages is not None:
        found = compute_passages(documents, options.passages)
        rows = pc.index_in(ledger["doc_id"].combine_chunks(), value_set=found["doc_id"].combine_chunks())
        repeats = passages_of(found.take(rows), options.passages)
    return Deduplicated(
        decide(ledger, edges, options, source_rank, hits, repeats), edges, signatures, left_out, hits, len(pairs), fit
    )


def _fit(documents: pa.Table, options: DeduplicationOptions) -> Fit | None:
    return fit_of(fit_documents(documents, options.fit), options.fit) if options.needs_fit else None


def deduplicate_again(
    before: Deduplicated,
    ledger: pa.Table,
    gone: Rows,
    arrived: tuple[pa.Table, pa.Table],
    texts_of: Callable[[list[str]], Texts],
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    index: pa.Table | None = None,
) -> Deduplicated:
    """Refreshes what an earlier run left behind: equal to `deduplicate` over the final documents, edges in any order.

    `before` belongs to the documents of `ledger`, row for row; those at the rows `gone` (ascending) go. `arrived` has
    the new documents (doc_id, text) and their ledger. The result has the documents that stay, then the new ones.
    `texts_of` gives the texts of any of these; `index` is that of the earlier run.
    """
    documents, arrivals = arrived
    signatures = compute_signatures(documents, options, before.fit)
    earlier = Documents(before.signatures, ledger)
    plan = plan_refresh(earlier, before.edges, gone, Documents(signatures, arrivals), options, source_rank)
    added = pa.concat_tables([plan.added, verify_pairs(plan.pairs, texts_of, options, before.fit)])
    edges = pa.concat_tables([without(before.edges, plan.removed), added])
    final = pa.concat_tables([without(ledger, gone), arrivals])
    hits = before.hits
    if index is not None and hits is not None:
        stays = pc.is_in(hits["doc_id"], value_set=without(ledger, gone)["doc_id"].combine_chunks())
        hits = pa.concat_tables([hits.filter(stays), contaminated(documents, index, options.decontamination)])
    seeds = touched_documents(before.edges, plan.removed, added, arrivals)
    decided = decide_again(final, edges, seeds, options, source_rank, hits)
    return Deduplicated(
        overlaid(without(before.decisions, gone), len(arrivals), *decided),
        edges,
        pa.concat_tables([without(before.signatures, gone), signatures]),
        before.left_out + plan.left_out,
        hits,
        len(plan.pairs),
        before.fit,
    )
