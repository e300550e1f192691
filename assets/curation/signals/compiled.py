"""What the kernels share: a batch of texts as bytes and offsets, and the classes of Unicode characters.

Kernels read Arrow's own buffers: no Python string is made for a document that only gets measured.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.kernels import compiled

SPACE, ALPHABETIC, NUMERIC, DECIMAL = 1, 2, 4, 8
# Beyond plane 3 Unicode has assigned no letter, number or space.
_CLASSIFIED = 0x40000


class Texts(NamedTuple):
    """A batch of UTF-8 texts: `data` uint8[total bytes], `offsets` int64[texts + 1]."""

    data: np.ndarray
    offsets: np.ndarray

    @property
    def longest(self) -> int:
        """Bytes of the longest text; 0 for no texts."""
        return int(np.diff(self.offsets).max(initial=0))


def texts_of(column: pa.ChunkedArray | pa.Array) -> Texts:
    """View a string column as bytes and offsets without copying the text; a null counts as empty."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks of no chunks
        array = pa.concat_arrays(array.chunks)
    array = array.cast(pa.large_string())
    if array.null_count:
        array = pc.fill_null(array, "")
    _, offset_buffer, data_buffer = array.buffers()
    if not len(array) or offset_buffer is None:
        return _read_only(np.zeros(0, np.uint8), np.zeros(len(array) + 1, np.int64))
    offsets = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.zeros(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    return _read_only(data, offsets)


def _read_only(data: np.ndarray, offsets: np.ndarray) -> Texts:
    """Arrays that may be written are another type to the compiler, which would compile each kernel twice."""
    data, offsets = data.view(), offsets.view()
    data.flags.writeable = offsets.flags.writeable = False
    return Texts(data, offsets)


@lru_cache(maxsize=1)
def character_classes() -> np.ndarray:
    """Bits per code point, uint8[0x110000]: SPACE, ALPHABETIC, NUMERIC, DECIMAL, as `str` methods see them."""
    classes = np.zeros(0x110000, np.uint8)
    characters = np.arange(_CLASSIFIED, dtype=np.uint32).view("U1")  # NumPy asks Python's own Unicode data
    alphabetic, numeric = np.char.isalpha(characters), np.char.isalnum(characters)
    kinds = np.select([alphabetic, numeric, np.char.isspace(characters)], [ALPHABETIC, NUMERIC, SPACE])
    classes[:_CLASSIFIED] = kinds | np.where(np.char.isdecimal(characters), DECIMAL, 0)
    return classes


@compiled()
def decode(data: np.ndarray, at: int) -> tuple[np.int64, int]:
    """The code point at a byte position and its width in bytes; the text is valid UTF-8."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (data[at + 1] & 0x3F), 2
    if first < 0xF0:
        return (first & 0x0F) << 12 | np.int64(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), 3
    high = (first & 0x07) << 18 | np.int64(data[at + 1] & 0x3F) << 12
    return high | np.int64(data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), 4


@compiled()
def mix(value: np.uint64) -> np.uint64:
    """Spread a 64-bit value over all bits (the finaliser of splitmix64, Steele et al. 2014)."""
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled()
def hash_bytes(data: np.ndarray, start: int, stop: int) -> np.uint64:
    """A 64-bit hash of a byte range: FNV-1a, then mixed. Two of a document's words collide with chance 2^-64."""
    value = np.uint64(0xCBF29CE484222325)
    for at in range(start, stop):
        value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    return mix(value)


@compiled()
def slot_of(keys: np.ndarray, stamps: np.ndarray, stamp: int, mask: int, key: np.uint64) -> np.int64:
    """The slot where a key lies or belongs in an open-addressing table.

    A slot is empty unless its stamp is the current one, so that a table is emptied by taking the next stamp.
    """
    slot = np.int64(key & np.uint64(mask))
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@compiled()
def table_mask(entries: int) -> int:
    """The mask of the smallest power of two that leaves the table at most half full."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size - 1
