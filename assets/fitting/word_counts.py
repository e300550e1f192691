"""How often each distinct word stands in texts: all that the merges of a tokenizer are learned from.

Texts are cut into words by the scanner that encoding uses, and the words are counted in one table, batch by batch:
neither the order nor the number of the batches makes a difference. Memory is that of the distinct words alone: between
64 and 256 bytes for each (the table is kept between an eighth and half full), and the letters of those above 16 bytes.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers)

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from headwater.assets.fitting.bpe.table import AHEAD, SHORT, add_word, empty_table, in_more_rows, look_ahead, row_of
from headwater.assets.fitting.bpe.words import cut_of, learn_class
from headwater.assets.kernels import compiled

_ROWS = 1 << 16
_LETTERS = 1 << 20
_DONE, _TABLE_FULL, _LETTERS_FULL, _UNKNOWN = range(4)


class CountedWords(NamedTuple):
    """Distinct words in no order that matters: word n, `letters[starts[n]:starts[n + 1]]`, stood `counts[n]` times.

    `letters` uint8[bytes], `starts` int64[words + 1], `counts` int64[words].
    """

    letters: np.ndarray
    starts: np.ndarray
    counts: np.ndarray


class WordCounter:
    """Counts the words of a pattern of `PATTERNS` in batches of texts."""

    def __init__(self, pattern: str) -> None:
        self._cut = cut_of(pattern)
        self._table = empty_table(_ROWS, _LETTERS)

    def add(self, texts: pa.Array | pa.ChunkedArray, most: int) -> None:
        """Count the words in the first `most` bytes of each text; a character that is cut there does not count."""
        for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
            array = chunk.cast(pa.large_string())
            offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
            data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
            self.add_bytes(data, offsets[:-1], _beginnings(data, offsets, most))

    def add_bytes(self, data: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> None:
        """Count the words of the texts `data[starts[n]:stops[n]]`, whole UTF-8 each."""
        text, at, status = 0, -1, -1
        ahead = np.empty(AHEAD, np.int64), np.empty((AHEAD, 3), np.uint64)
        while status != _DONE:
            arguments = (data, starts, stops, *self._cut, *self._table, *ahead, text, at)
            text, at, status, number = _count_words(*arguments)
            if status == _UNKNOWN:
                learn_class(self._cut, number)
            elif status == _TABLE_FULL:
                self._table = self._table._replace(rows=in_more_rows(self._table.rows, 4 * len(self._table.rows)))
            elif status == _LETTERS_FULL:
                letters = np.empty(2 * (len(self._table.letters) + number), np.uint8)
                letters[: len(self._table.letters)] = self._table.letters
                self._table = self._table._replace(letters=letters)

    def counted(self) -> CountedWords:
        """All words met so far."""
        rows = self._table.rows.reshape(-1, 4)
        rows = rows[rows[:, 2] > 0]
        is_long = rows[:, 2] > SHORT
        short, long = rows[~is_long], rows[is_long]
        long = long[np.argsort(long[:, 1])]  # their letters follow each other in the table
        in_word = np.arange(SHORT) < short[:, 2, np.newaxis].astype(np.int64)
        letters = short[:, :2].astype("<u8").view(np.uint8)[in_word]
        lengths, counts = np.concatenate([short[:, 2:], long[:, 2:]]).astype(np.int64).T
        kept = self._table.letters[: self._table.used[1]]
        return CountedWords(np.concatenate([letters, kept]), np.cumsum(np.r_[0, lengths]), counts.copy())


def _beginnings(data: np.ndarray, offsets: np.ndarray, most: int) -> np.ndarray:
    """Where the texts end when each is cut to `most` bytes: before a character that would be cut in two."""
    stops = offsets[1:].copy()
    for text in np.flatnonzero(np.diff(offsets) > most):
        stop = offsets[text] + most
        while stop > offsets[text] and data[stop] & 0xC0 == 0x80:
            stop -= 1
        stops[text] = stop
    return stops


@compiled(allocates=False)
def _count_words(
    data: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    classes: np.ndarray,
    digits: int,
    rows: np.ndarray,
    letters: np.ndarray,
    used: np.ndarray,
    ends: np.ndarray,
    keys: np.ndarray,
    text: int,
    at: int,
) -> tuple[int, int, int, int]:
    """Count from where an earlier call stopped: (text, byte in it or -1, status, a number for the caller)."""
    while text < len(starts):
        if at < 0:
            at = starts[text]
        stop = stops[text]
        while at < stop:
            ahead = look_ahead(data, at, stop, classes, digits, rows, ends, keys)
            if ahead < 0:
                return text, at, _UNKNOWN, -1 - ahead
            for word in range(ahead):
                length, key = ends[word] - at, (keys[word, 0], keys[word, 1], keys[word, 2])
                row = row_of(rows, letters, data, at, length, key)
                if rows[row + 2] == 0:
                    if 8 * used[0] >= len(rows):
                        return text, at, _TABLE_FULL, 0
                    if length > SHORT and used[1] + length > len(letters):
                        return text, at, _LETTERS_FULL, length
                    add_word(rows, letters, used, row, data, at, length, key)
                rows[row + 3] += np.uint64(1)
                at = ends[word]
        text, at = text + 1, -1
    return text, at, _DONE, 0
