"""Repeated n-grams of the words of one text, counted from word hashes.

An n-gram can repeat only where its first n - 1 words do. So each length goes through the places that the one before
left: all for pairs of words, a few per cent from five words on. The hash table has a bounded size: the n-grams of a
very long text are counted in parts, by their hashes, with the same result.
"""

import numpy as np

from headwater.assets.curation.signals.compiled import mix, slot_of, table_mask
from headwater.assets.kernels import compiled

TOP_GRAMS = (2, 3, 4)
DUPLICATE_GRAMS = tuple(range(5, 11))
PART = 1 << 21  # n-grams that are counted at a time
_ONCE, _FIRST, _REPEATED = 0, 1, 2  # the fate of an n-gram at a place


@compiled()
def part_of(gram: np.uint64, parts: int) -> np.int64:
    """The part that a hash belongs to, by its upper half: slots go by its lower bits."""
    return np.int64(((gram >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32))


@compiled()
def _note_top(lengths: np.ndarray, place: int, n: int, count: int, top: np.ndarray) -> None:
    """Keep the most frequent n-gram's count and characters, the longest among equally frequent ones."""
    if count < 2 or count < top[0]:
        return
    chars = 0
    for word in range(place, place + n):
        chars += lengths[word]
    if count > top[0] or chars > top[1]:
        top[0], top[1] = count, chars


@compiled()
def _tally(grams: np.ndarray, places: np.ndarray, fates: np.ndarray, lengths: np.ndarray, n: int, parts: int, part: int,
           keys: np.ndarray, stamps: np.ndarray, tallies: np.ndarray, stamp: int, top: np.ndarray) -> None:  # fmt: skip
    """Count the n-grams of a part and write their fates: once, first of several, or repeated."""
    mask = table_mask(min(len(grams), PART))
    for at in range(len(grams)):
        if parts > 1 and part_of(grams[at], parts) != part:
            continue
        slot = slot_of(keys, stamps, stamp, mask, grams[at])
        if stamps[slot] != stamp:
            stamps[slot], keys[slot], tallies[slot] = stamp, grams[at], 1
            fates[at] = slot
            continue
        tallies[slot] += 1
        fates[at] = -1
        if n <= 4:
            _note_top(lengths, places[at], n, tallies[slot], top)
    for at in range(len(grams)):
        if parts > 1 and part_of(grams[at], parts) != part:
            continue
        if fates[at] < 0:
            fates[at] = _REPEATED
        else:
            fates[at] = _ONCE if tallies[fates[at]] == 1 else _FIRST


@compiled()
def _keep_repeating(places: np.ndarray, grams: np.ndarray, fates: np.ndarray, lengths: np.ndarray,
                    n: int) -> tuple[int, int]:  # fmt: skip
    """Move the places of n-grams that occur twice to the front; how many, and the characters of words in repeats.

    A word counts once, however many repeated n-grams it lies in.
    """
    kept, covered_to, chars = 0, 0, 0
    for at in range(len(grams)):
        if fates[at] == _ONCE:
            continue
        place = places[at]
        if fates[at] == _REPEATED and n > 4:
            for word in range(max(place, covered_to), place + n):
                chars += lengths[word]
            covered_to = place + n
        places[kept], grams[kept] = place, grams[at]
        kept += 1
    return kept, chars


@compiled()
def _lengthen(places: np.ndarray, grams: np.ndarray, hashes: np.ndarray, n: int) -> int:
    """Make n-grams of (n - 1)-grams; those at the end of the text, with no word left, go."""
    kept = 0
    for at in range(len(places)):
        last = np.int64(places[at]) + n - 1
        if last < len(hashes):
            grams[kept] = mix(grams[at] * np.uint64(0x9E3779B97F4A7C15) + hashes[last])
            places[kept] = places[at]
            kept += 1
    return kept


@compiled()
def count_repeats(hashes: np.ndarray, lengths: np.ndarray, grams: np.ndarray, places: np.ndarray, fates: np.ndarray,
                  keys: np.ndarray, stamps: np.ndarray, tallies: np.ndarray, stamp: int,
                  out: np.ndarray) -> int:  # fmt: skip
    """Count the characters in top 2 to 4-grams and repeated 5 to 10-grams of one text.

    Args:
        hashes: uint64[words], lengths: int32[words] in code points.
        grams: uint64, places: int32, fates: int32, room for each word.
        keys: uint64, stamps: int32, tallies: int32: a table with room for min(words, PART), see `slot_of`.
        stamp: the last stamp used.
        out: int64[9], filled with characters for n = 2 to 10.

    Returns:
        The last stamp used.
    """
    left, top = len(hashes), np.zeros(2, np.int64)
    for word in range(left):
        places[word], grams[word] = word, hashes[word]
    for n in range(2, 11):
        left = _lengthen(places[:left], grams[:left], hashes, n)
        if left < 2:
            break
        parts = (left + PART - 1) // PART
        top[:] = 0
        for part in range(parts):
            stamp += 1
            _tally(grams[:left], places, fates, lengths, n, parts, part, keys, stamps, tallies, stamp, top)
        left, chars = _keep_repeating(places, grams[:left], fates, lengths, n)
        out[n - 2] = top[0] * top[1] if n <= 4 else chars
    return stamp
