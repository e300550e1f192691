"""Lines of bytes, with their numbers and offsets, in bounded memory."""

from collections.abc import Iterator
from typing import NamedTuple

from headwater.assets.corpus.sources.opening import Truncated
from headwater.assets.corpus.sources.records import BYTE_ORDER_MARK


class Line(NamedTuple):
    """One line, or the fault that ended the file.

    Attributes:
        number: From 1.
        offset: Of the first byte of its data in the decompressed file.
        size: Bytes, its line end included.
        data: The bytes, line end included; None when there are more than the bound, or at a fault.
        fault: Why the file ends here before its time; None for a line.
    """

    number: int
    offset: int
    size: int
    data: bytes | None
    fault: str | None = None


class _LineUnderWay:
    """The line that the pieces read so far have not ended yet."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.number, self.offset, self.size = 1, 0, 0
        self.parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        self.size += len(part)
        if self.size <= self.limit:
            self.parts.append(part)
        else:
            self.parts = []

    def finish(self) -> Line:
        data = b"".join(self.parts) if self.size <= self.limit else None
        start = self.offset
        if self.number == 1 and data is not None and data.startswith(BYTE_ORDER_MARK):
            start, data = len(BYTE_ORDER_MARK), data.removeprefix(BYTE_ORDER_MARK)
        line = Line(self.number, start, self.size, data)
        self.number, self.offset, self.size, self.parts = self.number + 1, self.offset + self.size, 0, []
        return line


def bounded_lines(chunks: Iterator[bytes], limit: int) -> Iterator[Line]:
    r"""Split at "\n" only; a line of more than `limit` bytes comes without its bytes, which are passed over unkept.

    A byte order mark before the first line is removed. When the pieces end in Truncated, the unfinished line is
    replaced by a last Line with the fault.
    """
    current = _LineUnderWay(limit)
    try:
        for chunk in chunks:
            parts = chunk.splitlines(keepends=True) if b"\r" not in chunk else _split_at_newlines(chunk)
            for part in parts:
                current.add(part)
                if part.endswith(b"\n"):
                    yield current.finish()
    except Truncated as fault:
        yield Line(current.number, current.offset, current.size, None, str(fault))
        return
    if current.size:
        yield current.finish()


def _split_at_newlines(chunk: bytes) -> list[bytes]:
    parts = [part + b"\n" for part in chunk.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    return parts if parts[-1] else parts[:-1]
