"""How often each document was seen by a checkpoint: all of them at once, by running its order forward.

One pass over the positions of every segment counts how often each sample was drawn, first and last when; prefix sums
turn that into figures of documents, whose spans cut across samples.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.lineage.corpora import corpora_of, corpus_stages
from headwater.assets.lineage.segments import TrainedSegment, distinct_tokens, trained_segments
from headwater.assets.sharding.sampling import SegmentOrder
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table

CONSUMPTION = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # first token in the stream
        pa.field("length", pa.int64(), nullable=False),  # tokens
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("first_step", pa.int64()),  # null when no step saw it
        pa.field("last_step", pa.int64()),
        pa.field("draws", pa.int64(), nullable=False),  # samples drawn that held a part of it
        pa.field("tokens_seen", pa.int64(), nullable=False),
    ]
)
_LEDGER = ["doc_id", "content_id", "uri", "url", "license", "group", "date", "split"]
_CHUNK = 1 << 18
_NEVER = np.iinfo(np.int64).max


@dataclass
class Draws:
    """Of each sample of a stream: how often it was drawn, and at which steps first and last (int64 arrays)."""

    count: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def none(cls, samples: int) -> "Draws":
        """No draw yet."""
        return cls(np.zeros(samples, np.int64), np.full(samples, _NEVER), np.full(samples, -1))

    def add(self, samples: np.ndarray, steps: np.ndarray) -> None:
        """Counts draws; `steps` ascend and are later than those before."""
        self.count += np.bincount(samples, minlength=len(self.count))
        self.last[samples] = steps  # of equal samples the last assignment stays
        new = self.first[samples] == _NEVER
        self.first[samples[new][::-1]] = steps[new][::-1]


def draws_of(trained: TrainedSegment) -> dict[str, Draws]:
    """What the steps of one segment drew, by stream."""
    segment = trained.segment
    order = SegmentOrder(segment)
    stops: dict[str, int] = {}
    for share in segment.streams:  # a stream's new and its replayed samples may be two shares
        stops[share.stream] = max(share.stop, stops.get(share.stream, 0))
    found = {stream: Draws.none(samples) for stream, samples in stops.items()}
    components = {stream: [n for n, name in enumerate(order.names) if name == stream] for stream in stops}
    stop = segment.position(trained.stop_step)
    for first in range(segment.first_position, stop, _CHUNK):
        positions = np.arange(first, min(first + _CHUNK, stop))
        steps = segment.first_step + (positions - segment.first_position) // segment.batch_size
        component, sample = order.samples_at(positions)
        for stream, numbers in components.items():
            here = np.isin(component, numbers)
            found[stream].add(sample[here], steps[here])
    return found


def consumption(store: Store, checkpoint: Record) -> pa.Table:
    """Rows of CONSUMPTION for every document in the streams of a checkpoint, those that no step saw included.

    A document of several segments has one row: its newest span, and figures over all of them.
    """
    segments = trained_segments(store, checkpoint)
    tables = [_of_segment(store, trained) for trained in segments]
    if len(tables) == 1:
        return tables[0]
    grouped = pa.concat_tables(tables).group_by("doc_id", use_threads=False)
    newest = [(name, "last") for name in ("stream", "start", "length", "bytes", "source")]
    figures = [("first_step", "min"), ("last_step", "max"), ("draws", "sum"), ("tokens_seen", "sum")]
    merged = grouped.aggregate([*newest, *figures])
    return pa.table([merged[name] for name in _merged_names()], names=CONSUMPTION.names).cast(CONSUMPTION)


def _merged_names() -> list[str]:
    how = {"first_step": "min", "last_step": "max", "draws": "sum", "tokens_seen": "sum"}
    return ["doc_id", *(f"{name}_{how.get(name, 'last')}" for name in CONSUMPTION.names[1:])]


def _of_segment(store: Store, trained: TrainedSegment) -> pa.Table:
    place, tokens = store.place(trained.tokens.asset), trained.tokens
    spans = read_table(place.table("spans"), tokens.tables["spans"].version)
    draws = draws_of(trained)
    found = []
    for stream in pc.unique(spans["stream"]).to_pylist():
        own = spans.filter(pc.equal(spans["stream"], stream))
        found.append(_of_stream(own, draws.get(stream), trained.sequence_length))
    return pa.concat_tables(found) if found else CONSUMPTION.empty_table()


def _of_stream(spans: pa.Table, draws: Draws | None, size: int) -> pa.Table:
    start, length = spans["start"].to_numpy(), spans["length"].to_numpy()
    if draws is None:  # a stream that the mixture does not draw from: held out
        draws = Draws.none(int((start + length).max() // size) + 1)
    # A document's samples are [low, high); what a later refresh appended lies behind those that the segment knew.
    low = np.minimum(start // size, len(draws.count))
    high = np.minimum((start + length - 1) // size + 1, len(draws.count))
    total = np.concatenate([[0], np.cumsum(draws.count)])
    count = np.append(draws.count, 0)
    last = np.maximum(high - 1, low)
    before = (start - low * size) * count[low]
    after = np.maximum(high * size - start - length, 0) * count[last]
    seen = np.where(high > low, (total[high] - total[low]) * size - before - after, 0)
    first_step = _over(np.minimum, np.append(draws.first, _NEVER), low, high, _NEVER)
    last_step = _over(np.maximum, np.append(draws.last, -1), low, high, -1)
    unseen = last_step < 0
    return pa.table(
        [
            *(spans[name] for name in CONSUMPTION.names[:6]),
            pa.array(first_step, mask=unseen),
            pa.array(last_step, mask=unseen),
            pa.array(total[high] - total[low]),
            pa.array(seen),
        ],
        schema=CONSUMPTION,
    )


def _over(reduce: np.ufunc, values: np.ndarray, low: np.ndarray, high: np.ndarray, empty: int) -> np.ndarray:
    """The reduction of values[low:high] for each pair; `values` ends with one neutral element."""
    if not len(low):
        return np.empty(0, np.int64)
    pairs = np.stack([low, high], axis=1).ravel()
    return np.where(high > low, reduce.reduceat(values, np.minimum(pairs, len(values) - 1))[::2], empty)


def origins(store: Store, checkpoint: Record) -> pa.Table:
    """What the ledgers say of every document in the streams of a checkpoint, the newest version first.

    Columns: corpus, those of the raw ledger that audits ask for, and `language` (null where it was not measured).
    """
    found = []
    for tokens in reversed(distinct_tokens(trained_segments(store, checkpoint))):
        found += [_origins_in(store, corpus) for corpus in corpora_of(store, tokens)]
    return pa.concat_tables(found)


def _origins_in(store: Store, corpus: Record) -> pa.Table:
    stages = corpus_stages(store, corpus)
    raw = stages["raw"]
    ledger = read_table(store.place(raw.asset).table("ledger"), raw.tables["ledger"].version, [*_LEDGER, "kept"])
    ledger = ledger.filter(ledger["kept"]).drop_columns(["kept"])
    name = pa.array([corpus.asset.split("/")[0]]).take(pa.array(np.zeros(ledger.num_rows, np.int64)))
    return ledger.append_column("corpus", name).append_column("language", _languages(store, stages, ledger))


def _languages(store: Store, stages: dict[str, Record], ledger: pa.Table) -> pa.ChunkedArray | pa.Array:
    signals = stages.get("signals")
    if signals is None or "language" not in signals.tables["signals"].columns:
        return pa.nulls(ledger.num_rows, pa.string())
    table = store.place(signals.asset).table("signals")
    rows = read_table(table, signals.tables["signals"].version, ["doc_id", "language"])
    places = pc.index_in(ledger["doc_id"], value_set=rows["doc_id"].combine_chunks())
    return rows["language"].cast(pa.string()).take(places)


def with_origins(documents: pa.Table, known: pa.Table) -> pa.Table:
    """Documents with the columns of `origins` beside their own."""
    places = pc.index_in(documents["doc_id"], value_set=known["doc_id"].combine_chunks())
    for name in known.column_names:
        if name not in documents.column_names:
            documents = documents.append_column(name, known[name].take(places))
    return documents
