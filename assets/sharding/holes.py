"""Takes withdrawn spans out of shards that exist: their tokens become pad tokens and leave the loss.

Nothing moves, so every sample keeps its number and every other shard its bytes. Only the shards that hold a token of a
withdrawn span are written anew, from themselves: the token tables may have lost the documents already.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

import fsspec
import numpy as np
import numpy.typing as npt

from headwater.assets.sharding.copying import copy_with
from headwater.assets.sharding.packing import Block, ShardPlan, Span, clip_spans, merge_spans, pack_blocks
from headwater.assets.sharding.shards import (
    BlockEntry,
    ShardEntry,
    ShardLayout,
    StoredBlock,
    block_members,
    stored_block,
    stored_tokens,
    tokens_of,
    verify_shard,
    write_shard,
)
from headwater.assets.storage.file_hashes import hash_of_parts


def touching(entry: ShardEntry, spans: npt.NDArray[np.int64], sequence_length: int) -> tuple[Span, ...]:
    """Those of its stream's `spans` (n, 2: first token and number, ascending and apart) that a shard has a token of."""
    start = entry.first_sample * sequence_length
    first = np.searchsorted(spans.sum(axis=1), start, side="right")
    last = np.searchsorted(spans[:, 0], start + entry.valid, side="left")
    return tuple((int(begin), int(length)) for begin, length in spans[first:last] if length)


def punch_holes(source: str, layout: ShardLayout, entry: ShardEntry, spans: Sequence[Span], target: str) -> ShardEntry:
    """Write a shard of the folder `source` into the folder `target`, without the tokens of `spans` (of its stream).

    Holes that it has already stay; blocks that no span touches are copied as they lie. Returns the entry for the new
    index; the same spans give the same bytes again. Raises ShardError where the shard is damaged.
    """
    merged = merge_spans(spans)
    written = None
    if "://" not in source and "://" not in target:
        written = _with_blocks_replaced(source, layout, entry, merged, target)
    if written is None:
        verify_shard(source, entry)  # what is written anew gets a new hash, which must not make damage sound
        written = write_shard(target, entry.stream, entry.number, _blocks(source, layout, entry, merged))
    return written


def _with_blocks_replaced(
    source: str, layout: ShardLayout, entry: ShardEntry, spans: Sequence[Span], target: str
) -> ShardEntry | None:
    """The shard with other bytes where a block changes; None where a block takes more room than it did."""
    if not entry.parts:  # of an earlier release: written anew from end to end, which gives it parts
        return None
    blocks, pieces = list(entry.blocks), []
    with open(f"{source}/{entry.file}", "rb", buffering=0) as shard:
        for place, block in enumerate(entry.blocks):
            if own := _within(spans, block, layout):
                stored = stored_block(shard, entry.stream, block, layout)
                punched = _punched(tokens_of(stored, layout), layout, entry.number, block, own)
                content, new = block_members(entry.stream, entry.number, place, punched)
                if len(content) != len(stored.content):
                    return None
                pieces.append((block.offset - stored.first, content))
                blocks[place] = replace(new, offset=block.offset)
    parts = copy_with(f"{source}/{entry.file}", entry.bytes, entry.parts, pieces, f"{target}/{entry.file}")
    return replace(entry, sha256=hash_of_parts(parts), parts=parts, blocks=tuple(blocks))


def _blocks(
    source: str, layout: ShardLayout, entry: ShardEntry, spans: Sequence[Span]
) -> Iterator[Block | StoredBlock]:
    with fsspec.open(f"{source}/{entry.file}", "rb") as shard:
        for block in entry.blocks:
            if own := _within(spans, block, layout):
                yield _punched(stored_tokens(shard, entry.stream, block, layout), layout, entry.number, block, own)
            else:
                yield stored_block(shard, entry.stream, block, layout)


def _within(spans: Sequence[Span], block: BlockEntry, layout: ShardLayout) -> tuple[Span, ...]:
    """Those of the spans (ascending and apart) that lie in a block, cut to what does."""
    start = block.first_sample * layout.sequence_length
    stop = start + block.valid
    first, last = bisect_right(spans, start, key=_first) - 1, bisect_left(spans, stop, key=_first)
    return clip_spans(spans[max(first, 0) : last], start, stop)


def _first(span: Span) -> int:
    return span[0]


def _punched(tokens: np.ndarray, layout: ShardLayout, number: int, block: BlockEntry, spans: Sequence[Span]) -> Block:
    """The block with pad tokens in the spans as well as in the holes that it has."""
    start = block.first_sample * layout.sequence_length
    plan = ShardPlan(number, start, start + block.valid, block.first_sample, block.samples)
    holes = [*block.masked, *spans]
    chunks = [tokens.ravel()[: block.valid]]
    return next(pack_blocks(chunks, plan, layout.sequence_length, layout.block_samples, layout.pad, holes))
