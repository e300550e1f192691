"""From a training step back to the documents whose tokens it read.

The sampler says which samples a step draws; the spans that lie over a sample are found by their place in the stream. A
sorted index on `start` answers in milliseconds; a document that began before the sample is found by looking back
further and further, as spans do not overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headwater.assets.lineage.corpora import corpora_of, corpus_stages
from headwater.assets.lineage.history import LineageError, as_of, version_name
from headwater.assets.lineage.segments import TrainedSegment, sampler_of, trained_segments
from headwater.assets.schemas import SPANS
from headwater.assets.storage.indexes import choose_rows, equals, find_rows, rows_where
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.tokenization.spans import documents_of_sample

_RANGES = 256  # ranges in one query
_ROWS_PER_RANGE = 10_000  # a range asked of an index costs about as much as reading the places of so many spans
_IDS = 2048  # ids in one query


@dataclass(frozen=True)
class Part:
    """The tokens [first, stop) of a document, counted within it, that a sample holds; `uri` where it is known."""

    doc_id: str
    source: str
    uri: str | None
    first: int
    stop: int


@dataclass(frozen=True)
class SampleTrace:
    """One example of a step: its place in the global batch, its sample, and the documents in it."""

    place: int
    stream: str
    sample: int
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class StepTrace:
    """What a step of a checkpoint read."""

    checkpoint: str
    step: int
    shards: str
    batch_size: int
    samples: tuple[SampleTrace, ...]

    @property
    def doc_ids(self) -> list[str]:
        """Ids of all documents, each once, in the order of the batch."""
        return list(dict.fromkeys(part.doc_id for sample in self.samples for part in sample.parts))


def trace_step(store: Store, checkpoint: Record, step: int, addresses: bool = True) -> StepTrace:
    """The documents that a step read, over all ranks; their addresses are looked up in the ledgers where asked for.

    Raises:
        LineageError: the training did not make that step, or what it read is no longer known.
    """
    with as_of(checkpoint):
        return _trace_step(store, checkpoint, step, addresses)


def _trace_step(store: Store, checkpoint: Record, step: int, addresses: bool) -> StepTrace:
    trained = segment_of_step(store, checkpoint, step)
    sampler = sampler_of(checkpoint)
    numbers, samples = sampler.samples_at(step)
    spans = {
        name: spans_over(store, trained, name, samples[numbers == number])
        for number, name in enumerate(sampler.streams)
        if np.any(numbers == number)
    }
    uris = _addresses(store, trained.tokens, spans) if addresses else {}
    found = []
    for place, (number, sample) in enumerate(zip(numbers.tolist(), samples.tolist(), strict=True)):
        name = sampler.streams[number]
        parts = tuple(_parts(spans[name], sample, trained.sequence_length, uris))
        found.append(SampleTrace(place, name, sample, parts))
    names = version_name(store, checkpoint), version_name(store, trained.shards)
    return StepTrace(names[0], step, names[1], len(found), tuple(found))


def segment_of_step(store: Store, checkpoint: Record, step: int) -> TrainedSegment:
    """The segment that made a step.

    Raises:
        LineageError: there is no such step.
    """
    segments = trained_segments(store, checkpoint)
    for trained in segments:
        if trained.first_step <= step < trained.stop_step:
            return trained
    raise LineageError(f"{checkpoint.asset} made the steps 0 to {segments[-1].stop_step - 1:,}, not {step:,}.")


def spans_over(store: Store, trained: TrainedSegment, stream: str, samples: np.ndarray) -> pa.Table:
    """Rows of SPANS with a token in any of the samples of a stream (and some beside them), ordered by `start`."""
    table = trained.tokens.tables["spans"]
    url, wanted = store.place(trained.tokens.asset).table("spans"), np.unique(samples)
    if table.rows < _ROWS_PER_RANGE * len(wanted):
        return _ordered(_by_reading(url, table.version, stream, wanted, trained.sequence_length))
    return _ordered(_by_index(url, table.version, stream, wanted, trained.sequence_length))


def _by_reading(url: str, version: int, stream: str, samples: np.ndarray, length: int) -> pa.Table:
    """Where many samples of few documents are asked for: the places of all spans are read and compared at once."""
    until = np.concatenate([[0], np.cumsum(np.bincount(samples) > 0)])  # wanted samples before each sample

    def lies_over(rows: pa.Table) -> pa.Array:
        first = np.minimum(rows["start"].to_numpy() // length, len(until) - 1)
        stop = (rows["start"].to_numpy() + rows["length"].to_numpy() - 1) // length + 1
        return pa.array(until[np.minimum(stop, len(until) - 1)] > until[first])

    return choose_rows(url, version, ["start", "length"], lies_over, SPANS.names, equals("stream", [stream]))


def _by_index(url: str, version: int, stream: str, samples: np.ndarray, length: int) -> pa.Table:
    wanted, reach = samples * length, 2 * length
    found = SPANS.empty_table()
    while len(wanted):
        ranges = [(max(int(first) - reach, 0), int(first) + length) for first in wanted]
        found = pa.concat_tables([found, *_within(url, version, stream, ranges)])
        starts = np.sort(found["start"].to_numpy())
        # A sample is settled once a span that begins at or before it is known: the last one reaches into it or not.
        before = np.searchsorted(starts, wanted, side="right")
        known = (before > 0) & (starts[np.maximum(before - 1, 0)] >= wanted - reach) if len(starts) else before > 0
        wanted, reach = wanted[~known & (wanted > reach)], reach * 16
    return found


def _within(url: str, version: int, stream: str, ranges: Sequence[tuple[int, int]]) -> Iterator[pa.Table]:
    for first in range(0, len(ranges), _RANGES):
        listed = " OR ".join(f"(start >= {a} AND start < {b})" for a, b in ranges[first : first + _RANGES])
        yield rows_where(url, version, f"({listed}) AND {equals('stream', [stream])}", SPANS.names)


def _ordered(spans: pa.Table) -> pa.Table:
    starts = spans["start"].to_numpy()
    _, first = np.unique(starts, return_index=True)
    return spans.take(pa.array(first)).combine_chunks()


def _parts(spans: pa.Table, sample: int, length: int, uris: dict[str, str]) -> Iterator[Part]:
    for row in documents_of_sample(spans, sample, length).to_pylist():
        first = max(sample * length - row["start"], 0)
        stop = min((sample + 1) * length - row["start"], row["length"])
        yield Part(row["doc_id"], row["source"], uris.get(row["doc_id"]), first, stop)


def _addresses(store: Store, tokens: Record, spans: dict[str, pa.Table]) -> dict[str, str]:
    found: dict[str, str] = {}
    for corpus in corpora_of(store, tokens):
        name = corpus.asset.split("/")[0]
        own = [table["doc_id"].to_pylist() for stream, table in spans.items() if stream.rpartition("-")[0] == name]
        ids = [doc_id for listed in own for doc_id in listed]
        if ids:
            found |= uris_of(store, corpus_stages(store, corpus)["raw"], ids)
    return found


def uris_of(store: Store, raw: Record, ids: Sequence[str]) -> dict[str, str]:
    """Addresses of documents by id, as far as a version of `raw` has them."""
    url, version = store.place(raw.asset).table("ledger"), raw.tables["ledger"].version
    found: dict[str, str] = {}
    for first in range(0, len(ids), _IDS):
        rows = find_rows(url, version, "doc_id", ids[first : first + _IDS], ["doc_id", "uri"])
        found |= dict(zip(rows["doc_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))
    return found
