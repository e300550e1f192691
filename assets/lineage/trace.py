"""From a document to the training steps that saw it, by arithmetic on the checkpoint's segments; nothing is logged.

document → span in its stream → samples of the shards → positions of the order → steps.
"""

from dataclasses import dataclass

import pyarrow.compute as pc

from headwater.assets.context import StageError
from headwater.assets.sharding.sampling import Sampler, Segment
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table
from headwater.assets.tokenization.spans import samples_of_span


@dataclass(frozen=True)
class DocumentTrace:
    """Where a document's tokens went."""

    doc_id: str
    stream: str
    start: int
    length: int
    samples: range
    steps: tuple[int, ...]


def upstream_record(store: Store, record: Record, role: str) -> Record:
    """The record that another one had consumed in a role, as it was then.

    Raises:
        StageError: the store's history lacks it.
    """
    asset = record.identity.options["_inputs"][role]
    found = store.place(asset).record(record.identity.inputs[role].identity)
    if found is None:
        raise StageError(f"The history of {asset} lacks what {record.asset} was made from.")
    return found


def trace_document(store: Store, checkpoint: Record, doc_id: str) -> DocumentTrace:
    """Every step of a checkpoint that saw a document.

    Raises:
        StageError: the document is in no stream the checkpoint's shards were made from (dropped, or unknown).
    """
    shards = upstream_record(store, checkpoint, "shards")
    tokens = upstream_record(store, shards, "tokens")
    table = store.place(tokens.asset).table("spans")
    spans = read_table(table, tokens.tables["spans"].version, where=f"doc_id = '{_safe(doc_id)}'")
    if spans.num_rows == 0:
        raise StageError(_why_absent(store, tokens, doc_id))
    row = spans.to_pylist()[0]
    samples = samples_of_span(row["start"], row["length"], shards.metrics["sequence_length"])
    sampler = Sampler([Segment.from_record(segment) for segment in checkpoint.metrics["segments"]])
    steps = tuple(sampler.steps_of_samples(row["stream"], samples, checkpoint.metrics["steps"]))
    return DocumentTrace(doc_id, row["stream"], row["start"], row["length"], samples, steps)


def _why_absent(store: Store, tokens: Record, doc_id: str) -> str:
    """Why a document is in no stream: which stage dropped it by which rule, or that nobody knows it."""
    for role in tokens.identity.inputs:
        if role.startswith("corpus:"):
            corpus = upstream_record(store, tokens, role)
            table, version = store.place(corpus.asset).table("decisions"), corpus.tables["decisions"].version
            found = read_table(table, version, where=f"doc_id = '{_safe(doc_id)}'").to_pylist()
            if found:
                row = found[0]
                return f"{doc_id} was dropped by {row['stage']}: {row['rule']} ({row['detail'] or 'no detail'})."
    return f"{doc_id} is in no corpus of {tokens.asset}. `headwater try` and the raw ledger show ids."


def a_seen_document(store: Store, checkpoint: Record) -> DocumentTrace | None:
    """A document of typical length that at least one step saw, to show what lineage gives."""
    shards = upstream_record(store, checkpoint, "shards")
    tokens = upstream_record(store, shards, "tokens")
    spans = read_table(store.place(tokens.asset).table("spans"), tokens.tables["spans"].version)
    train = spans.filter(pc.ends_with(spans["stream"], "-train"))
    length = shards.metrics["sequence_length"]
    near = train.filter(pc.and_(pc.greater(train["length"], length), pc.less(train["length"], 4 * length)))
    for doc_id in (near if near.num_rows else train)["doc_id"].to_pylist()[:200]:
        trace = trace_document(store, checkpoint, doc_id)
        if trace.steps:
            return trace
    return None


def _safe(doc_id: str) -> str:
    if not doc_id.isalnum():
        raise StageError(f"'{doc_id}' is not a document id: those are 32 hexadecimal digits.")
    return doc_id
