"""The columns that stages agree on, in one place.

Payload tables hold text; ledger tables hold ids and numbers, one row for every document at every stage, kept or
dropped, with the rule, the value and the threshold that decided.
"""

import pyarrow as pa

DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("text", pa.large_string(), metadata={"lance-encoding:compression": "zstd"}),
    ]
)

# What documents of another modality have beside their text (a caption or description, which may be empty): arrays by
# name, as safetensors bytes. Their content_id identifies text and arrays together, also where only the text is stored.
_ALL_CONTENT = {"identifies": "text and arrays"}
MEDIA_TEXTS = DOCUMENTS.set(1, DOCUMENTS.field("content_id").with_metadata(_ALL_CONTENT))
MEDIA_DOCUMENTS = MEDIA_TEXTS.append(
    pa.field("arrays", pa.large_binary(), nullable=False, metadata={"lance-encoding:compression": "zstd"})
)

DECISIONS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("rule", pa.string()),  # null when kept
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)

# One row per record that a source delivered: what it is and where it came from. `uri` is relative to the source's own
# root and ends in #line=N, #offset=N or #key=K where a file holds many records.
ORIGIN = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),  # the unit of held-out splitting: package, site, file
        pa.field("split", pa.string(), nullable=False),  # train | held_out
        pa.field("modality", pa.string(), nullable=False),  # text | image | audio | video | table | graph
        pa.field("format", pa.string(), nullable=False),  # code | prose | data
        pa.field("url", pa.string()),
        pa.field("license", pa.string()),
        pa.field("date", pa.string()),  # ISO 8601; null sorts last
        pa.field("bytes", pa.int64(), nullable=False),  # of the text in UTF-8 and of the arrays, 0 when unreadable
        pa.field("meta", pa.string()),
    ]
)

RAW_LEDGER = pa.schema([*ORIGIN, *[DECISIONS.field(i) for i in range(1, len(DECISIONS))]])

# Evidence of one verified duplicate: `doc_id` resembles the earlier `other_id`.
EDGES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("other_id", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # exact | near
        pa.field("similarity", pa.float64(), nullable=False),  # share of both texts that is shared, measured on them
        pa.field("containment", pa.float64(), nullable=False),  # the same of the text of which more is shared
        pa.field("shared", pa.int64(), nullable=False),  # number of shared words or shingles
        pa.field("foreign", pa.float64()),  # largest share of either text in one block without counterpart
        pa.field("moved", pa.float64()),  # share of the shared words that stand in another order
        pa.field("boilerplate", pa.float64()),  # share of the words in phrases that are common in the corpus
    ]
)

# A document's place in a token stream, which includes its leading end-of-text token.
SPANS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),  # "<corpus>-<split>"
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
    ]
)

# By table name: the columns by which lineage finds single rows. Large tables get sorted indexes on them.
LOOKED_UP = {
    "ledger": ("doc_id", "uri", "content_id"),
    "documents": ("content_id",),
    "signals": ("doc_id",),
    "decisions": ("doc_id",),
    "annotations": ("doc_id",),
    "edges": ("doc_id", "other_id"),
    "spans": ("doc_id", "start"),
}
