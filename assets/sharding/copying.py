"""Copies a shard with other bytes in some places, at the cost of those places where the system can.

A refresh copies whole shards to take a few documents out of them. The system copies by itself: file systems that share
blocks between files write nothing but what differs, and only the parts that differ are hashed again.

Elsewhere the system would keep both copies in memory, and push out for them what others work with; where it first has
to get that memory, as in a virtual machine, this costs several times what copying does. So each stretch is on the disk,
and out of memory, before the next begins.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence

from headwater.assets.sharding.shards import ShardError, appears_whole
from headwater.assets.storage.file_hashes import PART_BYTES

_STRETCH_BYTES = 4 * PART_BYTES
_READ_BYTES = 1 << 18

Piece = tuple[int, bytes]  # where it begins in the file, what stands there


def copy_with(source: str, pieces: Sequence[Piece], target: str, parts: Sequence[str]) -> tuple[str, ...]:
    """Copies a file to another place with other bytes at some offsets (ascending, within it).

    `parts` are the hashes of the parts of the source (:mod:`headwater.assets.storage.file_hashes`); returns those of
    the copy. Parts that stay are not looked at: damage in them goes on being damage.
    """
    found = list(parts)
    with open(source, "rb", buffering=0) as shard, appears_whole(target, buffering=0, readable=True) as sink:
        size = os.fstat(shard.fileno()).st_size
        for start in range(0, size, _STRETCH_BYTES):
            stop = min(start + _STRETCH_BYTES, size)
            if not _copied(shard.fileno(), sink.fileno(), start, stop):
                raise ShardError(f"{source} ends before what its index says: materialize the shards again")
            for offset, content in _within(pieces, start, stop):
                os.pwrite(sink.fileno(), content, offset)
            for part in _touched(pieces, start, stop):
                found[part] = hashlib.sha256(os.pread(sink.fileno(), PART_BYTES, part * PART_BYTES)).hexdigest()
            _leave_memory(shard.fileno(), sink.fileno(), start, stop)
    return tuple(found)


def _within(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """The pieces, cut to what lies in a stretch."""
    for offset, content in pieces:
        first, last = max(offset, start), min(offset + len(content), stop)
        if first < last:
            yield first, content[first - offset : last - offset]


def _touched(pieces: Sequence[Piece], start: int, stop: int) -> list[int]:
    """Numbers of the parts of a stretch in which a piece lies."""
    spans = [(offset, offset + len(content) - 1) for offset, content in _within(pieces, start, stop)]
    return sorted({n for first, last in spans for n in range(first // PART_BYTES, last // PART_BYTES + 1)})


def _copied(source: int, target: int, start: int, stop: int) -> bool:
    """Copies a stretch to the same place; False where the source ends before."""
    while start < stop:
        copied = _copy_some(source, target, start, stop - start)
        if not copied:
            return False
        start += copied
    return True


def _copy_some(source: int, target: int, start: int, count: int) -> int:
    """Copies some of the bytes; returns how many, 0 at the end of the source."""
    try:
        return os.copy_file_range(source, target, count, start, start)
    except (AttributeError, OSError):  # not Linux, or a file system that cannot; a real fault is met again below
        return os.pwrite(target, os.pread(source, min(count, _READ_BYTES), start), start)


def _leave_memory(source: int, target: int, start: int, stop: int) -> None:
    """Lets the system forget a stretch of both files; readers that have it mapped keep it."""
    if hasattr(os, "posix_fadvise"):  # Linux and the BSDs
        os.fdatasync(target)  # what is not on the disk yet cannot be forgotten
        for file in (source, target):
            os.posix_fadvise(file, start, stop - start, os.POSIX_FADV_DONTNEED)
