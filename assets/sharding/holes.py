"""Takes withdrawn spans out of shards that exist: their tokens become pad tokens and leave the loss.

Nothing moves, so every sample keeps its number and every other shard its bytes. Only the shards that hold a token of a
withdrawn span are written anew, from themselves: the token tables may have lost the documents already.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from headwater.assets.sharding.packing import ShardPlan, Span, pack_blocks
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.shards import ShardEntry, write_shard


def touching(entry: ShardEntry, spans: npt.NDArray[np.int64], sequence_length: int) -> tuple[Span, ...]:
    """Those of its stream's `spans` (n, 2: first token and number, ascending and apart) that a shard has a token of."""
    start = entry.first_sample * sequence_length
    first = np.searchsorted(spans.sum(axis=1), start, side="right")
    last = np.searchsorted(spans[:, 0], start + entry.valid, side="left")
    return tuple((int(begin), int(length)) for begin, length in spans[first:last] if length)


def punch_holes(reader: ShardReader, entry: ShardEntry, spans: Sequence[Span], target: str) -> ShardEntry:
    """Write a shard of `reader` into the folder `target`, without the tokens of `spans` (of its stream).

    Holes that it has already stay. Returns the entry for the new index; the same spans give the same bytes again.
    """
    index = reader.index
    first = entry.first_sample * index.sequence_length
    plan = ShardPlan(entry.number, first, first + entry.valid, entry.first_sample, entry.samples)
    holes = [*(span for block in entry.blocks for span in block.masked), *spans]
    blocks = pack_blocks(
        _block_tokens(reader, entry), plan, index.sequence_length, index.block_samples, index.pad, holes
    )
    return write_shard(target, entry.stream, entry.number, blocks)


def _block_tokens(reader: ShardReader, entry: ShardEntry) -> Iterator[np.ndarray]:
    for block in entry.blocks:
        ids = np.arange(block.first_sample, block.first_sample + block.samples)
        yield reader.samples(entry.stream, ids).ravel()[: block.valid]
