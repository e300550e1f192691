"""The stored passages of a corpus, as decisions need them, and the stored evidence of what they decided.

The table of passages is built on by a refresh like the index is: rows of documents that went are deleted, those of new
ones appended. Decisions that look at passages are all made again in every run, because a passage may tie any document
to any other; they read numbers, not texts.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.deduplication.difference import Reaching
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.order import inverse, precedence
from headwater.assets.deduplication.passages import Passages, passages_of, repeated
from headwater.assets.storage.records import TableRecord
from headwater.assets.storage.tables import read_table


def repeats_of(context: StageContext, tables: dict[str, TableRecord], now: Reaching) -> Passages | None:
    """Passages of the documents that reach this stage, in the order of their ledger; None where none are looked at."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    if options.passages is None:
        return None
    stored = read_table(context.place.table("passages"), tables["passages"].version)
    rows = pc.index_in(now.documents["doc_id"].combine_chunks(), value_set=stored["doc_id"].combine_chunks())
    if not np.array_equal(rows.to_numpy(zero_copy_only=False), np.arange(len(stored))):
        stored = stored.take(rows)
    return passages_of(stored, options.passages)


def write_repeated(
    context: StageContext, now: Reaching, decided: pa.Table, repeats: Passages, rank: dict[str, int]
) -> TableRecord:
    """The table `repeated`: which passages dropped documents repeat, of which kept ones."""
    return context.write_table("repeated", repeated_passages(now.documents, decided, repeats, rank))


def repeated_passages(ledger: pa.Table, decided: pa.Table, repeats: Passages, rank: dict[str, int]) -> pa.Table:
    """REPEATED of decisions on the documents of a ledger (doc_id, split, source, date), all in its order."""
    places = inverse(precedence(ledger, rank))
    held = pc.equal(ledger["split"], "held_out").to_numpy().astype(np.int64)
    return repeated(ledger, decided, repeats, places, held)
