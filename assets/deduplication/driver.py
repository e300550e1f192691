"""The steps of deduplication over tables in memory: what the stage does over stored ones, for tests and small data."""

from typing import NamedTuple

import pyarrow as pa

from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_edges, exact_groups
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.decontamination import contaminated
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.verify import verify_pairs


class Deduplicated(NamedTuple):
    """What deduplication leaves behind: a decision for each document, the evidence, and the reusable signatures."""

    decisions: pa.Table
    edges: pa.Table
    signatures: pa.Table
    left_out: int  # comparisons that the bucket width left out


def deduplicate(
    documents: pa.Table,
    ledger: pa.Table,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    index: pa.Table | None = None,
) -> Deduplicated:
    """Deduplicate documents (doc_id, text) described by a ledger (doc_id, split, source, date).

    `index` is the table of `decontamination.build_index`. Decisions come in the ledger's order; neither the order of
    the rows nor that of arrival changes them.
    """
    signatures = compute_signatures(documents, options)
    arranged = arrange(signatures, ledger, source_rank)
    roots = exact_groups(arranged, options)
    pairs, left_out = candidate_pairs(arranged, roots, options)
    edges = pa.concat_tables([exact_edges(arranged, roots, options), verify_pairs(pairs, lambda _: documents, options)])
    hits = contaminated(documents, index, options.decontamination) if index is not None else None
    return Deduplicated(decide(ledger, edges, options, source_rank, hits), edges, signatures, left_out)
