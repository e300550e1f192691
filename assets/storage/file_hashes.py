"""What the store says that a file hashes to: the SHA-256 of all its bytes, or the one of its parts.

A file that changes in a few places need not be hashed from end to end: where the hashes of its parts are known, those
that change are hashed again. The hash of the whole is then that of the list of them, as `sha256sum` prints it, so that
anybody can tell it without this library:

    split --bytes 1M --filter sha256sum FILE | sha256sum
"""

import hashlib
from collections.abc import Iterable
from typing import Protocol

PART_BYTES = 1 << 20
OF_PARTS = "parts:"  # stands before the digits of such a hash


class FileHash(Protocol):
    """Takes a file's bytes in any cut and says their hash as records have it."""

    def update(self, content: bytes | memoryview) -> None:
        """Takes the next bytes."""

    def text(self) -> str:
        """The hash of what came so far."""


class WholeHash:
    """The SHA-256 of all bytes."""

    def __init__(self) -> None:
        self._sum = hashlib.sha256()

    def update(self, content: bytes | memoryview) -> None:
        """Takes the next bytes."""
        self._sum.update(content)

    def text(self) -> str:
        """64 hexadecimal digits."""
        return self._sum.hexdigest()


class PartsHash:
    """The hash of the hashes of the parts."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._sum, self._left = hashlib.sha256(), PART_BYTES

    def update(self, content: bytes | memoryview) -> None:
        """Takes the next bytes."""
        rest = memoryview(content)
        while len(rest):
            own, rest = rest[: self._left], rest[self._left :]
            self._sum.update(own)
            self._left -= len(own)
            if not self._left:
                self._parts.append(self._sum.hexdigest())
                self._sum, self._left = hashlib.sha256(), PART_BYTES

    def parts(self) -> tuple[str, ...]:
        """The SHA-256 of each part that has a byte."""
        return (*self._parts, *([self._sum.hexdigest()] if self._left < PART_BYTES else []))

    def text(self) -> str:
        """`parts:` and 64 hexadecimal digits."""
        return hash_of_parts(self.parts())


def hash_of_parts(parts: Iterable[str]) -> str:
    """The hash of a file whose parts have these hashes."""
    printed = "".join(f"{part}  -\n" for part in parts)
    return OF_PARTS + hashlib.sha256(printed.encode()).hexdigest()


def number_of_parts(size: int) -> int:
    """Parts of a file of so many bytes."""
    return -(-size // PART_BYTES)


def hash_as(expected: str) -> FileHash:
    """A hash of the kind that is expected of a file."""
    return PartsHash() if expected.startswith(OF_PARTS) else WholeHash()
