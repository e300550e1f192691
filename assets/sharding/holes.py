"""Takes withdrawn spans out of shards that exist: their tokens become pad tokens and leave the loss.

Nothing moves, so every sample keeps its number and every other shard its bytes. Only the shards that hold a token of a
withdrawn span are written anew, from themselves: the token tables may have lost the documents already.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

import fsspec
import numpy as np
import numpy.typing as npt

from headwater.assets.sharding.packing import Block, ShardPlan, Span, clip_spans, merge_spans, pack_blocks
from headwater.assets.sharding.shards import (
    BlockEntry,
    ShardEntry,
    ShardLayout,
    StoredBlock,
    stored_block,
    stored_tokens,
    write_shard,
)


def touching(entry: ShardEntry, spans: npt.NDArray[np.int64], sequence_length: int) -> tuple[Span, ...]:
    """Those of its stream's `spans` (n, 2: first token and number, ascending and apart) that a shard has a token of."""
    start = entry.first_sample * sequence_length
    first = np.searchsorted(spans.sum(axis=1), start, side="right")
    last = np.searchsorted(spans[:, 0], start + entry.valid, side="left")
    return tuple((int(begin), int(length)) for begin, length in spans[first:last] if length)


def punch_holes(source: str, layout: ShardLayout, entry: ShardEntry, spans: Sequence[Span], target: str) -> ShardEntry:
    """Write a shard of the folder `source` into the folder `target`, without the tokens of `spans` (of its stream).

    Holes that it has already stay; blocks that no span touches are copied as they lie. Returns the entry for the new
    index; the same spans give the same bytes again. Raises ShardError where a block is not where its entry says.
    """
    return write_shard(target, entry.stream, entry.number, _blocks(source, layout, entry, merge_spans(spans)))


def _blocks(
    source: str, layout: ShardLayout, entry: ShardEntry, spans: Sequence[Span]
) -> Iterator[Block | StoredBlock]:
    length = layout.sequence_length
    firsts = [first for first, _ in spans]
    with fsspec.open(f"{source}/{entry.file}", "rb") as shard:
        for block in entry.blocks:
            start, stop = block.first_sample * length, block.first_sample * length + block.valid
            near = spans[max(bisect_right(firsts, start) - 1, 0) : bisect_left(firsts, stop)]
            if own := clip_spans(near, start, stop):
                yield _punched(stored_tokens(shard, entry.stream, block, layout), layout, entry.number, block, own)
            else:
                yield stored_block(shard, entry.stream, block, layout)


def _punched(tokens: np.ndarray, layout: ShardLayout, number: int, block: BlockEntry, spans: Sequence[Span]) -> Block:
    """The block with pad tokens in the spans as well as in the holes that it has."""
    start = block.first_sample * layout.sequence_length
    plan = ShardPlan(number, start, start + block.valid, block.first_sample, block.samples)
    holes = [*block.masked, *spans]
    chunks = [tokens.ravel()[: block.valid]]
    return next(pack_blocks(chunks, plan, layout.sequence_length, layout.block_samples, layout.pad, holes))
