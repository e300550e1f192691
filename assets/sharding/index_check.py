"""What an index says of its shards must be possible: a reader follows it by address and asks no second time.

Beside types and ranges, the place of every block is checked: a shard is written in one way only, so where blocks have
no holes, sizes alone say where the next one begins. An index of other samples, another length or another type of
tokens than the files hold does not come through.
"""

import tarfile
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from headwater.assets.sharding.shards import BlockEntry, ShardEntry, ShardIndex, array_header, shard_file, whole_blocks
from headwater.assets.storage.file_hashes import OF_PARTS, hash_of_parts, number_of_parts

_KINDS = ("uint16", "uint32")
_LENGTHS = ("sequence_length", "block_samples")


def first_problem(index: ShardIndex) -> str | None:
    """What is wrong with an index, None where nothing is."""
    try:
        return next(_problems(index), None)
    except _Impossible as error:
        return str(error)


def _problems(index: ShardIndex) -> Iterator[str]:
    for name in _LENGTHS:
        if not _is_number(getattr(index, name), 1):
            yield f"{name} is {getattr(index, name)!r}, not a whole number above 0"
            return
    if index.dtype not in _KINDS:
        yield f"dtype is {index.dtype!r}, neither {' nor '.join(_KINDS)}"
        return
    most = np.iinfo(index.dtype).max
    for name in ("end_of_text", "pad"):
        if not _is_number(getattr(index, name), 0, most):
            yield f"{name} is {getattr(index, name)!r}, which is no {index.dtype}"
    for shard in index.shards:
        for said in _of_shard(index, shard):
            yield f"{shard.file}: {said}"


def _of_shard(index: ShardIndex, shard: ShardEntry) -> Iterator[str]:
    if not isinstance(shard.stream, str) or not isinstance(shard.file, str) or not isinstance(shard.sha256, str):
        yield "file, stream and sha256 are text"
        return
    yield from _of_parts(shard)
    number = shard.file.removeprefix(f"{shard.stream}-").removesuffix(".tar")
    if not (number.isascii() and number.isdigit()) or shard.file != shard_file(shard.stream, int(number)):
        yield f"this is no name of a shard of {shard.stream}"
        return
    for name in ("bytes", "first_sample", "samples"):
        if not _is_number(getattr(shard, name)):
            yield f"{name} is {getattr(shard, name)!r}, not a whole number"
            return
    sample, expected, width = shard.first_sample, 0, np.dtype(index.dtype).itemsize
    for block in shard.blocks:
        if not _is_sound(index, block, sample, shard.bytes, width):
            yield from _of_block(index, block, sample, shard.bytes)
        header = _header_bytes(block.samples, index.sequence_length, index.dtype)
        if expected and block.offset != expected + header:
            yield f"block {block.key} begins at byte {block.offset}, where {expected + header} was written"
        sample += block.samples
        # Unknown where a hole made the block's second member longer; then the next block is not checked for its place.
        size = header + block.samples * index.sequence_length * width
        expected = 0 if block.masked else block.offset - header + whole_blocks(size) + 3 * tarfile.BLOCKSIZE
    if sample != shard.first_sample + shard.samples:
        yield f"its blocks have {sample - shard.first_sample} samples, not {shard.samples}"
    if expected and shard.bytes < expected:
        yield f"its blocks end at byte {expected}, it at {shard.bytes}"


def _of_parts(shard: ShardEntry) -> Iterator[str]:
    """Shards of earlier releases have no parts, and a hash that needs none."""
    if (shard.parts or shard.sha256.startswith(OF_PARTS)) and (
        not all(isinstance(part, str) for part in shard.parts) or hash_of_parts(shard.parts) != shard.sha256
    ):
        yield "the hashes of its parts are not those that its own is of"
    elif shard.parts and _is_number(shard.bytes) and len(shard.parts) != number_of_parts(shard.bytes):
        yield f"it has the hashes of {len(shard.parts)} parts, not of {number_of_parts(shard.bytes)}"


def _is_sound(index: ShardIndex, block: BlockEntry, first_sample: int, shard_bytes: int, width: int) -> bool:
    """Whether a block without holes is as it must be, in one look: an index may have a million."""
    offset, samples, valid = block.offset, block.samples, block.valid
    return (
        type(offset) is type(samples) is type(valid) is type(block.first_sample) is int
        and not block.masked
        and block.first_sample == first_sample
        and 0 < samples < 1 << 32
        and 0 <= valid <= samples * index.sequence_length
        and 0 < offset <= shard_bytes - samples * index.sequence_length * width
        and not (offset - _header_bytes(samples, index.sequence_length, index.dtype)) % tarfile.BLOCKSIZE
    )


def _of_block(index: ShardIndex, block: BlockEntry, first_sample: int, shard_bytes: int) -> Iterator[str]:
    numbers = {
        "offset": block.offset,
        "first_sample": block.first_sample,
        "samples": block.samples,
        "valid": block.valid,
    }
    for name, value in numbers.items():
        if not _is_number(value, int(name == "samples")):
            raise _Impossible(f"block {block.key}: {name} is {value!r}, not a whole number in its range")
    header = _header_bytes(block.samples, index.sequence_length, index.dtype)
    if block.offset < header or (block.offset - header) % tarfile.BLOCKSIZE:
        yield f"no block can begin at byte {block.offset}"
    if block.first_sample != first_sample:
        yield f"block {block.key} begins with sample {block.first_sample}, not {first_sample}"
    tokens = block.samples * index.sequence_length
    if block.offset + tokens * np.dtype(index.dtype).itemsize > shard_bytes:
        yield f"block {block.key} ends behind the file"
    if block.valid > tokens:
        yield f"block {block.key} has {block.valid} valid tokens of {tokens}"
    start = block.first_sample * index.sequence_length
    for span in block.masked:
        if len(span) != 2 or not all(_is_number(value) for value in span) or span[1] < 1:
            raise _Impossible(f"block {block.key}: {list(span)!r} is no withdrawn span")
        if not start <= span[0] <= span[0] + span[1] <= start + block.valid:
            yield f"block {block.key}: the withdrawn span {list(span)!r} lies outside of it"


class _Impossible(ValueError):
    """What makes further checks pointless."""


@lru_cache(maxsize=256)
def _header_bytes(samples: int, length: int, kind: str) -> int:
    return len(array_header((samples, length), np.dtype(kind)))


def _is_number(value: Any, least: int = 0, most: int = 1 << 62) -> bool:
    return type(value) is int and least <= value <= most
