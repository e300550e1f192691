"""Opening files anywhere fsspec reaches, and undoing their compression as a stream that notices a cut-off end.

The usual file objects of gzip and zstandard either lose what was decompressed just before a truncation or take the
truncation for the end. Here compressed bytes are pushed through a decompressor piece by piece: everything before the
fault is delivered, and then `Truncated` says where the file ends.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

import fsspec
import zstandard
from fsspec.implementations.local import LocalFileSystem

from headwater.assets.corpus.sources.records import SourceError, SourceFile

_CHUNK = 1 << 18
# Compressed bytes are fed in small pieces, for one piece may grow a thousandfold and more.
_PIECE = 1 << 13

_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".tgz": lambda: zlib.decompressobj(wbits=31),
    ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj(),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}
_FAULTS = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError)


class Truncated(Exception):
    """A stream that ends too early or turns to garbage; the message says where, in bytes of the file as stored."""


class GuardedFile(RawIOBase):
    """A file whose read errors are SourceErrors, so that a lost connection is never taken for a damaged file."""

    def __init__(self, file: BinaryIO, uri: str) -> None:
        super().__init__()
        self._file = file
        self._uri = uri

    def readable(self) -> bool:
        """Always true."""
        return True

    def seekable(self) -> bool:
        """Whether the file below can seek."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move, as in io."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the file below stands."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes; raises SourceError naming the file when the store fails."""
        try:
            return self._file.read(size)
        except Exception as error:
            raise SourceError(f"{self._uri}: reading failed ({error}); check the store and run again") from error

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as in io."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _store_of(url: str) -> tuple[Any, str]:
    if url.startswith("file://"):  # a local name may hold ::, which elsewhere chains file systems
        return LocalFileSystem(), url.removeprefix("file://")
    found: tuple[Any, str] = fsspec.core.url_to_fs(url)
    return found


@contextmanager
def open_raw(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file as stored. Raises SourceError when it has vanished or may not be read."""
    try:
        # An archive closes its members when nothing holds it any more: `filesystem` stays until the reading ends.
        filesystem, path = _store_of(file.url)
        handle = filesystem.open(path, "rb")
    except FileNotFoundError:
        raise SourceError(
            f"{file.source}: {file.uri} was listed but is gone; materialize again so that the files are listed anew"
        ) from None
    except PermissionError:
        raise SourceError(
            f"{file.source}: {file.uri} may not be read; give this user read permission or leave it out of `path`"
        ) from None
    except Exception as error:
        raise SourceError(f"{file.source}: {file.uri} cannot be opened ({error})") from error
    with handle:
        yield cast(BinaryIO, GuardedFile(handle, f"{file.source}: {file.uri}"))


def compression_of(name: str) -> str | None:
    """The extension of `name` that stands for a compression, such as .gz; None when there is none."""
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if suffix in _DECOMPRESSORS else None


def decompressed(raw: BinaryIO, compression: str | None) -> Iterator[bytes]:
    """The content of a stream in pieces of no fixed size; raises Truncated at a cut-off or damaged place.

    Several compressed members one after another, as `cat a.gz b.gz` makes them, are one content.
    """
    if compression is None:
        while chunk := raw.read(_CHUNK):
            yield chunk
        return
    start = raw.tell()
    make = _DECOMPRESSORS[compression]
    decompressor, offset, inside = make(), start, False
    while chunk := raw.read(_CHUNK):
        for begin in range(0, len(chunk), _PIECE):
            piece = chunk[begin : begin + _PIECE]
            if not inside:
                piece = piece.lstrip(b"\0")
            while piece:
                inside = True
                try:
                    data = decompressor.decompress(piece)
                except _FAULTS as error:
                    raise Truncated(f"damaged near byte {offset + begin:,} of the stored file ({error})") from None
                if data:
                    yield data
                if not decompressor.eof:
                    break
                # Zero padding after a member is allowed by gzip and common on tapes.
                piece, inside = decompressor.unused_data.lstrip(b"\0"), False
                decompressor = make()
        offset += len(chunk)
    if inside:
        raise Truncated(f"ends at byte {offset:,} of the stored file, in the middle of its {compression} data")
    if offset == start:
        raise Truncated(f"has no bytes, which is not a valid {compression} file")


@contextmanager
def open_chunks(file: SourceFile) -> Iterator[Iterator[bytes]]:
    """Open a file and undo the compression that its name tells of."""
    with open_raw(file) as raw:
        yield decompressed(raw, compression_of(file.uri))


class ChunkFile(RawIOBase):
    """Pieces of bytes as a readable stream, for libraries that want a file; the pieces' Truncated passes through."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._rest = memoryview(b"")
        self.position = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end. What precedes a truncation is delivered before it is raised."""
        if size < 0:
            raise ValueError("an unbounded read would not hold memory constant")
        parts: list[bytes] = []
        missing = size
        while missing and self._fill(bool(parts)):
            part = self._rest[:missing]
            self._rest = self._rest[len(part) :]
            parts.append(bytes(part))
            missing -= len(part)
        self.position += size - missing
        return b"".join(parts)

    def _fill(self, have_some: bool) -> bool:
        while not len(self._rest):
            try:
                self._rest = memoryview(next(self._chunks))
            except StopIteration:
                return False
            except Truncated as fault:
                self._chunks = _raising(fault)
                if have_some:
                    return False
                raise
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, as in io."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _raising(fault: Exception) -> Iterator[bytes]:
    raise fault
    yield b""
