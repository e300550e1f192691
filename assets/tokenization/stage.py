"""tokens: every kept document as a row of token ids, and its place in its stream.

A stream is one corpus's split; its token table holds the rows in the order of the corpus, so that a document's span is
a running sum, and additions at the end move nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.view import CorpusView, Rows, open_corpus
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.markdown import markdown_table
from headwater.assets.sharding.declaration import TokensOptions
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord, TableRecord
from headwater.assets.storage.tables import read_table
from headwater.assets.tokenization.encoding import encode_batch, tokens_schema
from headwater.assets.tokenization.spans import assign_spans

SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class EncodeTask:
    """One chunk of one corpus to encode."""

    corpus: str
    view: CorpusView
    rows: Rows
    tokenizer: FittedTokenizer


def stream_name(corpus: str, split: str) -> str:
    """The name of a corpus's stream: also the name of its token table and of its shards."""
    return f"{corpus}-{split}"


def materialize_tokens(context: StageContext) -> Outcome:
    """Encodes the kept documents of every corpus."""
    options: TokensOptions = context.stage.options  # type: ignore[assignment]
    tokenizer = open_tokenizer(context, context.inputs["tokenizer"])
    tasks, sizes = [], []
    for corpus in options.corpora:
        view, rows = open_corpus(context, context.inputs[f"corpus:{corpus}"])
        tasks += [EncodeTask(corpus, view, chunk, tokenizer) for chunk in rows]
        sizes += [float(chunk.documents) for chunk in rows]
    streams = [stream_name(corpus, split) for corpus in options.corpora for split in SPLITS]
    schema = _table_schema(tokenizer.vocabulary_size)
    covers, schemas = [[task.corpus, *task.rows] for task in tasks], dict.fromkeys(streams, schema)
    tables, _ = context.run_partitions("encode", _encode, tasks, schemas, covers, sizes, unit="documents")
    spans = pa.concat_tables([_spans(context, name, tables[name]) for name in streams])
    outcome = Outcome(tables={"spans": context.write_table("spans", spans), **tables})
    _describe(outcome, spans, tokenizer)
    return outcome


def _table_schema(vocabulary_size: int) -> pa.Schema:
    extra = [pa.field("count", pa.int64(), nullable=False), pa.field("source", pa.string(), nullable=False)]
    return pa.schema([*tokens_schema(vocabulary_size), *extra])


def _encode(task: EncodeTask) -> Iterator[tuple[str, Any]]:
    documents = task.view.kept(task.rows)
    schema = _table_schema(task.tokenizer.vocabulary_size)
    for split in SPLITS:
        chosen = documents.filter(pc.equal(documents["split"], split))
        if chosen.num_rows == 0:
            continue
        encoded = encode_batch(task.tokenizer, chosen.select(["doc_id", "text"]))
        counts = pc.list_value_length(encoded["tokens"]).cast(pa.int64())
        table = pa.table([*encoded.columns, counts, chosen["source"]], schema=schema)
        for batch in table.to_batches():
            yield stream_name(task.corpus, split), batch


def _spans(context: StageContext, stream: str, record: TableRecord) -> pa.Table:
    rows = read_table(context.place.table(stream), record.version, ["doc_id", "count", "bytes", "source"])
    return assign_spans(rows, rows["source"], stream)


def _describe(outcome: Outcome, spans: pa.Table, tokenizer: FittedTokenizer) -> None:
    sums = spans.group_by("stream").aggregate([("length", "sum"), ("bytes", "sum"), ("doc_id", "count")])
    columns = ("stream", "doc_id_count", "length_sum", "bytes_sum")
    rows = list(zip(*(sums.sort_by("stream")[c].to_pylist() for c in columns), strict=True))
    outcome.markdown["streams"] = markdown_table(
        ["stream", "documents", "tokens", "MB", "bytes per token"],
        [[s, f"{n:,}", f"{t:,}", f"{b / 1e6:.2f}", f"{b / max(t - n, 1):.3f}"] for s, n, t, b in rows],
    )
    tokens = sum(row[2] for row in rows)
    text_tokens = tokens - sum(row[1] for row in rows)
    train = sum(row[2] for row in rows if row[0].endswith("-train"))
    outcome.metrics = {
        "documents": spans.num_rows,
        "tokens": tokens,
        "training_tokens": train,
        "held_out_tokens": tokens - train,
        "bytes_per_token": round(sum(row[3] for row in rows) / max(text_tokens, 1), 4),
        "vocabulary_size": tokenizer.vocabulary_size,
    }
    outcome.checks = [
        CheckRecord(
            name="has_training_tokens", passed=train > 0, blocking=True, description=f"{train:,} tokens to train on."
        )
    ]
