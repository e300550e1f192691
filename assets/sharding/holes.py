"""Takes withdrawn spans out of shards that exist: their tokens become pad tokens and leave the loss.

Nothing moves, so every sample keeps its number and every other shard its bytes. Only the shards that hold a token of a
withdrawn span are written anew, from themselves: the token tables may have lost the documents already.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from headwater.assets.sharding.packing import ShardPlan, Span, pack_blocks
from headwater.assets.sharding.reader import ShardReader
from headwater.assets.sharding.shards import ShardEntry, write_shard


def touched_by(entry: ShardEntry, spans: Sequence[Span], sequence_length: int) -> bool:
    """Whether a shard holds a token of one of its stream's `spans`."""
    start = entry.first_sample * sequence_length
    stop = start + entry.valid
    return any(length > 0 and first < stop and first + length > start for first, length in spans)


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
