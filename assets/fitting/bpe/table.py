"""A table of words in open addressing: a row of four numbers is half a cache line, and most words fit into two of them.

Row: the word's first and second eight bytes; its length (lower 32 bits) beside 32 bits of the user's; a number of the
user's.
A word of more than 16 bytes has its hash in the first and its place in the table's `letters` in the second number. A
length of 0 marks a free row.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers, and calls intrinsics without their first argument)

from typing import NamedTuple

import numpy as np

from headwater.assets.fitting.bpe.machine import prefetch
from headwater.assets.fitting.bpe.words import two_eights, word_end
from headwater.assets.kernels import compiled

AHEAD = 64  # words
SHORT = 16  # bytes of a word that stands in its row
LENGTH = np.uint64(0xFFFFFFFF)
_SPREAD_LOW, _SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


class WordTable(NamedTuple):
    """`rows` uint64[4 * a power of two], `letters` uint8[room], `used` int64[2]: rows and letters taken."""

    rows: np.ndarray
    letters: np.ndarray
    used: np.ndarray

    @property
    def is_full(self) -> bool:
        """Whether half of its rows are taken: more would make looking up slow."""
        return bool(8 * self.used[0] >= len(self.rows))


def empty_table(rows: int, letters: int) -> WordTable:
    """A table with room for half as many words as rows (a power of two), and for the letters of long ones."""
    return WordTable(np.zeros(4 * rows, np.uint64), np.empty(letters, np.uint8), np.zeros(2, np.int64))


@compiled(allocates=False, forceinline=True)
def mixed(value: np.uint64) -> np.uint64:
    """Spread a number over all 64 bits (finaliser of SplitMix64: Steele, Lea and Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled(allocates=False, forceinline=True)
def keys_of(data: np.ndarray, at: int, length: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """(hash, first key, second key) of a word; the keys of a long one are its hash and 0."""
    low, high = two_eights(data, at, length)
    value = _short_hash(low, high, np.uint64(length))
    if length <= SHORT:
        return value, low, high
    value = _long_hash(data, at, length, value)
    return value, value, np.uint64(0)


@compiled(allocates=False, forceinline=True)
def _short_hash(low: np.uint64, high: np.uint64, length: np.uint64) -> np.uint64:
    value = ((low * _SPREAD_LOW) ^ high ^ length) * _SPREAD
    return value ^ (value >> np.uint64(32))


@compiled(allocates=False)
def _long_hash(data: np.ndarray, at: int, length: int, value: np.uint64) -> np.uint64:
    for place in range(SHORT, length, SHORT):
        low, high = two_eights(data, at + place, length - place)
        value = mixed(value ^ mixed(low ^ mixed(high)))
    return value


@compiled(allocates=False)
def look_ahead(
    data: np.ndarray,
    at: int,
    stop: int,
    classes: np.ndarray,
    digits: int,
    rows: np.ndarray,
    ends: np.ndarray,
    keys: np.ndarray,
) -> np.int64:
    """Cut the next words of a text, and have their rows brought near: a processor reads many of them at the same time.

    Writes to `ends` int64[AHEAD] where they end, to `keys` uint64[AHEAD, 3] their keys. Returns how many they are;
    -1 - a code point that is unknown, if the first word has it.
    """
    mask = np.int64(len(rows) - 1) & ~3
    for word in range(len(ends)):
        end = word_end(data, at, stop, classes, digits)
        if end < 0:
            return np.int64(word) if word else end
        value, low, high = keys_of(data, at, end - at)
        prefetch(rows, np.int64(value << np.uint64(2)) & mask)
        ends[word], keys[word, 0], keys[word, 1], keys[word, 2] = end, value, low, high
        at = end
        if at == stop:
            return np.int64(word + 1)
    return np.int64(len(ends))


@compiled(allocates=False, forceinline=True)
def row_of(
    rows: np.ndarray,
    letters: np.ndarray,
    data: np.ndarray,
    at: int,
    length: int,
    keys: tuple[np.uint64, np.uint64, np.uint64],
) -> np.int64:
    """Where the row of a word begins in `rows`, or the free one where it belongs."""
    value, low, high = keys
    mask = np.int64(len(rows) - 1) & ~3
    row = np.int64(value << np.uint64(2)) & mask
    while True:
        present = rows[row + 2] & LENGTH
        if present == np.uint64(length) and rows[row] == low:
            if length > SHORT:
                if _same(letters, np.int64(rows[row + 1]), data, at, length):
                    return row
            elif rows[row + 1] == high:
                return row
        if present == 0:
            return row
        row = (row + 4) & mask


@compiled(allocates=False)
def _same(letters: np.ndarray, place: int, data: np.ndarray, at: int, length: int) -> bool:
    same = 0
    while same < length and letters[place + same] == data[at + same]:
        same += 1
    return same == length


@compiled(allocates=False)
def add_word(
    rows: np.ndarray,
    letters: np.ndarray,
    used: np.ndarray,
    row: int,
    data: np.ndarray,
    at: int,
    length: int,
    keys: tuple[np.uint64, np.uint64, np.uint64],
) -> None:
    """Put a word into the free row found for it. There must be room for its letters."""
    rows[row], rows[row + 1], rows[row + 2] = keys[1], keys[2], np.uint64(length)
    used[0] += 1
    if length > SHORT:
        rows[row + 1] = np.uint64(used[1])
        for place in range(length):
            letters[used[1] + place] = data[at + place]
        used[1] += length


@compiled()
def in_more_rows(rows: np.ndarray, size: int) -> np.ndarray:
    """The same words in a table of `size` numbers, 4 times a power of two."""
    more, mask = np.zeros(size, np.uint64), np.int64(size - 1) & ~3
    for old in range(0, len(rows), 4):
        length = rows[old + 2] & LENGTH
        if length == 0:
            continue
        value = rows[old] if length > SHORT else _short_hash(rows[old], rows[old + 1], length)
        row = np.int64(value << np.uint64(2)) & mask
        while more[row + 2] != 0:
            row = (row + 4) & mask
        for number in range(4):
            more[row + number] = rows[old + number]
    return more
