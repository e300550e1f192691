"""Shards: uncompressed WebDataset tars whose token blocks can be memory-mapped where they lie.

A shard `<stream>-000000.tar` holds for each block two members, `<stream>-000000-0000.tokens.npy` (samples × length,
uint16 or uint32) and `<stream>-000000-0000.json` (first sample, counts of samples and valid tokens, withdrawn spans):
an ordinary WebDataset. `index.json` says at which byte each array begins: a reader needs neither tar nor npy code, only
the offset. Equal content gives equal bytes: no times, no owners.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Protocol

import fsspec
import numpy as np

from headwater.assets.sharding.packing import Block, Span
from headwater.assets.storage.file_hashes import FileHash, PartsHash, hash_as

INDEX = "index.json"
FORMAT = 2
_READABLE = (1, 2)  # in the first, shards have one hash and no parts
_END_OF_TAR = b"\0" * (2 * tarfile.BLOCKSIZE)


class ShardError(ValueError):
    """A shard or its index is missing, damaged or of another format."""


@dataclass(frozen=True)
class BlockEntry:
    """A block in the index: `offset` is the first byte of its array in the shard; `valid` tokens are of the stream."""

    key: str
    offset: int
    first_sample: int
    samples: int
    valid: int
    masked: tuple[Span, ...] = ()


@dataclass(frozen=True)
class StoredBlock:
    """A block of an earlier shard that goes into a new one as it lies there: `content` has both of its members."""

    entry: BlockEntry
    content: bytes
    first: int  # byte of the content at which its array begins


@dataclass(frozen=True)
class ShardEntry:
    """A shard in the index. `file` is relative to the index; `bytes` and `sha256` are of the whole file.

    Where `parts` has the SHA-256 of each of its parts, `sha256` is the hash of those, and says so
    (:mod:`headwater.assets.storage.file_hashes`).
    """

    file: str
    stream: str
    bytes: int
    sha256: str
    first_sample: int
    samples: int
    blocks: tuple[BlockEntry, ...]
    parts: tuple[str, ...] = ()

    @property
    def number(self) -> int:
        """Place of the shard in its stream, from 0."""
        return int(self.file.removesuffix(".tar").rsplit("-", 1)[1])

    @property
    def valid(self) -> int:
        """Tokens of the stream that it holds: all but the filling of the stream's last sample."""
        return sum(block.valid for block in self.blocks)


@dataclass(frozen=True)
class ShardLayout:
    """What all blocks of an index have in common: samples are (sequence_length,) of `dtype`, filled up with `pad`."""

    sequence_length: int
    block_samples: int
    dtype: str
    pad: int

    @property
    def stored(self) -> np.dtype:
        """The type of the tokens as they are stored."""
        return np.dtype(self.dtype).newbyteorder("<")


class StreamIndex(Protocol):
    """What the indexes of tokens and of examples have in common: all that sample numbers and lineage rest on."""

    @property
    def sequence_length(self) -> int:
        """Places of a sample in its stream: tokens, or 1 where a sample is an example."""

    @property
    def block_samples(self) -> int:
        """Samples of a block."""

    @property
    def shards(self) -> Sequence[ShardEntry]:
        """The files, by stream and number."""

    def streams(self) -> dict[str, int]:
        """Number of samples of each stream, by name."""


@dataclass(frozen=True)
class ShardIndex:
    """All shards of a folder: samples are (sequence_length,) of `dtype`, little-endian, `block_samples` to a block."""

    sequence_length: int
    block_samples: int
    dtype: str
    end_of_text: int
    pad: int
    shards: tuple[ShardEntry, ...]

    @property
    def layout(self) -> ShardLayout:
        """What all blocks have in common."""
        return ShardLayout(self.sequence_length, self.block_samples, self.dtype, self.pad)

    def streams(self) -> dict[str, int]:
        """Number of samples of each stream, by name."""
        counts: dict[str, int] = {}
        for shard in self.shards:
            counts[shard.stream] = counts.get(shard.stream, 0) + shard.samples
        return dict(sorted(counts.items()))


def shard_file(stream: str, number: int) -> str:
    """File name of a shard. Raises ShardError where the stream's name could not be part of a WebDataset key."""
    if not stream or len(stream) > 64 or not all(c.isascii() and (c.isalnum() or c in "-_") for c in stream):
        raise ShardError(f"stream {stream!r}: a name has 1 to 64 ASCII letters, digits, '-' or '_'")
    return f"{stream}-{number:06d}.tar"


def write_shard(folder: str, stream: str, number: int, blocks: Iterable[Block | StoredBlock]) -> ShardEntry:
    """Write one shard into a folder or URL; it appears whole or not at all. Returns its entry for the index."""
    file = shard_file(stream, number)
    entries: list[BlockEntry] = []
    with appears_whole(f"{folder.rstrip('/')}/{file}") as sink:
        hashed = PartsHash()
        writer = TarWriter(sink, hashed)
        for block in blocks:
            if isinstance(block, StoredBlock):
                entries.append(replace(block.entry, offset=writer.copy(block.content) + block.first))
            else:
                entries.append(_write_block(writer, stream, number, len(entries), block))
        writer.close()
    if not entries:
        raise ShardError(f"{file}: no tokens to write")
    samples = sum(entry.samples for entry in entries)
    first, size = entries[0].first_sample, writer.bytes
    return ShardEntry(file, stream, size, hashed.text(), first, samples, tuple(entries), hashed.parts())


def _write_block(writer: "TarWriter", stream: str, shard: int, place: int, block: Block) -> BlockEntry:
    key = f"{stream}-{shard:06d}-{place:04d}"
    offset = writer.add_array(f"{key}.tokens.npy", block.tokens)
    masked = tuple((int(first), int(length)) for first, length in block.masked)
    entry = BlockEntry(key, offset, block.first_sample, len(block.tokens), block.valid, masked)
    writer.add(f"{key}.json", _said(stream, entry))
    return entry


def block_members(stream: str, shard: int, place: int, block: Block) -> tuple[bytes, BlockEntry]:
    """The bytes of a block's members, and its entry with the offset of its array within them."""
    content = io.BytesIO()
    entry = _write_block(TarWriter(content, None), stream, shard, place, block)
    return content.getvalue(), entry


def _said(stream: str, entry: BlockEntry) -> bytes:
    said = {"stream": stream, **{k: v for k, v in vars(entry).items() if k not in ("key", "offset")}}
    return json.dumps(said).encode()


def stored_block(shard: IO[bytes], stream: str, entry: BlockEntry, layout: ShardLayout) -> StoredBlock:
    """Reads a block from its shard: from the header of its array to the end of its JSON."""
    shape, dtype = (entry.samples, layout.sequence_length), layout.stored
    first = tarfile.BLOCKSIZE + len(array_header(shape, dtype))
    array = whole_blocks(first + entry.samples * layout.sequence_length * dtype.itemsize)
    shard.seek(entry.offset - first)
    content = shard.read(array + tarfile.BLOCKSIZE + whole_blocks(len(_said(stream, entry))))
    return StoredBlock(entry, content, first)


def stored_tokens(shard: IO[bytes], stream: str, entry: BlockEntry, layout: ShardLayout) -> np.ndarray:
    """Reads the tokens of a block from its shard: (samples, sequence_length).

    Raises:
        ShardError: another array lies where the index says that this one does.
    """
    return tokens_of(stored_block(shard, stream, entry, layout), layout)


def tokens_of(block: StoredBlock, layout: ShardLayout) -> np.ndarray:
    """The tokens of a block that was read from its shard: (samples, sequence_length).

    Raises:
        ShardError: another array lies where the index says that this one does.
    """
    entry = block.entry
    shape, dtype = (entry.samples, layout.sequence_length), layout.stored
    header = array_header(shape, dtype)
    size = entry.samples * layout.sequence_length * dtype.itemsize
    if block.content[block.first - len(header) : block.first] != header or len(block.content) < block.first + size:
        raise ShardError(f"{entry.key} is not where the index says: materialize the shards again")
    return np.frombuffer(block.content, dtype, entry.samples * layout.sequence_length, block.first).reshape(shape)


@lru_cache(maxsize=64)
def array_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """What stands before the numbers of an array in its `.npy` member."""
    header = io.BytesIO()
    said = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, said)
    return header.getvalue()


def whole_blocks(size: int) -> int:
    """The bytes that a tar takes for a content of this size."""
    return size + -size % tarfile.BLOCKSIZE


class TarWriter:
    """Appends members to a tar and hashes what it writes, where a hash is wanted."""

    def __init__(self, sink: IO[bytes], hashed: FileHash | None) -> None:
        self.bytes = 0
        self._sink, self._hashed = sink, hashed

    def add(self, name: str, *parts: bytes | memoryview) -> int:
        """Write a member of the joined parts; returns the byte of the file where its content begins."""
        member = tarfile.TarInfo(name)
        member.size = sum(len(part) for part in parts)
        member.mode = 0o644
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        start = self.bytes
        for part in parts:
            self._write(part)
        self._write(b"\0" * (-member.size % tarfile.BLOCKSIZE))
        return start

    def add_array(self, name: str, array: np.ndarray) -> int:
        """Write an array, little-endian, as a `.npy` member; returns the byte of the file where its numbers begin."""
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        header = array_header(array.shape, array.dtype)
        return self.add(name, header, array.reshape(-1).view(np.uint8).data) + len(header)

    def copy(self, members: bytes) -> int:
        """Appends members as they lie in another tar; returns the byte of the file where they begin."""
        start = self.bytes
        self._write(members)
        return start

    def close(self) -> None:
        """Ends the tar; nothing can be added after."""
        self._write(_END_OF_TAR)
        self._write(b"\0" * (-self.bytes % tarfile.RECORDSIZE))

    def _write(self, content: bytes | memoryview) -> None:
        self._sink.write(content)
        if self._hashed is not None:
            self._hashed.update(content)
        self.bytes += len(content)


@contextmanager
def appears_whole(url: str, buffering: int = -1, readable: bool = False) -> Iterator[IO[bytes]]:
    """A file that takes its name only when all of it is written. Object stores publish on close by themselves.

    A local one can also be read again while it is written, and left unbuffered, as `open` has it.
    """
    if "://" in url:
        with fsspec.open(url, "wb") as sink:
            yield sink
        return
    path = Path(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w+b" if readable else "wb", buffering) as sink:
            yield sink
            sink.flush()
            os.fsync(sink.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_index(folder: str, index: ShardIndex) -> None:
    """Write `index.json`: the file that makes the shards of a folder readable."""
    shards = sorted(index.shards, key=lambda shard: (shard.stream, shard.first_sample))
    head = {"format": FORMAT, **{name: value for name, value in vars(index).items() if name != "shards"}}
    lines = ",\n".join(map(_line, shards))
    # A line for each block, as `indent` would have the whole written by Python: a second for a million samples.
    with appears_whole(f"{folder.rstrip('/')}/{INDEX}") as sink:
        sink.write(f'{json.dumps(head)[:-1]}, "shards": [\n{lines}\n]}}\n'.encode())


def _line(shard: ShardEntry) -> str:
    said = {name: value for name, value in vars(shard).items() if name != "blocks"}
    blocks = ",\n".join(f"  {json.dumps(vars(block))}" for block in shard.blocks)
    return f' {json.dumps(said)[:-1]}, "blocks": [\n{blocks}]}}'


def read_index(folder: str) -> ShardIndex:
    """Read `index.json` of a folder or URL. Raises ShardError that says what is wrong with it."""
    from headwater.assets.sharding.index_check import first_problem  # which knows the entries defined here

    url = f"{folder.rstrip('/')}/{INDEX}"
    try:
        with fsspec.open(url, "rb") as file:
            content = json.load(file)
        index = _parse_index(content, url)
        problem = first_problem(index)
    except FileNotFoundError as error:
        raise ShardError(f"{url} does not exist: materialize the shards first") from error
    except ShardError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IsADirectoryError) as error:
        raise ShardError(f"{url} is damaged ({error!r}): materialize the shards again") from error
    if problem:
        raise ShardError(f"{url} is damaged ({problem}): materialize the shards again")
    return index


def _parse_index(content: dict[str, Any], url: str) -> ShardIndex:
    if "fields" in content:
        raise ShardError(f"{url} is of shards of examples, where shards of tokens are needed")
    version = content.pop("format")
    if version not in _READABLE:
        raise ShardError(f"{url} has format {version}, this release reads {FORMAT}: materialize the shards again")
    shards = []
    for shard in content.pop("shards"):
        blocks = [BlockEntry(**{**b, "masked": tuple(map(tuple, b["masked"]))}) for b in shard.pop("blocks")]
        shards.append(ShardEntry(**shard | {"blocks": tuple(blocks), "parts": tuple(shard.get("parts", ()))}))
    return ShardIndex(**content, shards=tuple(shards))


def verify_shard(folder: str, entry: ShardEntry) -> None:
    """Read a whole shard and compare its size and hash with the index. Raises ShardError naming the file."""
    url = f"{folder.rstrip('/')}/{entry.file}"
    hashed, size = hash_as(entry.sha256), 0
    try:
        with fsspec.open(url, "rb") as file:
            while content := file.read(1 << 20):
                hashed.update(content)
                size += len(content)
    except FileNotFoundError as error:
        raise ShardError(f"{url} does not exist, but the index names it: materialize the shards again") from error
    if size != entry.bytes:
        raise ShardError(f"{url} has {size} bytes, the index says {entry.bytes}: materialize the shards again")
    if hashed.text() != entry.sha256:
        raise ShardError(f"{url} is not what was written: headwater verify --mend, then materialize again")
