"""Copies a shard with other bytes in some places, at the cost of those places where the system can.

A refresh copies whole shards to take a few documents out of them. Only the parts that differ are hashed again, and the
system copies by itself: file systems that share blocks between files write nothing but what differs.

Others would keep both copies in memory, and push out for them what else is worked with; where the system first has to
get that memory, as in a virtual machine, this costs several times what copying does. So each stretch is on the disk,
and out of memory, before the next begins.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from headwater.assets.sharding.shards import ShardError, appears_whole
from headwater.assets.storage.file_hashes import PART_BYTES

_STRETCH_BYTES = 4 * PART_BYTES
_READ_BYTES = 1 << 18

Piece = tuple[int, bytes]  # where it begins in the file, what stands there


def copy_with(source: str, size: int, parts: Sequence[str], pieces: Sequence[Piece], target: str) -> tuple[str, ...]:
    """Copies a file of that size to another place with other bytes at some offsets (ascending, within it).

    `parts` are the hashes of the parts of the source (:mod:`headwater.assets.storage.file_hashes`); returns those of
    the copy. Parts that stay are not looked at: damage in them goes on being damage.

    Raises:
        ShardError: the source is shorter, or a part that changes is not what its hash says.
    """
    found = dict(enumerate(parts))
    with open(source, "rb", buffering=0) as shard, appears_whole(target, buffering=0, readable=True) as sink:
        for start in range(0, size, _STRETCH_BYTES):
            stop = min(start + _STRETCH_BYTES, size)
            if not _copied(shard.fileno(), sink.fileno(), start, stop):
                raise ShardError(
                    f"{source} ends before what its index says: headwater verify --mend, then materialize again"
                )
            own = list(_within(pieces, start, stop))
            touched = _parts_with(own)
            if any(_part_hash(sink.fileno(), part) != parts[part] for part in touched):
                raise ShardError(f"{source} is not what was written: headwater verify --mend, then materialize again")
            for offset, content in own:
                _write_all(sink.fileno(), content, offset)
            found |= {part: _part_hash(sink.fileno(), part) for part in touched}
            _leave_memory(shard.fileno(), sink.fileno(), start, stop)
    return tuple(found.values())


def _part_hash(file: int, part: int) -> str:
    return hashlib.sha256(os.pread(file, PART_BYTES, part * PART_BYTES)).hexdigest()


def _write_all(file: int, content: bytes, offset: int) -> None:
    """Writes all of the content: a nearly full disk may take a part of it, and say so only when asked again."""
    written = 0
    while written < len(content):
        written += os.pwrite(file, content[written:], offset + written)


def _within(pieces: Sequence[Piece], start: int, stop: int) -> Iterator[Piece]:
    """The pieces, cut to what lies in a stretch."""
    for offset, content in pieces:
        first, last = max(offset, start), min(offset + len(content), stop)
        if first < last:
            yield first, content[first - offset : last - offset]


def _parts_with(pieces: Sequence[Piece]) -> set[int]:
    """Numbers of the parts that a piece lies in."""
    spans = [(offset // PART_BYTES, (offset + len(content) - 1) // PART_BYTES) for offset, content in pieces]
    return {part for first, last in spans for part in range(first, last + 1)}


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
    with suppress(AttributeError, OSError):  # not Linux, or a file system that cannot; a real fault is met again below
        if copied := os.copy_file_range(source, target, count, start, start):  # some say 0 where they cannot
            return copied
    return os.pwrite(target, os.pread(source, min(count, _READ_BYTES), start), start)


def _leave_memory(source: int, target: int, start: int, stop: int) -> None:
    """Lets the system forget a stretch of both files; readers that have it mapped keep it."""
    if hasattr(os, "posix_fadvise"):  # Linux and the BSDs
        os.fdatasync(target)  # what is not on the disk yet cannot be forgotten
        with suppress(OSError):  # it is no more than advice
            for file in (source, target):
                os.posix_fadvise(file, start, stop - start, os.POSIX_FADV_DONTNEED)
