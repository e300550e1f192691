"""The estimate of precision and recall on the asset's page and among its checks; kept by refreshes while it holds.

Copies are looked for as arriving documents are: in the stored index, by the plan of a refresh, and verified on the
texts; nothing of them is stored.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.deduplication.difference import Reaching
from headwater.assets.deduplication.estimate import estimate
from headwater.assets.deduplication.incremental import plan_refresh
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.population import Documents
from headwater.assets.deduplication.refreshing import Result, fit_of_record
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.stored import StoredIndex
from headwater.assets.deduplication.tasks import read_fit, texts_of
from headwater.assets.deduplication.verify import verify_pairs
from headwater.assets.markdown import markdown_table
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord, Record

TITLE = "estimated precision and recall"
CHECK = "estimated_quality"
_PREFIX = "estimated_"
_CHANGES = "estimated_changes"  # documents that came or went since the estimate


def add_estimate(
    outcome: Outcome, context: StageContext, now: Reaching, result: Result, source_rank: dict[str, int]
) -> None:
    """Adds the estimate to the outcome: a new one, or the earlier one while few documents came or went since."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    if options.estimate is None or options.near is None:
        return
    if context.base is not None and _carry_over(outcome, context.base, now, result, options.estimate.renew_after):
        return

    def find_edges(copies: pa.Table) -> pa.Table:
        return _edges_of_copies(copies, context, now, result, source_rank)

    found = estimate(
        now.documents,
        result.edges,
        lambda ids: texts_of(now, pa.array(ids, pa.string())),
        find_edges,
        options.estimate,
    )
    short = found.shortcomings(options.estimate)
    outcome.metrics |= found.metrics() | {_CHANGES: 0}
    header = ["", "estimate", "with 95 % confidence", "right or found", "tried"]
    outcome.markdown[TITLE] = markdown_table(header, found.rows())
    description = (
        "; ".join(short) or "Neither precision nor recall is below what is declared, as far as the sample tells."
    )
    outcome.checks.append(CheckRecord(name=CHECK, passed=not short, blocking=False, description=description))


def _carry_over(outcome: Outcome, base: Record, now: Reaching, result: Result, renew_after: float) -> bool:
    """Takes the earlier run's estimate over, unless too much changed since it was made or there is none."""
    if TITLE not in base.markdown or _CHANGES not in base.metrics:
        return False
    arrived = result.figures["documents_signed"]
    gone = base.tables["signatures"].rows + arrived - result.tables["signatures"].rows
    changes = base.metrics[_CHANGES] + arrived + gone
    if changes > renew_after * np.count_nonzero(now.kept):
        return False
    outcome.metrics |= {name: value for name, value in base.metrics.items() if name.startswith(_PREFIX)}
    outcome.metrics[_CHANGES] = changes
    outcome.markdown[TITLE] = base.markdown[TITLE]
    outcome.checks += [check for check in base.checks if check.name == CHECK]
    return True


def _edges_of_copies(
    copies: pa.Table, context: StageContext, now: Reaching, result: Result, source_rank: dict[str, int]
) -> pa.Table:
    """Near and exact edges that the copies would have with the documents, were they to arrive last of all."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    last = max(source_rank, key=source_rank.__getitem__)
    ledger = pa.table(
        {
            "doc_id": copies["doc_id"],
            "source": pa.array([last] * len(copies), pa.string()),
            "split": pa.array(["train"] * len(copies), pa.string()),
            "date": pa.nulls(len(copies), pa.string()),
        }
    )
    fit = read_fit(fit_of_record(context, result.tables), options)
    index = StoredIndex(context.place.table("signatures"), result.tables["signatures"].version)
    arriving = Documents(
        compute_signatures(copies, options, fit), ledger.cast(now.documents.select(ledger.column_names).schema)
    )
    earlier = Documents(index, _in_order_of(index.column("doc_id"), now.documents))
    plan = plan_refresh(earlier, result.edges, np.empty(0, dtype=np.int64), arriving, options, source_rank)

    def is_copy(ids: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.is_in(ids, value_set=copies["doc_id"].combine_chunks())

    pairs = plan.pairs.filter(pc.xor(is_copy(plan.pairs["doc_id"]), is_copy(plan.pairs["other_id"])))

    def texts(ids: list[str]) -> dict[str, str]:
        planted = dict(zip(copies["doc_id"].to_pylist(), copies["text"].to_pylist(), strict=True))
        stored = [doc_id for doc_id in ids if doc_id not in planted]
        return planted | texts_of(now, pa.array(stored, pa.string()))

    return pa.concat_tables([plan.added, verify_pairs(pairs, texts, options, fit)])


def _in_order_of(doc_ids: pa.ChunkedArray, ledger: pa.Table) -> pa.Table:
    if pc.all(pc.equal(doc_ids, ledger["doc_id"]), min_count=0).as_py():
        return ledger
    return ledger.take(pc.index_in(doc_ids, value_set=ledger["doc_id"].combine_chunks()))
