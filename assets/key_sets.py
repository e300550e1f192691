"""A few keys that whole columns are looked up in, in one pass over the column.

A bit for each key turns nearly all strangers away, a binary search decides about the rest.
"""

import numpy as np
import numpy.typing as npt

from headwater.assets.kernels import compiled

Hashes = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]

_BITS_PER_KEY = 32  # of the filter: about one stranger in thirty reaches the binary search
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd; the leading bits of a key's product depend on all of its bits


def distinct(values: npt.NDArray) -> npt.NDArray:
    """The different values, ascending. Sorting beats the hash table that `np.unique` builds for millions of them."""
    ordered = np.sort(values)
    first = np.ones(len(ordered), dtype=np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def among(values: npt.NDArray, chosen: npt.NDArray) -> npt.NDArray[np.bool_]:
    """Which values are among the chosen ones (ascending): `np.isin` hashes or sorts millions of both first."""
    if len(chosen) == 0:
        return np.zeros(len(values), dtype=np.bool_)
    return chosen[np.minimum(np.searchsorted(chosen, values), len(chosen) - 1)] == values


@compiled(inline="always")
def first_at_least(keys: Hashes, key: np.uint64) -> int:
    """The first place in the sorted keys of one not below `key`, as np.searchsorted has it.

    numba's searchsorted is not used: it brings SciPy's linear algebra into every process that loads the kernel.
    """
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) >> 1
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@compiled()
def _search(column: Hashes, keys: Hashes, bitmap: Bytes, shift: np.uint64, rows: Rows, places: Rows) -> int:
    """Write the rows whose key is among the keys, and its place there; gives how many.

    The filter asks no question of the branch predictor: the next row stands where this one does, unless it passed.
    """
    passed = 0
    for row in range(len(column)):
        bit = (column[row] * _SPREAD) >> shift
        rows[passed] = row
        passed += int((bitmap[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7))) & np.uint8(1))
    count = 0
    for at in range(passed):
        row = rows[at]
        place = first_at_least(keys, column[row])
        if place < len(keys) and keys[place] == column[row]:
            rows[count] = row
            places[count] = place
            count += 1
    return count


class KeySet:
    """A set of 64-bit keys that whole columns are looked up in. They are spread first, for minima are low numbers."""

    def __init__(self, keys: Hashes) -> None:
        self.keys = distinct(keys)
        bits = max(int(_BITS_PER_KEY * len(self.keys)).bit_length(), 10)
        self._shift = np.uint64(64 - bits)
        leading = (self.keys * _SPREAD) >> self._shift
        self._bitmap = np.zeros(1 << (bits - 3), dtype=np.uint8)
        marks = np.left_shift(1, leading & np.uint64(7)).astype(np.uint8)
        np.bitwise_or.at(self._bitmap, leading >> np.uint64(3), marks)

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, column: Hashes) -> tuple[Rows, Rows]:
        """(rows of the column whose key is in the set, place of each one's key among the sorted keys)."""
        rows, places = np.empty(len(column), dtype=np.int64), np.empty(len(column), dtype=np.int64)
        count = _search(column, self.keys, self._bitmap, self._shift, rows, places)
        return rows[:count].copy(), places[:count].copy()
