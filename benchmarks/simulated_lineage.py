"""Records and ledgers of a run that never was: as many documents as asked for, with nothing behind them.

Ids, addresses and lengths are random; there are two corpora in a mixture, a batch ramp, and a retraining as a segment
of its own. Tables are written and indexed by the storage that stages use.
"""

import platform
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.stage import LEDGER as DECISIONS
from headwater.assets.schemas import DOCUMENTS, EDGES, LOOKED_UP, RAW_LEDGER, SPANS
from headwater.assets.sharding.sampling import Segment, StreamShare
from headwater.assets.storage.content import ContentSum
from headwater.assets.storage.indexes import index_keys
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CodeRecord, Execution, Identity, InputRecord, Record, TableRecord
from headwater.assets.storage.tables import commit_parts, open_table, write_part

LENGTH = 2048  # tokens of a sample
BATCH = 512  # samples of a step: a million tokens
MEAN_TOKENS = 1000  # of a document
SHARES = {"large": 0.9, "small": 0.1}  # of the documents, by corpus
SIGNALS = pa.schema([("doc_id", pa.string()), ("words", pa.int64()), ("characters", pa.int64())])
CHUNK = 1_000_000  # rows written at once
_ASSETS = {
    "ledger": "raw",
    "signals": "signals",
    "curated": "curated",
    "deduplicated": "deduplicated",
    "edges": "deduplicated",
}
_SCHEMAS = {"ledger": RAW_LEDGER, "signals": SIGNALS, "curated": DECISIONS, "deduplicated": DECISIONS, "edges": EDGES}


@dataclass
class Simulated:
    """A store that was made: ids of some documents of the corpus `large`, steps trained, seconds spent on indexes."""

    store: Store
    ids: list[str] = field(default_factory=list)
    steps: int = 0
    indexing: float = 0.0

    def commit(self, url: str, table: str, schema: pa.Schema, fragments: list[str]) -> TableRecord:
        """Commits a table and indexes its keys, as a stage does."""
        version = commit_parts(url, schema, fragments)
        started = time.perf_counter()
        version = index_keys(url, version, LOOKED_UP[table])
        self.indexing += time.perf_counter() - started
        return TableRecord.of(
            version,
            ContentSum(open_table(url, version).count_rows(), 1, 1),
            {item.name: str(item.type) for item in schema},
        )

    def publish(self, asset: str, kind: str, inputs: dict[str, str], **changes: Any) -> None:
        """Publishes a record; `inputs` are role → asset."""
        records = {role: self.store.place(name).record() for role, name in inputs.items()}
        consumed = {role: InputRecord(content=r.content_version, identity=r.digest) for role, r in records.items() if r}
        code = CodeRecord(number=1, modules="simulated")
        record = Record(
            asset=asset,
            kind=kind,
            pipeline="simulated",
            identity=Identity(asset=asset, inputs=consumed, options={"_inputs": inputs}, code=code),
            content_version=asset,
            execution=_execution(),
            **changes,
        )
        self.store.place(asset).publish(record)


def _execution() -> Execution:
    return Execution(
        started="2026-01-01T00:00:00+00:00",
        seconds=0,
        engine="local",
        workers=1,
        headwater="simulated",
        python=platform.python_version(),
        processor=platform.machine(),
        threads=1,
    )


def simulate(store: Store, documents: int, ledgers: bool, queries: int) -> Simulated:
    """Fills a store; without `ledgers` there are spans only. `queries` ids are kept to ask for."""
    made, rng = Simulated(store), np.random.default_rng(0)
    spans: list[str] = []
    tokens = {}
    for corpus, share in SHARES.items():
        tokens[corpus], fragments = _corpus(made, corpus, int(documents * share), rng, ledgers, queries)
        spans += fragments
    place = store.place("packed/tokens")
    record = made.commit(place.table("spans"), "spans", SPANS, spans)
    roles = {f"corpus:{corpus}": f"{corpus}/deduplicated" for corpus in SHARES} if ledgers else {}
    made.publish("packed/tokens", "Shards", roles, tables={"spans": record})
    made.publish("packed/shards", "Shards", {"tokens": "packed/tokens"}, metrics={"sequence_length": LENGTH})
    _train(made, tokens)
    return made


def _train(made: Simulated, tokens: dict[str, int]) -> None:
    """A checkpoint of about two epochs: half batches at first, and another order from the middle on."""
    samples = {corpus: -(-count // LENGTH) for corpus, count in tokens.items()}
    made.steps = 2 * sum(samples.values()) // BATCH
    shares = tuple(StreamShare(f"{corpus}-train", count, SHARES[corpus]) for corpus, count in samples.items())
    first = Segment(shares, block_samples=64, window_blocks=16, mixture_block=1024, seed=3, batch_size=BATCH // 2)
    ramp = first.with_batch_size(BATCH, made.steps // 10)
    later = replace(first, batch_size=BATCH, first_step=made.steps // 2, seed=4)
    segments = [segment.to_record() for segment in (first, ramp, later)]
    metrics = {"segments": segments, "steps": made.steps}
    made.publish("model/checkpoint", "Training", {"shards": "packed/shards"}, metrics=metrics)
    made.publish("exam/evaluation", "Evaluation", {"checkpoint": "model/checkpoint"}, metrics={"bits_per_byte": 1.0})


def _corpus(
    made: Simulated, corpus: str, documents: int, rng: np.random.Generator, ledgers: bool, queries: int
) -> tuple[int, list[str]]:
    """Writes a corpus: (its tokens, the fragments of its spans)."""
    tokens, spans = 0, []
    parts: dict[str, list[str]] = {table: [] for table in _ASSETS}
    for first in range(0, documents, CHUNK):
        count = min(CHUNK, documents - first)
        ids, lengths = _ids(rng, count), rng.geometric(1 / MEAN_TOKENS, count)
        if corpus == "large" and first == 0:
            made.ids = ids.take(pa.array(np.linspace(0, count - 1, queries).astype(np.int64))).to_pylist()
        spans += _write(made.store.place("packed/tokens").table("spans"), _span_rows(ids, corpus, tokens, lengths))
        tokens += int(lengths.sum())
        for table, rows in _ledger_rows(ids, corpus, lengths).items() if ledgers else ():
            parts[table] += _write(_url(made.store, corpus, table), rows)
    if ledgers:
        _publish_corpus(made, corpus, parts)
    return tokens, spans


def _publish_corpus(made: Simulated, corpus: str, parts: dict[str, list[str]]) -> None:
    tables: dict[str, dict[str, TableRecord]] = {}
    for table, fragments in parts.items():
        name = _table_name(table)
        record = made.commit(_url(made.store, corpus, table), name, _SCHEMAS[table], fragments)
        tables.setdefault(_ASSETS[table], {})[name] = record
    before: dict[str, str] = {}
    for stage, published in tables.items():
        made.publish(f"{corpus}/{stage}", "Corpus", before, tables=published)
        before = {stage: f"{corpus}/{stage}"}


def _table_name(table: str) -> str:
    return "decisions" if table in ("curated", "deduplicated") else table


def _url(store: Store, corpus: str, table: str) -> str:
    return store.place(f"{corpus}/{_ASSETS[table]}").table(_table_name(table))


def _write(url: str, rows: pa.Table) -> list[str]:
    return write_part(url, rows.schema, rows.to_batches(), ContentSum(rows.num_rows, 1, 1))[0]


def _ids(rng: np.random.Generator, count: int) -> pa.StringArray:
    offsets = np.arange(count + 1, dtype=np.int32) * 32
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(rng.bytes(16 * count).hex().encode()))


def _span_rows(ids: pa.StringArray, corpus: str, start: int, lengths: np.ndarray) -> pa.Table:
    starts = start + np.cumsum(lengths) - lengths
    columns = {"doc_id": ids, "start": starts, "length": lengths, "bytes": lengths * 4}
    return _table(columns | {"stream": f"{corpus}-train", "source": corpus}, SPANS)


def _ledger_rows(ids: pa.StringArray, corpus: str, lengths: np.ndarray) -> dict[str, pa.Table]:
    """Rows of every ledger of a corpus; each tenth document resembles the one before it."""
    said = {"source": corpus, "group": "g", "split": "train", "modality": "text", "format": "prose", "license": "MIT"}
    uris = pc.binary_join_element_wise(pa.repeat(f"{corpus}/", len(ids)), ids, pa.repeat(".txt", len(ids)), "")
    own = {"doc_id": ids, "content_id": pc.utf8_reverse(ids), "uri": uris, "bytes": lengths * 4, "kept": True}
    later = np.arange(1, len(ids), 10)
    edges = {"doc_id": ids.take(pa.array(later)), "other_id": ids.take(pa.array(later - 1)), "kind": "near"}
    decisions = _table(own, DECISIONS)
    return {
        "ledger": _table(own | said, RAW_LEDGER),
        "signals": _table({"doc_id": ids, "words": lengths, "characters": lengths * 4}, SIGNALS),
        "curated": decisions,
        "deduplicated": decisions,
        "edges": _table(edges | {"similarity": 0.8, "containment": 0.9, "shared": 80}, EDGES),
    }


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """A table of arrays and of values that all rows share; what is left out is null."""
    count = len(columns["doc_id"])
    arrays = []
    for item in schema:
        value = columns.get(item.name)
        shared = value is None or isinstance(value, str | bool | int | float)
        array = pa.repeat(pa.scalar(value, item.type), count) if shared else value
        arrays.append(array if isinstance(array, pa.Array | pa.ChunkedArray) else pa.array(array))
    return pa.table(arrays, schema=schema)


def add_texts(store: Store, texts: list[str]) -> None:
    """Adds a corpus `texts` up to its signals, one document for each text."""
    made = Simulated(store)
    ids = _ids(np.random.default_rng(2), len(texts))
    lengths = np.array([len(text.encode()) for text in texts])
    ledger = _ledger_rows(ids, "texts", lengths)["ledger"]
    documents = _table(
        {"doc_id": ids, "content_id": pc.utf8_reverse(ids), "text": pa.array(texts, pa.large_string())}, DOCUMENTS
    )
    before: dict[str, str] = {}
    for stage, name, rows in (("raw", "ledger", ledger), ("signals", "documents", documents)):
        url = store.place(f"texts/{stage}").table(name)
        record = made.commit(url, name, rows.schema, _write(url, rows))
        made.publish(f"texts/{stage}", "Corpus", before, tables={name: record})
        before = {stage: f"texts/{stage}"}
