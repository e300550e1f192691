"""How shards follow their tokens: kept as they are, written anew with a hole, or added behind the others.

Documents never move within a stream, so a shard that was written stays right for ever; at most a document in it was
withdrawn. New documents lie behind everything that the earlier shards number, from a sample of their own on.
"""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild
from headwater.assets.sharding.holes import touching
from headwater.assets.sharding.packing import Span
from headwater.assets.sharding.shards import ShardEntry, StreamIndex
from headwater.assets.storage.tables import Positions


@dataclass(frozen=True)
class StreamSpans:
    """Where documents of one stream stand, ascending: those from a row of the stream's token table on.

    `doc_ids` is None where nobody asks which documents they are.
    """

    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    doc_ids: pa.ChunkedArray | None = None
    first_row: int = 0

    @property
    def stops(self) -> npt.NDArray[np.int64]:
        """The token after each document."""
        return self.starts + self.lengths

    @property
    def end(self) -> int:
        """The token after the last document."""
        return int(self.stops[-1]) if len(self.starts) else 0

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return int(self.lengths.sum())

    def gaps(self, start: int, stop: int) -> tuple[Span, ...]:
        """The parts of [start, stop) that belong to no document."""
        first = int(np.searchsorted(self.stops, start, side="right"))
        last = max(int(np.searchsorted(self.starts, stop, side="left")), first)
        begins = np.concatenate([[start], np.maximum(self.stops[first:last], start)])
        ends = np.concatenate([np.minimum(self.starts[first:last], stop), [stop]])
        open_ = begins < ends
        return tuple((int(begin), int(end - begin)) for begin, end in zip(begins[open_], ends[open_], strict=True))


def spans_by_stream(spans: pa.Table) -> dict[str, StreamSpans]:
    """The columns stream, start, length and, where it is there, doc_id: by stream in the order of first mention."""
    found = {}
    for stream in pc.unique(spans["stream"]).to_pylist():
        own = spans.filter(pc.equal(spans["stream"], stream))
        doc_ids = own["doc_id"] if "doc_id" in spans.column_names else None
        found[stream] = StreamSpans(own["start"].to_numpy(), own["length"].to_numpy(), doc_ids)
    return found


_AMONG_NUMBERED = "new documents stand among samples that were numbered before"
_NOWHERE = StreamSpans(np.empty(0, np.int64), np.empty(0, np.int64))


def withdrawn_spans(before: StreamSpans, after: StreamSpans, numbered: int) -> npt.NDArray[np.int64]:
    """Places that documents have left since (n, 2: first token and number); all others must stand where they stood.

    Args:
        before: the stream as the earlier shards hold it; without ids, one must know that no place changed its document.
        after: the stream now.
        numbered: tokens that the samples of the earlier shards have room for.

    Raises:
        Rebuild: a document moved, or a new one stands among the numbered samples.
    """
    place = np.minimum(np.searchsorted(after.starts, before.starts), max(len(after.starts) - 1, 0))
    stays = np.zeros(len(before.starts), dtype=bool)
    if len(after.starts):
        stays = after.starts[place] == before.starts
    kept = place[stays]
    if not _same_ids(before, after, stays, kept) or not np.array_equal(before.lengths[stays], after.lengths[kept]):
        raise Rebuild("documents stand in other places of their stream than before")
    added = np.delete(after.starts, kept)
    if len(added) and int(added.min()) < numbered:
        raise Rebuild(_AMONG_NUMBERED)
    return np.stack([before.starts[~stays], before.lengths[~stays]], axis=1)


def _same_ids(before: StreamSpans, after: StreamSpans, stays: npt.NDArray[np.bool_], kept: Positions) -> bool:
    if before.doc_ids is None or after.doc_ids is None:
        return True
    same = pc.equal(before.doc_ids.filter(pa.array(stays)), after.doc_ids.take(pa.array(kept)))
    return bool(pc.all(same, min_count=0).as_py())


@dataclass(frozen=True)
class Carried:
    """What becomes of the shards of an earlier index: `kept` stay, each of `punched` loses the spans beside it."""

    kept: tuple[ShardEntry, ...] = ()
    punched: tuple[tuple[ShardEntry, tuple[Span, ...]], ...] = ()

    def numbered(self, stream: str) -> tuple[int, int]:
        """(samples, shards) of a stream that have a number already."""
        own = [entry for entry in (*self.kept, *(entry for entry, _ in self.punched)) if entry.stream == stream]
        return sum(entry.samples for entry in own), max((entry.number + 1 for entry in own), default=0)


def withdrawn_by_stream(
    index: StreamIndex, before: Mapping[str, StreamSpans], after: Mapping[str, StreamSpans]
) -> dict[str, npt.NDArray[np.int64]]:
    """Places that documents have left since, by stream.

    Raises:
        Rebuild: the present spans did not grow from those before.
    """
    samples = index.streams()
    return {
        stream: withdrawn_spans(
            before.get(stream, _NOWHERE), after.get(stream, _NOWHERE), samples.get(stream, 0) * index.sequence_length
        )
        for stream in before.keys() | after.keys()
    }


def known_withdrawn(
    index: StreamIndex, gone: Mapping[str, StreamSpans], come: Mapping[str, StreamSpans]
) -> dict[str, npt.NDArray[np.int64]]:
    """The same where one knows which spans went and which came, and that all others stand where they stood."""
    samples = index.streams()
    for stream, spans in come.items():
        if len(spans.starts) and int(spans.starts.min()) < samples.get(stream, 0) * index.sequence_length:
            raise Rebuild(_AMONG_NUMBERED)
    return {stream: np.stack([spans.starts, spans.lengths], axis=1) for stream, spans in gone.items()}


def carry(index: StreamIndex, gone: Mapping[str, npt.NDArray[np.int64]]) -> Carried:
    """Sorts the shards of an earlier index by what documents have left of their streams since."""
    kept, punched = [], []
    for entry in index.shards:
        spans = touching(entry, gone[entry.stream], index.sequence_length) if entry.stream in gone else ()
        if spans:
            punched.append((entry, spans))
        else:
            kept.append(entry)
    return Carried(tuple(kept), tuple(punched))


def take_over(carried: Carried, source: Path, target: Path) -> None:
    """Puts the shards that stay into another folder without writing them again, where the file system can.

    Raises:
        Rebuild: the file of one that stays or loses spans is gone, or has another size than its index says.
    """
    for entry in (*carried.kept, *(entry for entry, _ in carried.punched)):
        old = source / entry.file
        if not old.is_file() or old.stat().st_size != entry.bytes:
            raise Rebuild(f"{entry.file} of the earlier shards is not what their index says")
    for entry in carried.kept:
        carry_over(source / entry.file, target / entry.file)


def carry_over(old: Path, new: Path) -> None:
    """Puts a file into another place without writing it again, where the file system can."""
    if new.exists():  # an interrupted run put it there, whole
        return
    try:
        os.link(old, new)
    except OSError:  # another file system, or one without links
        part = new.with_name(f".{new.name}.{os.getpid()}.part")
        shutil.copyfile(old, part)
        part.replace(new)


def fill_gaps(
    chunks: Iterable[np.ndarray], start: int, gaps: Sequence[Span], pad: int, kind: np.dtype
) -> Iterator[np.ndarray]:
    """Tokens of a stream from `start` on with pad tokens in its gaps; `chunks` are its documents' tokens in any cut."""
    place, left = start, list(gaps)
    for chunk in chunks:
        while left and left[0][0] < place + len(chunk):
            head = left[0][0] - place
            yield chunk[:head]
            yield np.full(left[0][1], pad, kind)
            chunk, place = chunk[head:], place + head + left.pop(0)[1]
        yield chunk
        place += len(chunk)
    for _, length in left:
        yield np.full(length, pad, kind)
