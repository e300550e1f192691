"""tokens: every kept document as a row of token ids, and its place in its stream.

A stream is one corpus's split; its token table holds the rows in the order in which documents came to it, so that a
document's span is a running sum. A refresh encodes what the corpora keep now and did not before, appends it, and leaves
a hole where a document went; nothing else moves. `numbering` in the metrics names the full run (or the repack) that the
places were counted from.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild, StageContext
from headwater.assets.corpus.difference import KeptDifference, kept_difference, take
from headwater.assets.corpus.view import CorpusView, Rows, open_corpus
from headwater.assets.counts import added as counts_added
from headwater.assets.document_ids import rows_by_id
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.schemas import SPANS
from headwater.assets.sharding.declaration import TokensOptions
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import Counts, TableRecord
from headwater.assets.storage.tables import Positions, read_table, take_positions, take_rows
from headwater.assets.tokenization.description import count_streams, describe_tokens
from headwater.assets.tokenization.encoding import encode_batch, tokens_schema
from headwater.assets.tokenization.numbering import HOLES, holes_left, next_start, rows_in_stream, stream_ends
from headwater.assets.tokenization.spans import assign_spans

ENDS = "stream_ends"  # in the metrics: the token after the last one that ever stood in each stream
SPLITS = ("train", "held_out")
_SPAN_COLUMNS = ["doc_id", "count", "bytes", "source"]
_LEFT = ["stream", "start", "length", "bytes", "doc_id"]  # of the spans that documents leave


@dataclass(frozen=True)
class ChunkTask:
    """What one chunk of a corpus keeps."""

    corpus: str
    view: CorpusView
    rows: Rows
    tokenizer: FittedTokenizer

    def documents(self) -> pa.Table:
        """Columns doc_id, text, source and split."""
        return self.view.kept(self.rows)


@dataclass(frozen=True)
class ChosenTask:
    """Documents that a corpus keeps now and did not before: nothing but their own rows is read."""

    corpus: str
    view: CorpusView
    said: pa.Table  # doc_id, source and split, as the ledger has them
    rows: Positions  # of the table of texts
    tokenizer: FittedTokenizer

    def documents(self) -> pa.Table:
        """The same columns."""
        return self.said.append_column("text", take(self.view.documents, self.rows, ["text"])["text"])


EncodeTask = ChunkTask | ChosenTask


def stream_name(corpus: str, split: str) -> str:
    """The name of a corpus's stream: also of its token table and of its shards. Assets go by their component's name."""
    return f"{corpus.partition('/')[0]}-{split}"


def materialize_tokens(context: StageContext) -> Outcome:
    """Encodes the kept documents of every corpus, or goes on from an earlier output with what changed."""
    tokenizer = open_tokenizer(context, context.inputs["tokenizer"])
    if context.base is not None:
        return _refresh(context, tokenizer)
    options: TokensOptions = context.stage.options  # type: ignore[assignment]
    tasks: list[ChunkTask] = []
    covers: list[Any] = []
    sizes: list[float] = []
    for corpus in options.corpora:
        view, rows = open_corpus(context, context.inputs[f"corpus:{corpus}"])
        tasks += [ChunkTask(corpus, view, chunk, tokenizer) for chunk in rows]
        covers += [[corpus, *chunk] for chunk in rows]
        sizes += [float(chunk.documents) for chunk in rows]
    schemas = dict.fromkeys(_streams(options), _table_schema(tokenizer.vocabulary_size))
    tables, _ = context.run_partitions("encode", _encode, tasks, schemas, covers, sizes, unit="documents")
    return _numbered_anew(context, tables, tokenizer)


def _numbered_anew(
    context: StageContext,
    tables: dict[str, TableRecord],
    tokenizer: FittedTokenizer,
    added: Counts | None = None,
    removed: Counts | None = None,
) -> Outcome:
    """The outcome with all documents close together and no holes."""
    spans = _concatenated([_spans(context, name, tables[name]) for name in tables])
    written = {"spans": context.write_table("spans", spans), **tables}
    numbering = digest_of({name: table.content for name, table in written.items()})
    if context.base is not None and context.base.tables["spans"].content == written["spans"].content:
        numbering = context.base.metrics["numbering"]  # every document stands where it stood
    written["holes"] = context.write_table("holes", HOLES.empty_table())
    outcome = Outcome(tables=written, counts=count_streams(spans))
    describe_tokens(context, outcome, outcome.counts if added is None else added, removed or {}, tokenizer)
    outcome.metrics |= {"numbering": numbering, "hole_tokens": 0, ENDS: stream_ends(spans)}
    return outcome


def _refresh(context: StageContext, tokenizer: FittedTokenizer) -> Outcome:
    """Deletes the rows of documents that are no longer kept and appends those of documents that now are."""
    assert context.base is not None
    options: TokensOptions = context.stage.options  # type: ignore[assignment]
    found = {name: _difference(context, name) for name in options.corpora}
    stored = context.table_url(context.base, "spans")
    spans = read_table(*stored, columns=["stream", "doc_id"])
    gone = _gone(spans, found)
    left = take_positions(*stored, np.flatnonzero(gone), _LEFT)
    removed = count_streams(left)
    tasks, covers = _chosen_tasks(context, found, tokenizer)
    streams = _streams(options)
    keeping = {name: rows_in_stream(name, spans, gone) for name in streams}
    tables, _ = context.run_partitions(
        "encode",
        _encode,
        tasks,
        dict.fromkeys(streams, _table_schema(tokenizer.vocabulary_size)),
        covers,
        [float(len(task.rows)) for task in tasks],
        unit="documents",
        keeping=keeping,
    )
    ends = _ends(context)
    appended = _appended(context, tables, keeping, ends)
    added = count_streams(appended)
    if context.base.metrics["repack"] != options.repack:
        return _numbered_anew(context, tables, tokenizer, added, removed)
    holes, nothing = holes_left(left, context.identity), np.empty(0, dtype=np.int64)
    outcome = Outcome(
        tables={
            "spans": context.update_table("spans", np.flatnonzero(gone), appended),
            **tables,
            "holes": context.update_table("holes", nothing, holes),
        }
    )
    before = context.base.counts or count_streams(read_table(*stored, columns=_LEFT))
    outcome.counts = counts_added(counts_added(before, added), removed, -1)
    describe_tokens(context, outcome, added, removed, tokenizer)
    outcome.metrics |= {
        "numbering": context.base.metrics["numbering"],
        "hole_tokens": context.base.metrics["hole_tokens"] + sum(of["tokens"] for of in removed.values()),
        ENDS: ends | stream_ends(appended),
    }
    return outcome


def _appended(
    context: StageContext,
    tables: Mapping[str, TableRecord],
    keeping: Mapping[str, Positions],
    ends: Mapping[str, int],
) -> pa.Table:
    """Spans of the rows that each stream gained, from the next sample behind all that ever stood in it."""
    assert context.base is not None
    options: TokensOptions = context.stage.options  # type: ignore[assignment]
    parts = []
    for name, gone in keeping.items():
        start = next_start(ends.get(name, 0), options.sequence_length)
        stayed = context.base.tables[name].rows - len(gone)
        parts.append(_spans(context, name, tables[name], start, stayed))
    return _concatenated(parts)


def _ends(context: StageContext) -> dict[str, int]:
    """The token after the last one that ever stood in each stream."""
    assert context.base is not None
    if ENDS in context.base.metrics:
        return dict(context.base.metrics[ENDS])
    columns = ["stream", "start", "length"]
    read = [read_table(*context.table_url(context.base, name), columns=columns) for name in ("spans", "holes")]
    return stream_ends(pa.concat_tables(read))


def _difference(context: StageContext, corpus: str) -> KeptDifference:
    role = f"corpus:{corpus}"
    return kept_difference(context, context.earlier(role), context.inputs[role])


def _gone(spans: pa.Table, found: Mapping[str, KeptDifference]) -> np.ndarray:
    """Marks the spans of documents that their corpus no longer keeps.

    Raises:
        Rebuild: the spans lack one of them, or nothing is left to go on from.
    """
    gone = np.zeros(spans.num_rows, dtype=bool)
    for corpus, difference in found.items():
        if len(difference.gone):
            own = pa.array([stream_name(corpus, split) for split in SPLITS])
            chosen = None if len(found) == 1 else pc.is_in(spans["stream"], value_set=own).to_numpy()
            rows = rows_by_id(pa.chunked_array([difference.gone]), spans["doc_id"], chosen)
            gone[rows[rows >= 0]] = True
    if int(gone.sum()) != sum(len(difference.gone) for difference in found.values()):
        raise Rebuild("the spans and the corpora disagree about what was kept before")
    if len(gone) and gone.all():
        raise Rebuild("none of its documents is kept any longer")
    return gone


def _chosen_tasks(
    context: StageContext, found: Mapping[str, KeptDifference], tokenizer: FittedTokenizer
) -> tuple[list[ChosenTask], list[Any]]:
    """The newly kept documents in tasks of about one partition's text, and what each covers."""
    tasks, covers = [], []
    for corpus, (_, records, rows) in found.items():
        if len(records) == 0:
            continue
        view, _ = open_corpus(context, context.inputs[f"corpus:{corpus}"])
        said = take(view.ledger, records, ["doc_id", "source", "split", "bytes"])
        sizes, said = said["bytes"].to_numpy(), said.drop_columns("bytes")
        parts = np.cumsum(sizes) // context.stage.compute.partition_bytes(float(sizes.sum()))
        for part in np.unique(parts):
            own = np.flatnonzero(parts == part)
            chosen = said.take(pa.array(own))
            tasks.append(ChosenTask(corpus, view, chosen, rows[own], tokenizer))
            covers.append([corpus, digest_of(chosen["doc_id"].to_pylist())])
    return tasks, covers


def _streams(options: TokensOptions) -> list[str]:
    return [stream_name(corpus, split) for corpus in options.corpora for split in SPLITS]


def _table_schema(vocabulary_size: int) -> pa.Schema:
    extra = [pa.field("count", pa.int64(), nullable=False), pa.field("source", pa.string(), nullable=False)]
    return pa.schema([*tokens_schema(vocabulary_size), *extra])


def _encode(task: EncodeTask) -> Iterator[tuple[str, Any]]:
    documents = task.documents()
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


def _spans(context: StageContext, stream: str, record: TableRecord, start: int = 0, row: int = 0) -> pa.Table:
    """Spans of a token table's rows from `row` on, one after the other from token `start`."""
    rows = take_rows(context.place.table(stream), record.version, row, record.rows - row, _SPAN_COLUMNS)
    return assign_spans(rows, rows["source"], stream, start)


def _concatenated(parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables([SPANS.empty_table(), *parts]).combine_chunks()
