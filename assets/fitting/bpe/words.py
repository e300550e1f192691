"""Where words end: the regular expressions of `PATTERNS`, as a scanner over the bytes of UTF-8.

What a letter, a number or a space is, Hugging Face's own regular expressions say: they are asked about a block of code
points when the first of them turns up in a text, so the scanner knows no Unicode tables that could disagree with them.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers, and calls intrinsics without their first argument)

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from tokenizers import Regex, pre_tokenizers

from headwater.assets.fitting.bpe.machine import load, lowest_bit
from headwater.assets.fitting.bpe.patterns import PATTERNS
from headwater.assets.kernels import compiled

OTHER, LETTER, NUMBER, SPACE, NEWLINE, UNKNOWN = range(6)  # classes of characters; NEWLINE is \r and \n
# Bits of a character: its class; the letter it stands for in contractions; whether it may lead a word of letters.
_CLASS, _SHIFT, _CONTRACTED_AS, _LEADS = 7, 3, 15, 7
_CONTRACTED = "strevmld"
_S, _T, _R, _E, _V, _M, _L, _D = range(1, 9)
_BLOCK = 4096
_SURROGATES = range(0xD800, 0xE000)

# Of 8 bytes at once (all that is in each byte): ASCII letters are those that become a to z with the bit of the case.
_LOW_BITS, _HIGH_BITS, _CASE = (np.uint64(byte * 0x0101010101010101) for byte in (0x7F, 0x80, 0x20))
_FROM_A, _PAST_Z = (np.uint64(byte * 0x0101010101010101) for byte in (0x80 - ord("a"), 0x80 - ord("z") - 1))
_FIRST, _SECOND = (
    np.array([(1 << 8 * min(max(length - skip, 0), 8)) - 1 for length in range(17)], np.uint64) for skip in (0, 8)
)


class Cut(NamedTuple):
    """How a pattern cuts: `classes` uint8[0x110000] of code points, `digits` in a word of numbers (0: as GPT-2)."""

    classes: np.ndarray
    digits: int


@lru_cache(maxsize=len(PATTERNS))
def cut_of(pattern: str) -> Cut:
    """The cut of a pattern of `PATTERNS`. Its classes are filled in by `learn_class`, for all texts of this process."""
    return Cut(np.full(0x110000, UNKNOWN, np.uint8), {"gpt2": 0, "digits_of_three": 3, "single_digits": 1}[pattern])


def learn_class(cut: Cut, point: int) -> None:
    """Fill in the classes of the block of a code point that the scanner did not know."""
    first = point - point % _BLOCK
    points = np.array([n for n in range(first, min(first + _BLOCK, 0x110000)) if n not in _SURROGATES])
    text = "".join(map(chr, points))
    found = np.zeros(len(points), np.uint8)
    for kind, expression in ((LETTER, r"\p{L}"), (NUMBER, r"\p{N}"), (SPACE, r"\s")):
        found[_matches(text, expression)] = kind
    found[np.isin(points, [ord("\r"), ord("\n")])] = NEWLINE
    alike = "(?i:%s)" if cut.digits else "%s"
    if len(_matches(text, alike % f"[{_CONTRACTED}]")):  # few blocks have any: asking for each letter takes longest
        for number, letter in enumerate(_CONTRACTED, 1):
            found[_matches(text, alike % letter)] |= number << _SHIFT
    leads = ((found == OTHER) | (found == SPACE)) & (points != ord("'")) if cut.digits else points == ord(" ")
    found[leads] |= 1 << _LEADS
    cut.classes[points] = found


def _matches(text: str, expression: str) -> np.ndarray:
    """Places of the characters of a text that match an expression of one character."""
    split = pre_tokenizers.Split(Regex(f"{expression}+"), behavior="removed", invert=True)
    runs = [np.arange(*place) for _, place in split.pre_tokenize_str(text)]
    return np.concatenate(runs) if runs else np.empty(0, np.int64)


@compiled(allocates=False, forceinline=True)
def two_eights(data: np.ndarray, at: int, length: int) -> tuple[np.uint64, np.uint64]:
    """The first 16 of the next `length` bytes as two numbers, the first byte lowest; what is missing is 0."""
    if at + 16 <= len(data):
        if length >= 16:
            return load(data, at), load(data, at + 8)
        return load(data, at) & _FIRST[length], load(data, at + 8) & _SECOND[length]
    low, high = np.uint64(0), np.uint64(0)
    for place in range(min(length, 8)):
        low |= np.uint64(data[at + place]) << np.uint64(8 * place)
    for place in range(8, min(length, 16)):
        high |= np.uint64(data[at + place]) << np.uint64(8 * place - 64)
    return low, high


@compiled(allocates=False, forceinline=True)
def _letters(data: np.ndarray, at: int, stop: int) -> np.int64:
    """Where a run of ASCII letters ends, eight bytes at a step: a byte's high bit says whether it is a letter."""
    while at + 8 <= len(data):
        read = load(data, at)
        lower = (read & _LOW_BITS) | _CASE
        others = ((lower + _FROM_A) & ~(lower + _PAST_Z) & ~read & _HIGH_BITS) ^ _HIGH_BITS
        if others:
            at += lowest_bit(others) >> 3
            return np.int64(min(at, stop))
        at += 8
        if at >= stop:
            return np.int64(stop)
    while at < stop and np.uint8((data[at] | 0x20) - 0x61) < 26:
        at += 1
    return np.int64(at)


@compiled(allocates=False, forceinline=True)
def _spaces(data: np.ndarray, at: int, stop: int) -> np.int64:
    """Where a run of the ASCII space ends."""
    while at + 8 <= len(data):
        others = load(data, at) ^ _CASE
        if others:
            at += lowest_bit(others) >> 3
            return np.int64(min(at, stop))
        at += 8
        if at >= stop:
            return np.int64(stop)
    while at < stop and data[at] == 0x20:
        at += 1
    return np.int64(at)


@compiled(allocates=False)
def _character(data: np.ndarray, at: int, classes: np.ndarray) -> tuple[np.int64, np.int64]:
    """(entry of the character in `classes`, its width in bytes); the entry of an unknown one is -1 - its code point."""
    first = np.int64(data[at])
    if first < 0x80:
        point, width = first, np.int64(1)
    elif first < 0xE0:
        point, width = (first & 0x1F) << 6 | (data[at + 1] & 0x3F), np.int64(2)
    elif first < 0xF0:
        point, width = (first & 0xF) << 12 | np.int64(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), np.int64(3)
    else:
        high = (first & 0x7) << 18 | np.int64(data[at + 1] & 0x3F) << 12
        point, width = high | np.int64(data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), np.int64(4)
    entry = np.int64(classes[point])
    return (entry, width) if entry != UNKNOWN else (-1 - point, width)


@compiled(allocates=False)
def _run(data: np.ndarray, at: int, stop: int, classes: np.ndarray, kind: int) -> np.int64:
    """Where a run of one class ends, or -1 - an unknown code point."""
    while at < stop:
        first = data[at]
        if first < 0x80:
            if classes[first] & _CLASS != kind:
                if classes[first] == UNKNOWN:
                    return -1 - np.int64(first)
                return np.int64(at)
            at += 1
        else:
            entry, width = _character(data, at, classes)
            if entry < 0:
                return entry
            if entry & _CLASS != kind:
                return np.int64(at)
            at += width
    return np.int64(at)


@compiled(allocates=False)
def _contraction(data: np.ndarray, at: int, stop: int, classes: np.ndarray) -> np.int64:
    """Where 's 't 're 've 'm 'll or 'd at an apostrophe ends; `at` where there is none, or -1 - an unknown point."""
    if at + 1 >= stop:
        return np.int64(at)
    entry, width = _character(data, at + 1, classes)
    if entry < 0:
        return entry
    first, after = entry >> _SHIFT & _CONTRACTED_AS, at + 1 + width
    if first in (_S, _T, _M, _D):
        return np.int64(after)
    if first in (_R, _V, _L) and after < stop:
        entry, width = _character(data, after, classes)
        if entry < 0:
            return entry
        if entry >> _SHIFT & _CONTRACTED_AS == (_L if first == _L else _E):
            return np.int64(after + width)
    return np.int64(at)


@compiled(allocates=False)
def _blank(data: np.ndarray, at: int, stop: int, classes: np.ndarray, lines: bool) -> np.int64:
    """Where a word of white space ends: after its last line break (if `lines`), or before what follows it."""
    start, last, broken = at, at, np.int64(-1)
    while at < stop:
        if data[at] == 0x20:
            at = _spaces(data, at, stop)
            last = at - 1
            continue
        entry, width = _character(data, at, classes)
        if entry < 0:
            return entry
        if entry & _CLASS < SPACE:
            break
        last = at
        at += width
        if entry & _CLASS == NEWLINE:
            broken = np.int64(at)
    if lines and broken >= 0:
        return broken
    return np.int64(at if at == stop or last == start else last)


@compiled(allocates=False, forceinline=True)
def word_end(data: np.ndarray, at: int, stop: int, classes: np.ndarray, digits: int) -> np.int64:
    """Where the word that begins at a byte ends, in a text that ends at `stop`; or -1 - an unknown code point."""
    first = data[at]
    begin = at + (np.int64(classes[first]) >> _LEADS if first < 0x80 else 0)
    end = _letters(data, begin, stop)
    if end > begin:
        return _run(data, end, stop, classes, LETTER) if end < stop and data[end] >= 0x80 else end
    return _other_word(data, at, stop, classes, digits)


@compiled(allocates=False)
def _other_word(data: np.ndarray, at: int, stop: int, classes: np.ndarray, digits: int) -> np.int64:
    """The same for a word that does not begin with an ASCII letter, or with one character and an ASCII letter."""
    if data[at] == 0x27:
        end = _contraction(data, at, stop, classes)
        if end != at:
            return end
    entry, width = _character(data, at, classes)
    if entry < 0:
        return entry
    kind, after = entry & _CLASS, at + width
    if digits == 0:
        return _gpt2_word(data, at, stop, classes, kind, after)
    if kind == LETTER:
        return _run(data, after, stop, classes, LETTER)
    if kind == NUMBER:
        for _ in range(digits - 1):
            if after < stop:
                entry, width = _character(data, after, classes)
                if entry < 0:
                    return entry
                if entry & _CLASS == NUMBER:
                    after += width
                else:
                    break
        return np.int64(after)
    follower = np.int64(NEWLINE)
    if after < stop:
        follower, width = _character(data, after, classes)
        if follower < 0:
            return follower
    if kind != NEWLINE and follower & _CLASS == LETTER:
        return _run(data, after + width, stop, classes, LETTER)
    if kind == OTHER or (data[at] == 0x20 and follower & _CLASS == OTHER):
        end = _run(data, after, stop, classes, OTHER)
        return _run(data, end, stop, classes, NEWLINE) if end >= 0 else end
    return _blank(data, at, stop, classes, True)


@compiled(allocates=False)
def _gpt2_word(data: np.ndarray, at: int, stop: int, classes: np.ndarray, kind: int, after: int) -> np.int64:
    if data[at] == 0x20 and after < stop:
        entry, width = _character(data, after, classes)
        if entry < 0:
            return entry
        if entry & _CLASS < SPACE:
            return _run(data, after + width, stop, classes, entry & _CLASS)
    if kind < SPACE:
        return _run(data, after, stop, classes, kind)
    return _blank(data, at, stop, classes, False)
