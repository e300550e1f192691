"""Cuts a stream of tokens into samples of equal length, without losing or moving a token.

Sample `i` of a stream is its tokens `i * length` to `(i + 1) * length`: a number that never changes, as streams only
grow at their end. The last sample is filled with the pad token where the stream ends, and the number of valid tokens is
stored; when the stream grows, it goes on with a new sample. A withdrawn span stays in place as a hole of pad tokens.
Documents are told apart by the end-of-text token before each.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]  # first token and number of tokens, in the stream


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a stream: its number, its tokens [token_start, token_stop) and its samples."""

    number: int
    token_start: int
    token_stop: int
    first_sample: int
    samples: int


@dataclass(frozen=True)
class Block:
    """Adjoining samples of a stream: `tokens` (samples, length); the first `valid` tokens are the stream's own."""

    first_sample: int
    tokens: np.ndarray
    valid: int
    masked: tuple[Span, ...] = ()


def plan_shards(
    total_tokens: int,
    sequence_length: int,
    block_samples: int,
    shard_samples: int,
    first_sample: int = 0,
    first_number: int = 0,
) -> list[ShardPlan]:
    """The shards of a stream of `total_tokens`, each of which can be written by a task of its own.

    `shard_samples` is a multiple of `block_samples`. Where a stream goes on, its shards so far hold the samples below
    `first_sample` and the numbers below `first_number`.
    """
    if shard_samples % block_samples:
        raise ValueError(f"a shard of {shard_samples} samples does not consist of whole blocks of {block_samples}")
    samples = -(-total_tokens // sequence_length)
    plans = []
    for number, first in enumerate(range(first_sample, samples, shard_samples), first_number):
        held = min(shard_samples, samples - first)
        stop = min(total_tokens, (first + held) * sequence_length)
        plans.append(ShardPlan(number, first * sequence_length, stop, first, held))
    return plans


def pack_blocks(
    chunks: Iterable[np.ndarray],
    plan: ShardPlan,
    sequence_length: int,
    block_samples: int,
    pad: int,
    masked: Sequence[Span] = (),
) -> Iterator[Block]:
    """Blocks of a shard from its tokens: `chunks` are the tokens of the plan in any cut.

    `masked` are withdrawn spans of the stream: their tokens become `pad`. Raises ValueError when the chunks hold more
    or fewer tokens than planned.
    """
    start, first = plan.token_start, plan.first_sample
    masked = merge_spans(masked)
    for flat in _cut_evenly(chunks, block_samples * sequence_length):
        samples = -(-len(flat) // sequence_length)
        tokens = np.full(samples * sequence_length, pad, dtype=flat.dtype)
        tokens[: len(flat)] = flat
        holes = clip_spans(masked, start, start + len(flat))
        for hole_start, length in holes:
            tokens[hole_start - start : hole_start - start + length] = pad
        yield Block(first, tokens.reshape(samples, sequence_length), len(flat), holes)
        start, first = start + len(flat), first + samples
    if start != plan.token_stop:
        raise ValueError(
            f"shard {plan.number}: {start - plan.token_start} tokens arrived, {plan.token_stop - plan.token_start} "
            "were planned: plan from the token table that is read"
        )


def _cut_evenly(chunks: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same tokens in arrays of `size`, the last one shorter."""
    waiting: list[np.ndarray] = []
    held = 0
    for chunk in chunks:
        while held + len(chunk) >= size:
            taken = size - held
            yield np.concatenate([*waiting, chunk[:taken]]) if waiting else chunk[:taken]
            chunk, waiting, held = chunk[taken:], [], 0
        if len(chunk):
            waiting.append(chunk)
            held += len(chunk)
    if waiting:
        yield np.concatenate(waiting)


def clip_spans(spans: Sequence[Span], start: int, stop: int) -> tuple[Span, ...]:
    """The parts of spans that lie in [start, stop), in their order."""
    clipped = ((max(first, start), min(first + length, stop)) for first, length in spans)
    return tuple((first, last - first) for first, last in clipped if first < last)


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """The same tokens in as few spans as possible, in order: touching and overlapping ones become one."""
    merged: list[Span] = []
    for first, length in sorted(span for span in spans if span[1] > 0):
        if merged and first <= merged[-1][0] + merged[-1][1]:
            start, held = merged[-1]
            merged[-1] = (start, max(held, first + length - start))
        else:
            merged.append((first, length))
    return merged


def segments_of(tokens: np.ndarray, end_of_text: int) -> np.ndarray:
    """Which document of its sample each token belongs to, counted from 0 or 1: (..., length) → int32 of that shape.

    A document that began in an earlier sample is 0; each end-of-text token begins the next one. Attention stays within
    equal numbers.
    """
    return np.cumsum(tokens == end_of_text, axis=-1, dtype=np.int32)


def positions_of(segments: np.ndarray) -> np.ndarray:
    """Position of each token within its document's part of the sample, from 0: int32 of the same shape."""
    place = np.arange(segments.shape[-1], dtype=np.int32)
    begins = np.diff(segments, axis=-1, prepend=segments[..., :1]) > 0
    return place - np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
