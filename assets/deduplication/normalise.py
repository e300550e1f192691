"""From UTF-8 bytes to what is compared: folded text for exact keys, hashed words for everything else.

A word is a maximal run of letters, digits, marks and underscores, so that code splits into identifiers and numbers; in
scripts written without spaces (Chinese, Japanese, Thai, Khmer, Lao, Burmese) every character is a word. Case is folded
one character to one (simple folding), punctuation and white space separate words and count for nothing. The kernels run
over the bytes of whole Arrow columns; no Python object is made for a word.
"""

import hashlib
import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.options import ExactOptions
from headwater.assets.kernels import compiled

Bytes = npt.NDArray[np.uint8]
Points = npt.NDArray[np.uint32]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

SEPARATOR, WORD, ALONE, SPACE = 0, 1, 2, 3  # classes of a code point; ALONE is a word by itself

_TABLE = 0x20000  # code points with their own entry; above are rare ideographs, then unassigned and private ones
_IDEOGRAPHS_END = 0x40000
_BLOCK = 0x100  # code points whose case is looked at together
_ALONE_RANGES = (
    (0x0E00, 0x0E7F),  # Thai
    (0x0E80, 0x0EFF),  # Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # ideographs
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)

_OFFSET_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x00000100000001B3)
BASE = np.uint64(0x9E3779B97F4A7C15)  # of polynomials over words, modulo 2^64


def _classes() -> Bytes:
    points = np.arange(_TABLE, dtype=np.uint32)
    characters = points.view("U1")  # NumPy asks Python's own Unicode data, for all characters in one call
    space, word = np.char.isspace(characters), np.char.isalnum(characters)
    word[ord("_")] = True
    others = np.flatnonzero(~word).tolist()
    word[others] = [unicodedata.category(chr(point))[0] == "M" for point in others]
    classes = np.where(word, WORD, SEPARATOR).astype(np.uint8)
    for first, last in _ALONE_RANGES:
        classes[first : last + 1][word[first : last + 1]] = ALONE
    classes[space] = SPACE
    return classes


def _fold_of(character: str) -> int:
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return ord(folded)
    return ord(character)


def _folds() -> Points:
    folds = np.arange(_TABLE, dtype=np.uint32)
    for first in range(0, _TABLE, _BLOCK):
        block = "".join(map(chr, range(first, first + _BLOCK)))
        if block.casefold() != block:  # most have no letter with case
            folds[first : first + _BLOCK] = [_fold_of(character) for character in block]
    return folds


def power(words: int) -> np.uint64:
    """The base of polynomials over words raised to their number, modulo 2^64: the weight of the word that leaves."""
    return np.uint64(pow(int(BASE), words, 1 << 64))


def most_words(size: int) -> int:
    """The most words that `size` bytes can hold: a word takes a byte and a separator, or the three of an ideograph."""
    return size // 2 + 1


@lru_cache(maxsize=1)
def character_tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """(class, folded code point) of every code point below 0x20000, from this Python's Unicode data."""
    return _classes(), _folds()


def text_buffers(texts: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """(bytes, offsets) of a string column without copying large_string data: text i is bytes[offsets[i]:offsets[i+1]].

    Raises ValueError when a text is null.
    """
    array = texts.cast(pa.large_string())
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise ValueError(f"row {row} has no text; unreadable documents must be dropped before deduplication")
    _, offsets, data = array.buffers()
    if len(array) == 0:
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    places = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8), places


@compiled(inline="always")
def decode(data: Bytes, at: int) -> tuple[np.uint32, int]:
    """(code point, next position) of the valid UTF-8 character at `at`."""
    lead = np.uint32(data[at])
    if lead < 0x80:
        return lead, at + 1
    second = np.uint32(data[at + 1]) & np.uint32(0x3F)
    if lead < 0xE0:
        return ((lead & np.uint32(0x1F)) << np.uint32(6)) | second, at + 2
    third = np.uint32(data[at + 2]) & np.uint32(0x3F)
    if lead < 0xF0:
        return ((lead & np.uint32(0x0F)) << np.uint32(12)) | (second << np.uint32(6)) | third, at + 3
    fourth = np.uint32(data[at + 3]) & np.uint32(0x3F)
    high = ((lead & np.uint32(0x07)) << np.uint32(18)) | (second << np.uint32(12))
    return high | (third << np.uint32(6)) | fourth, at + 4


@compiled(inline="always")
def classify(point: np.uint32, classes: Bytes) -> np.uint8:
    """The class of a code point, those outside the table included."""
    if point < _TABLE:
        return classes[point]
    return np.uint8(ALONE if point < _IDEOGRAPHS_END else SEPARATOR)


@compiled(inline="always")
def mix(value: np.uint64) -> np.uint64:
    """A bijection of 64-bit integers that spreads every input bit (finaliser of splitmix64, Steele et al. 2014)."""
    value = np.uint64(value)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled()
def next_word(data: Bytes, at: int, end: int, classes: Bytes, folds: Points) -> tuple[bool, np.uint64, int]:
    """(found, hash, next position) of the first word at or after `at`; the hash is of the folded code points."""
    value = _OFFSET_BASIS
    inside = False
    while at < end:
        point, after = decode(data, at)
        kind = classify(point, classes)
        if kind == WORD:
            folded = folds[point]
            value = (value ^ np.uint64(folded)) * _PRIME
            inside = True
        elif inside:
            return True, mix(value), at
        elif kind == ALONE:
            return True, mix((value ^ np.uint64(point)) * _PRIME), after
        at = after
    return inside, mix(value), at


@compiled()
def word_hashes(data: Bytes, start: int, end: int, classes: Bytes, folds: Points, out: Hashes) -> int:
    """Write the hash of every word of data[start:end] to `out`, in order; give their number.

    The lowest bit says whether the word is a character of a script without spaces; the others are those of `next_word`.
    """
    count, value, inside = 0, _OFFSET_BASIS, False
    at = start
    while at < end:
        point = np.uint32(data[at])
        if point < 0x80:
            at += 1
            kind = classes[point]
        else:
            point, at = decode(data, at)
            kind = classify(point, classes)
        if kind == WORD:
            value = (value ^ np.uint64(folds[point])) * _PRIME
            inside = True
            continue
        if inside:
            out[count] = mix(value) & ~np.uint64(1)
            count += 1
            value, inside = _OFFSET_BASIS, False
        if kind == ALONE:
            out[count] = mix((_OFFSET_BASIS ^ np.uint64(point)) * _PRIME) | np.uint64(1)
            count += 1
    if inside:
        out[count] = mix(value) & ~np.uint64(1)
        count += 1
    return count


@compiled(inline="always")
def _encode(point: np.uint32, out: Bytes, at: int) -> int:
    """Write one code point as UTF-8; give the next position."""
    if point < 0x80:
        out[at] = point
        return at + 1
    if point < 0x800:
        out[at] = 0xC0 | (point >> 6)
        out[at + 1] = 0x80 | (point & 0x3F)
        return at + 2
    if point < 0x10000:
        out[at] = 0xE0 | (point >> 12)
        out[at + 1] = 0x80 | ((point >> 6) & 0x3F)
        out[at + 2] = 0x80 | (point & 0x3F)
        return at + 3
    out[at] = 0xF0 | (point >> 18)
    out[at + 1] = 0x80 | ((point >> 12) & 0x3F)
    out[at + 2] = 0x80 | ((point >> 6) & 0x3F)
    out[at + 3] = 0x80 | (point & 0x3F)
    return at + 4


@compiled()
def _fold(
    data: Bytes, offsets: Rows, classes: Bytes, folds: Points, fold_case: bool, fold_space: bool, out: Bytes, ends: Rows
) -> None:
    """Write the normalised form of every text to `out` and where each ends to `ends`."""
    filled = 0
    for text in range(len(offsets) - 1):
        start, at, pending = filled, offsets[text], False
        while at < offsets[text + 1]:
            point, at = decode(data, at)
            if fold_space and classify(point, classes) == SPACE:
                pending = filled > start  # white space at the front is dropped, at the end never written
                continue
            if pending:
                out[filled] = 32
                filled += 1
                pending = False
            if fold_case and point < _TABLE:
                point = folds[point]
            filled = _encode(point, out, filled)
        ends[text] = filled


def normalised(texts: pa.Array | pa.ChunkedArray, options: ExactOptions) -> tuple[memoryview, npt.NDArray[np.int64]]:
    """(bytes, offsets) of the texts as exact comparison sees them: case and white space folded as declared."""
    data, offsets = text_buffers(texts)
    size = int(offsets[-1] - offsets[0])
    out = np.empty(size + size // 2 + 8, dtype=np.uint8)  # folding makes two bytes three at most (U+023A)
    places = np.zeros(len(offsets), dtype=np.int64)
    _fold(data, offsets, *character_tables(), options.fold_case, options.fold_whitespace, out, places[1:])
    return out.data, places


def exact_keys(texts: pa.Array | pa.ChunkedArray, options: ExactOptions) -> pa.FixedSizeBinaryArray:
    """16 bytes of BLAKE2b per text over its normalised form; equal keys are taken for equal texts."""
    view, places = normalised(texts, options)
    blake = hashlib.blake2b
    pairs = zip(places[:-1].tolist(), places[1:].tolist(), strict=True)
    keys = b"".join([blake(view[start:end], digest_size=16).digest() for start, end in pairs])
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(places) - 1, [None, pa.py_buffer(keys)])
