"""Words, how many and of which kind, and their repetition: each text is split once into word hashes and lengths."""

import numpy as np

from headwater.assets.curation.signals.compiled import (
    ALPHABETIC,
    SPACE,
    Texts,
    character_classes,
    decode,
    hash_bytes,
    table_mask,
)
from headwater.assets.curation.signals.grams import PART, count_repeats
from headwater.assets.kernels import compiled

WORDS, WORD_CHARS, ALPHABETIC_WORDS, STOP_WORDS = range(4)
GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
_PACKED_STOP_WORDS = np.array([int.from_bytes(word.encode(), "big") for word in GOPHER_STOP_WORDS], np.int64)


@compiled()
def _stop_word_bit(data: np.ndarray, start: int, stop: int, stop_words: np.ndarray) -> int:
    """The bit of the stop word that a word is, once punctuation around it and case are ignored; 0 for none."""
    while start < stop and not _is_ascii_alphanumeric(data[start]):
        start += 1
    while stop > start and not _is_ascii_alphanumeric(data[stop - 1]):
        stop -= 1
    if stop - start > 4 or stop - start < 2:
        return 0
    packed = np.int64(0)
    for at in range(start, stop):
        byte = np.int64(data[at])
        packed = packed << 8 | (byte + 32 if 65 <= byte <= 90 else byte)
    for index in range(len(stop_words)):
        if stop_words[index] == packed:
            return 1 << index
    return 0


@compiled()
def _is_ascii_alphanumeric(byte: int) -> bool:
    # Bytes of longer code points count as letters: they are never stripped from a word.
    return byte >= 128 or 48 <= byte <= 57 or 65 <= byte <= 90 or 97 <= byte <= 122


@compiled()
def _split(
    data: np.ndarray,
    span: tuple[int, int],
    classes: np.ndarray,
    stop_words: np.ndarray,
    hashes: np.ndarray,
    lengths: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Write hash and length of each word of one text, add up `counts`, and return the number of words."""
    words, at, found = 0, span[0], 0
    while at < span[1]:
        start, length, seen = at, 0, 0
        width = 0
        while at < span[1]:
            code, width = decode(data, at)
            if classes[code] & SPACE:
                break
            seen |= classes[code]
            length += 1
            at += width
        if length:
            hashes[words] = hash_bytes(data, start, at)
            lengths[words] = length
            words += 1
            counts[WORD_CHARS] += length
            counts[ALPHABETIC_WORDS] += (seen & ALPHABETIC) != 0
            found |= _stop_word_bit(data, start, at, stop_words)
        if at < span[1]:
            at += width
    counts[WORDS] = words
    while found:
        counts[STOP_WORDS] += found & 1
        found >>= 1
    return words


@compiled()
def _scan(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, stop_words: np.ndarray, longest: int, repetition: bool
) -> tuple[np.ndarray, np.ndarray]:
    texts, room = len(offsets) - 1, longest // 2 + 1
    counts, repeats = np.zeros((texts, 4), np.int64), np.zeros((texts, 9), np.int64)
    # Memory that is never written costs nothing: a text has far fewer words than room is made for.
    hashes, lengths = np.empty(room, np.uint64), np.empty(room, np.int32)
    grams, places, fates = np.empty(room, np.uint64), np.empty(room, np.int32), np.empty(room, np.int32)
    size, stamp = 16, 0
    keys, stamps, tallies = np.empty(size, np.uint64), np.zeros(size, np.int32), np.empty(size, np.int32)
    for text in range(texts):
        span = (offsets[text], offsets[text + 1])
        words = _split(data, span, classes, stop_words, hashes, lengths, counts[text])
        if not repetition:
            continue
        needed = table_mask(min(words, PART)) + 1
        if needed > len(keys):
            keys, stamps, tallies = np.empty(needed, np.uint64), np.zeros(needed, np.int32), np.empty(needed, np.int32)
        stamp = count_repeats(
            hashes[:words], lengths[:words], grams, places, fates, keys, stamps, tallies, stamp, repeats[text]
        )
    return counts, repeats


def scan_words(texts: Texts, repetition: bool) -> tuple[np.ndarray, np.ndarray]:
    """Count words and the characters in repeated n-grams.

    Args:
        texts: the batch.
        repetition: whether n-grams are counted; zeros when not.

    Returns:
        int64[texts, 4]: words, their characters, words with a letter, distinct stop words;
        int64[texts, 9]: characters in the top 2, 3, 4-gram and in repeated 5 to 10-grams.
    """
    return _scan(texts.data, texts.offsets, character_classes(), _PACKED_STOP_WORDS, texts.longest, repetition)
