"""Lines and paragraphs: their ends, bullets, lengths and repetition.

A line is compared and measured without the whitespace around it; a paragraph is a maximal run of non-blank lines.
"""

import numpy as np

from headwater.assets.curation.signals.compiled import (
    SPACE,
    Texts,
    character_classes,
    decode,
    hash_bytes,
    mix,
    slot_of,
    table_mask,
)
from headwater.assets.kernels import compiled

(
    LINES,
    NEWLINES,
    LONGEST,
    FILLED,
    FILLED_CHARS,
    BULLETS,
    ELLIPSES,
    TERMINALS,
    SHORT,
    REPEATED,
    REPEATED_CHARS,
    PARAGRAPHS,
    REPEATED_PARAGRAPHS,
    REPEATED_PARAGRAPH_CHARS,
) = range(14)
SHORT_LINE = 30  # code points; FineWeb's short_line_length
BULLETS_SEEN = "•‣▶◀◦■□▪▫–*-"  # RedPajama-Data-v2's list, and Markdown's two
TERMINAL_SEEN = ".!?'\"。！？…"
_BULLETS = np.array([ord(character) for character in BULLETS_SEEN], np.int64)
_TERMINALS = np.array([ord(character) for character in TERMINAL_SEEN], np.int64)
_ELLIPSIS = ord("…")


@compiled()
def _previous(data: np.ndarray, at: int) -> int:
    """The position of the code point before a byte position."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@compiled()
def _strip(data: np.ndarray, start: int, stop: int, classes: np.ndarray) -> tuple[int, int]:
    while start < stop:
        code, width = decode(data, start)
        if not classes[code] & SPACE:
            break
        start += width
    while stop > start:
        before = _previous(data, stop)
        if not classes[decode(data, before)[0]] & SPACE:
            break
        stop = before
    return start, stop


@compiled()
def _length(data: np.ndarray, start: int, stop: int) -> int:
    """Code points in a byte range."""
    length = 0
    for at in range(start, stop):
        length += data[at] & 0xC0 != 0x80
    return length


@compiled()
def _contains(codes: np.ndarray, code: np.int64) -> bool:
    found = False
    for index in range(len(codes)):
        found |= codes[index] == code
    return found


@compiled()
def _look(data: np.ndarray, start: int, stop: int, classes: np.ndarray, bullets: np.ndarray, terminals: np.ndarray,
          counts: np.ndarray) -> None:  # fmt: skip
    """Count how a stripped, non-blank line begins and ends."""
    code, width = decode(data, start)
    if _contains(bullets, code):
        # A dash or star is a bullet only before a space: -1 and *args are not lists.
        after = start + width
        spaced = after == stop or classes[decode(data, after)[0]] & SPACE != 0
        counts[BULLETS] += code >= 128 or spaced
    last = decode(data, _previous(data, stop))[0]
    counts[TERMINALS] += _contains(terminals, last)
    dots = stop - start >= 3 and data[stop - 1] == 46 and data[stop - 2] == 46 and data[stop - 3] == 46
    counts[ELLIPSES] += dots or last == _ELLIPSIS


@compiled()
def _seen_before(keys: np.ndarray, stamps: np.ndarray, stamp: int, mask: int, key: np.uint64) -> bool:
    slot = slot_of(keys, stamps, stamp, mask, key)
    if stamps[slot] == stamp:
        return True
    stamps[slot], keys[slot] = stamp, key
    return False


@compiled()
def _read(data: np.ndarray, start: int, stop: int, classes: np.ndarray, bullets: np.ndarray, terminals: np.ndarray,
          hashes: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> int:  # fmt: skip
    """Write hash and length of each line of one text, count them, and return how many were written.

    Of blank lines behind each other one is written, with length 0: it ends a paragraph as they all do.
    """
    lines, at = 0, start
    while at < stop:
        end = at
        while end < stop and data[end] != 10:
            end += 1
        counts[LONGEST] = max(counts[LONGEST], _length(data, at, end))
        left, right = _strip(data, at, end, classes)
        lengths[lines] = _length(data, left, right)
        if left < right:
            hashes[lines] = hash_bytes(data, left, right)
            _look(data, left, right, classes, bullets, terminals, counts)
            counts[FILLED] += 1
            counts[FILLED_CHARS] += lengths[lines]
            counts[SHORT] += lengths[lines] <= SHORT_LINE
        counts[NEWLINES] += end < stop
        counts[LINES] += 1
        lines += left < right or lines == 0 or lengths[lines - 1] > 0
        at = end + 1
    return lines


@compiled()
def _repeat(hashes: np.ndarray, lengths: np.ndarray, keys: np.ndarray, stamps: np.ndarray, stamp: int,
            counts: np.ndarray) -> None:  # fmt: skip
    """Count repeated lines (with the stamp) and repeated paragraphs (with the next one)."""
    mask = table_mask(len(hashes))
    for line in range(len(hashes)):
        if lengths[line] and _seen_before(keys, stamps, stamp, mask, hashes[line]):
            counts[REPEATED] += 1
            counts[REPEATED_CHARS] += lengths[line]
    line = 0
    while line < len(hashes):
        value, chars = np.uint64(0), 0
        while line < len(hashes) and lengths[line]:
            value = mix(value * np.uint64(0x9E3779B97F4A7C15) + hashes[line])
            chars += lengths[line]
            line += 1
        line += 1
        if chars:
            counts[PARAGRAPHS] += 1
            if _seen_before(keys, stamps, stamp + 1, mask, value):
                counts[REPEATED_PARAGRAPHS] += 1
                counts[REPEATED_PARAGRAPH_CHARS] += chars


@compiled()
def _scan(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, bullets: np.ndarray, terminals: np.ndarray, longest: int
) -> np.ndarray:
    counts = np.zeros((len(offsets) - 1, 14), np.int64)
    # Memory that is never written costs nothing: a text has far fewer lines than room is made for.
    hashes, lengths = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.int32)
    keys, stamps = np.empty(16, np.uint64), np.zeros(16, np.int32)
    for text in range(len(counts)):
        lines = _read(
            data, offsets[text], offsets[text + 1], classes, bullets, terminals, hashes, lengths, counts[text]
        )
        needed = table_mask(lines) + 1
        if needed > len(keys):
            keys, stamps = np.empty(needed, np.uint64), np.zeros(needed, np.int32)
        _repeat(hashes[:lines], lengths[:lines], keys, stamps, 2 * text + 1, counts[text])
    return counts


def scan_lines(texts: Texts) -> np.ndarray:
    """Count lines, how they begin and end, and their repetition: int64[texts, 14], columns named by this module."""
    return _scan(texts.data, texts.offsets, character_classes(), _BULLETS, _TERMINALS, texts.longest)
