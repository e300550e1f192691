"""Reads samples by number, in any order: from memory-mapped tars, or from a remote store by ranges of whole blocks.

A sample's place is two look-ups: its block by binary search, its row by multiplication. Of a mapped shard it is an
address, so no block is ever parsed or wholly read.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import fsspec
import numpy as np

from headwater.assets.sharding.packing import Span
from headwater.assets.sharding.row_kernels import copy_rows
from headwater.assets.sharding.shards import ShardEntry, ShardError, array_header, read_index

# Blocks kept from a remote store: as many as an order's window holds.
_CACHED_BLOCKS = 128


@dataclass(frozen=True)
class _Stream:
    """A stream's blocks in the order of their samples, as columns."""

    first_sample: np.ndarray  # of each block
    offset: np.ndarray  # byte in its shard at which each block's array begins
    samples: np.ndarray
    shard: np.ndarray  # index into `shards`
    shards: tuple[ShardEntry, ...]
    total: int  # samples
    valid: int  # tokens
    masked: np.ndarray  # (holes, 2): first token and end, ordered
    empty: np.ndarray  # (n, 2): the same of all that is no token of a document


class Located(NamedTuple):
    """Where samples lie in memory: the address of the first token of each, as long as `held` is."""

    addresses: np.ndarray
    held: Sequence[np.ndarray]


class ShardReader:
    """Random access to the samples of a folder of shards, local or by fsspec URL.

    Memory maps are opened when first needed; a pickled reader opens its own. Raises ShardError when the index or a
    shard is missing or has another size than the index says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = str(folder).removeprefix("file://").rstrip("/")
        self.index = read_index(self.folder)
        self.dtype = np.dtype(self.index.dtype).newbyteorder("<")
        self.sequence_length = self.index.sequence_length
        self._row_bytes = self.sequence_length * self.dtype.itemsize
        self._streams = {name: self._lay_out(name) for name in self.index.streams()}
        self._maps: list[np.ndarray] = []
        self._addresses: dict[str, np.ndarray] = {}  # of the maps of a stream's shards, 0 where not opened
        self._blocks: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    @property
    def streams(self) -> dict[str, int]:
        """Number of samples of each stream, by name."""
        return self.index.streams()

    def valid_tokens(self, stream: str) -> int:
        """Tokens of the stream: all but the filling of last samples; withdrawn ones are counted."""
        return self._stream(stream).valid

    def masked_spans(self, stream: str) -> np.ndarray:
        """Withdrawn spans of the stream: int64 (holes, 2), first token and the one after the last, in order."""
        return self._stream(stream).masked

    def empty_spans(self, stream: str) -> np.ndarray:
        """All that is no token of a document: withdrawn spans, and the filling of each last sample before additions.

        int64 (n, 2), first token and the one after the last, in order.
        """
        return self._stream(stream).empty

    def samples(self, stream: str, ids: np.ndarray) -> np.ndarray:
        """Tokens of the samples `ids` (any order, repeats allowed): (n, sequence_length) of the index's dtype."""
        wanted = np.asarray(ids)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise ValueError(f"samples are asked for by whole numbers in a row, not {wanted.dtype} of {wanted.shape}")
        located = self.locate(stream, wanted.astype(np.int64))
        result = np.empty((len(located.addresses), self.sequence_length), dtype=self.dtype)
        copy_rows(located.addresses, result)
        return result

    def locate(self, stream: str, ids: np.ndarray) -> Located:
        """Where the samples `ids` (int64) lie; blocks of a remote store are fetched for that."""
        blocks = self._stream(stream)
        if len(ids) and not (ids.min() >= 0 and ids.max() < blocks.total):
            raise IndexError(
                f"stream {stream} has samples 0 to {blocks.total - 1}, asked for {ids.min()} to {ids.max()}"
            )
        block = blocks.first_sample.searchsorted(ids, side="right") - 1
        start = (ids - blocks.first_sample[block]) * self._row_bytes
        if "://" in self.folder:
            return self._fetched(blocks, block, start)
        return Located(self._mapped(stream, blocks, blocks.shard[block]) + blocks.offset[block] + start, self._maps)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_maps": [], "_addresses": {}, "_blocks": OrderedDict()}

    def _stream(self, name: str) -> _Stream:
        if name not in self._streams:
            raise KeyError(f"{self.folder} has no stream {name!r}, only {sorted(self._streams)}")
        return self._streams[name]

    def _lay_out(self, name: str) -> _Stream:
        shards = tuple(sorted((s for s in self.index.shards if s.stream == name), key=lambda s: s.first_sample))
        blocks = [(i, block) for i, shard in enumerate(shards) for block in shard.blocks]
        samples = np.array([block.samples for _, block in blocks], dtype=np.int64)
        first = np.array([block.first_sample for _, block in blocks], dtype=np.int64)
        if not np.array_equal(first, np.cumsum(samples) - samples):
            raise ShardError(f"{self.folder}: the shards of stream {name} have gaps: materialize the shards again")
        holes = sorted(span for _, block in blocks for span in block.masked)
        length = self.sequence_length
        filling = [(b.first_sample * length + b.valid, b.samples * length - b.valid) for _, b in blocks]
        return _Stream(
            first_sample=first,
            offset=np.array([block.offset for _, block in blocks], dtype=np.int64),
            samples=samples,
            shard=np.array([i for i, _ in blocks], dtype=np.int64),
            shards=shards,
            total=int(samples.sum()),
            valid=sum(block.valid for _, block in blocks),
            masked=_ranges(holes),
            empty=_ranges(sorted([*holes, *(span for span in filling if span[1])])),
        )

    def _mapped(self, stream: str, blocks: _Stream, shard: np.ndarray) -> np.ndarray:
        """The addresses at which shards, by index, are mapped."""
        if stream not in self._addresses:
            self._addresses[stream] = np.zeros(len(blocks.shards), dtype=np.int64)
        known = self._addresses[stream]
        addresses = known[shard]
        if addresses.all():
            return addresses
        for number in sorted(set(shard[addresses == 0].tolist())):
            self._maps.append(map_shard(self.folder, blocks.shards[number]))
            self._compare(blocks.shards[number], self._maps[-1])
            known[number] = self._maps[-1].ctypes.data
        return known[shard]

    def _compare(self, entry: ShardEntry, content: np.ndarray) -> None:
        """Raises ShardError where the first or last array of a shard is of another shape or type than indexed."""
        for block in (entry.blocks[0], entry.blocks[-1]):
            header = array_header((block.samples, self.sequence_length), self.dtype)
            if content[block.offset - len(header) : block.offset].tobytes() != header:
                raise ShardError(
                    f"{self.folder}/{entry.file} does not hold the array of {block.samples} samples of "
                    f"{self.sequence_length} tokens that the index names: materialize the shards again"
                )

    def _fetched(self, blocks: _Stream, block: np.ndarray, start: np.ndarray) -> Located:
        """Rows of blocks that are read whole, by range, and kept for a while."""
        numbers, place = np.unique(block, return_inverse=True)
        held = []
        for number in numbers.tolist():
            entry = blocks.shards[blocks.shard[number]]
            held.append(self._block(entry, int(blocks.offset[number]), int(blocks.samples[number])))
        return Located(np.array([content.ctypes.data for content in held], dtype=np.int64)[place] + start, held)

    def _block(self, entry: ShardEntry, offset: int, samples: int) -> np.ndarray:
        key = (entry.file, offset)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        url = f"{self.folder}/{entry.file}"
        filesystem, path = fsspec.core.url_to_fs(url)
        size = samples * self._row_bytes
        try:
            content = filesystem.cat_file(path, start=offset, end=offset + size)
        except FileNotFoundError as error:
            raise ShardError(f"{url} does not exist, but the index names it: materialize the shards again") from error
        if len(content) != size:
            raise ShardError(f"{url} ends before byte {offset + size}: materialize the shards again")
        self._blocks[key] = np.frombuffer(content, dtype=self.dtype)
        if len(self._blocks) > _CACHED_BLOCKS:
            self._blocks.popitem(last=False)
        return self._blocks[key]


def map_shard(folder: str, entry: ShardEntry) -> np.ndarray:
    """The bytes of a local shard, memory-mapped. Raises ShardError when it is missing or of another size."""
    path = Path(folder, entry.file)
    if not path.exists():
        raise ShardError(f"{path} does not exist, but the index names it: materialize the shards again")
    size = path.stat().st_size
    if size != entry.bytes:
        raise ShardError(
            f"{path} has {size} bytes, the index says {entry.bytes}: remove it and materialize the shards again"
        )
    return np.memmap(path, dtype=np.uint8, mode="r")


def _ranges(spans: Sequence[Span]) -> np.ndarray:
    """Spans as rows of first token and end."""
    return np.array([(start, start + length) for start, length in spans], dtype=np.int64).reshape(-1, 2)
