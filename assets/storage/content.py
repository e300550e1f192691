"""Content versions: what a table holds, as one number that costs what changed.

Each row is hashed over its named columns; a table's content version is the sum of its row hashes (two lanes of 64
bits). Sums do not depend on the order of rows or on how they are split into files, and removing a row subtracts it.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

_NULL = np.uint64(0x9E3779B97F4A7C15)
_LANE = np.uint64(0xD1B54A32D192ED03)
_MASK = (1 << 64) - 1
_ENOUGH = 1_000  # values, below which loading the kernel costs more than it saves


class ContentSum(NamedTuple):
    """Sum of row hashes in two lanes, and the number of rows summed."""

    rows: int = 0
    low: int = 0
    high: int = 0

    def plus(self, other: "ContentSum") -> "ContentSum":
        """The content of both tables together."""
        return ContentSum(self.rows + other.rows, (self.low + other.low) & _MASK, (self.high + other.high) & _MASK)

    def minus(self, other: "ContentSum") -> "ContentSum":
        """The content without the rows of ``other``, which it holds."""
        return ContentSum(self.rows - other.rows, (self.low - other.low) & _MASK, (self.high - other.high) & _MASK)

    def hex(self) -> str:
        """The content version: 32 hexadecimal digits that also depend on the number of rows."""
        return hashlib.blake2b(f"{self.rows}:{self.low}:{self.high}".encode(), digest_size=16).hexdigest()


def total(sums: Iterable[ContentSum]) -> ContentSum:
    """The content of several disjoint parts of one table."""
    result = ContentSum()
    for part in sums:
        result = result.plus(part)
    return result


def content_of(batch: pa.RecordBatch | pa.Table) -> ContentSum:
    """Sums the row hashes of a batch. A ``text`` column is represented by its ``content_id`` where there is one."""
    if batch.num_rows == 0:
        return ContentSum()
    low = row_hashes(batch)
    high = _mix(low ^ _LANE)
    return ContentSum(batch.num_rows, int(low.sum(dtype=np.uint64)), int(high.sum(dtype=np.uint64)))


def row_hashes(batch: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Hashes every row: (rows,) uint64; columns are keyed by name, so that their order does not matter."""
    names = hashed_columns(batch.schema)
    rows = np.zeros(batch.num_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for name in names:
            key = np.uint64(xxhash.xxh3_64_intdigest(name.encode()))
            rows += _mix(_column_hashes(batch.column(name)) ^ key)
    return _mix(rows)


def hashed_columns(schema: pa.Schema) -> list[str]:
    """Columns that enter a row's hash: all but the ``text`` and ``arrays`` that a ``content_id`` stands for."""
    identified = {"text", "arrays"} if "content_id" in schema.names else set()
    return [name for name in schema.names if name not in identified]


def content_id(text: bytes, packed: bytes | None = None) -> str:
    """The identity of a document's content alone: 32 hexadecimal digits of blake2b over the UTF-8 bytes of a text.

    With packed arrays, over both of them, each preceded by its length.
    """
    if packed is None:
        return hashlib.blake2b(text, digest_size=16).hexdigest()
    return framed_digest(text, packed)


def framed_digest(*parts: bytes) -> str:
    """32 hexadecimal digits of blake2b over the parts, each preceded by its length: no two lists give equal bytes."""
    framed = b"".join([piece for part in parts for piece in (len(part).to_bytes(8, "little"), part)])
    return hashlib.blake2b(framed, digest_size=16).hexdigest()


def digest_of(value: Any) -> str:
    """Hashes a JSON-serialisable value in its canonical form: 32 hexadecimal digits.

    Raises:
        TypeError: the value cannot be serialised deterministically.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), on every element."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def _column_hashes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps zero chunks apart
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    hashes = _hash_values(array)
    if array.null_count:
        hashes = np.where(np.asarray(pc.is_null(array)), _NULL, hashes)
    return hashes


def _hash_values(array: pa.Array) -> np.ndarray:
    kind = array.type
    if pa.types.is_floating(kind):
        values = np.asarray(pc.fill_null(array, 0.0), dtype=np.float64) + 0.0  # -0.0 and 0.0 are equal
        return _mix(np.where(np.isnan(values), np.float64(np.nan), values).view(np.uint64))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        filled = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0)
        return _mix(np.asarray(filled).astype(np.int64).view(np.uint64))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        large = array.cast(pa.large_binary())
        return _hash_spans(large.buffers()[2], _offsets(large))
    if _is_list_of_numbers(array):
        width, values = kind.value_type.bit_width // 8, array.values
        return _hash_spans(values.buffers()[1], (_offsets(array).astype(np.int64) + values.offset) * width)
    return np.fromiter((_hash_object(value) for value in array), dtype=np.uint64, count=len(array))


def _offsets(array: pa.Array) -> np.ndarray:
    """Where each value of a list or of text begins, and the last one ends."""
    large = pa.types.is_large_list(array.type) or pa.types.is_large_binary(array.type)
    stored = np.frombuffer(array.buffers()[1], dtype=np.int64 if large else np.int32)
    return stored[array.offset : array.offset + len(array) + 1]


def _is_list_of_numbers(array: pa.Array) -> bool:
    """Whether every list is a run of bytes as it lies in memory."""
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        return False
    kind = array.type.value_type
    return (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and array.values.null_count == 0


def _hash_spans(buffer: pa.Buffer | None, offsets: np.ndarray) -> np.ndarray:
    """XXH3 of each run of bytes between two offsets; short ones in a kernel where there are enough to load it for."""
    hashes = np.zeros(len(offsets) - 1, dtype=np.uint64)
    data = memoryview(buffer or b"")
    longer = np.arange(len(hashes))
    if len(hashes) >= _ENOUGH:
        from headwater.assets.storage.hashing_kernels import LONGEST, hash_short

        short = hash_short(np.frombuffer(data, dtype=np.uint8), np.ascontiguousarray(offsets, dtype=np.int64), hashes)
        longer = np.flatnonzero(np.diff(offsets) > LONGEST) if short < len(hashes) else longer[:0]
    starts, ends = offsets[longer].tolist(), offsets[longer + 1].tolist()
    digest = xxhash.xxh3_64_intdigest
    hashes[longer] = np.fromiter(map(digest, map(data.__getitem__, map(slice, starts, ends))), np.uint64, len(longer))
    return hashes


def _hash_object(value: pa.Scalar) -> int:
    if not value.is_valid:
        return 0
    if isinstance(value, pa.LargeListScalar | pa.ListScalar) and pa.types.is_primitive(value.type.value_type):
        return xxhash.xxh3_64_intdigest(np.ascontiguousarray(value.values.to_numpy(zero_copy_only=False)).tobytes())
    if hasattr(value, "as_buffer") and value.as_buffer() is not None:
        return xxhash.xxh3_64_intdigest(value.as_buffer())
    return xxhash.xxh3_64_intdigest(json.dumps(value.as_py(), sort_keys=True, default=str).encode())
