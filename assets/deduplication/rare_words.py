"""Sketches of documents by their words, in which rare words count for more than common ones.

A copy with every fifth word changed shares a quarter of its 5-word shingles with the original, but most of its words.
Single words are common to many documents, so each gets a weight by how many documents have it (`fit`): 16, 8, 4, 2
or 1. Within boilerplate a word counts two steps less; in scripts without spaces, where runs of one to three characters
are features, each further character takes a step off. A sketch holds, for each of K permutations of the words' hashes,
the least value, shifted by the weight: the chance that two documents agree in it is the weighted Jaccard similarity of
their words (the weight of the common ones over that of all; cf. Chum, Philbin and Zisserman 2008, Near duplicate image
detection, section 3).

The index keeps 64/r bits of each minimum, r of them side by side in a band's key (b-bit minwise hashing, Li and König
2010): so keys serve twice, whole for finding candidates, and in parts for estimating how much two documents agree.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.bands import band_names
from headwater.assets.deduplication.fit import (
    COMMONNESS,
    MOST_GRAM,
    Fit,
    features_of,
    mark_phrases,
    phrase_slots,
    word_slot,
)
from headwater.assets.deduplication.minhash import permutations
from headwater.assets.deduplication.minima import Features, least_values
from headwater.assets.deduplication.normalise import (
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    mix,
    most_words,
    power,
    text_buffers,
    word_hashes,
)
from headwater.assets.deduplication.options import RareWordsOptions
from headwater.assets.kernels import compiled

Flags = npt.NDArray[np.bool_]

_CLASSES = len(COMMONNESS) + 1
_IN_PHRASE = 2  # classes that a word is commoner for within boilerplate
_RECENT = 1 << 13  # features that are known to have been in a text, by hash; a power of two
_BUFFER = 512  # features of a class minimised together


@compiled(allocates=False)
def _minimise(
    buffer: Points, count: int, shift: np.uint32, multipliers: Points, addends: Points, sketch: Points
) -> None:
    """Lower each minimum to the least of its permutation over the buffered hashes, halved `shift` times."""
    for number in range(len(sketch)):
        multiplier, addend, least = multipliers[number], addends[number], sketch[number]
        for index in range(count):
            least = min(least, np.uint32(np.uint32(buffer[index] * multiplier + addend) >> shift))
        sketch[number] = least


@compiled(allocates=False, inline="always")
def _is_repeated(feature: np.uint64, kind: int, tag: np.uint64, recent: Hashes, recent_kinds: Bytes) -> bool:
    """Whether the text had this feature lately, no commoner than now; notes it. Then it can lower no minimum."""
    slot = (feature >> np.uint64(20)) & np.uint64(len(recent) - 1)
    if recent[slot] == feature ^ tag and recent_kinds[slot] <= kind:
        return True
    recent[slot] = feature ^ tag
    recent_kinds[slot] = kind
    return False


@compiled()
def _sketch_text(
    words: Hashes,
    count: int,
    common: Bytes,
    classes: Bytes,
    multipliers: Points,
    addends: Points,
    recent: tuple[Hashes, Bytes],
    tag: np.uint64,
    sketch: Points,
) -> None:
    buffers = np.empty((_CLASSES, _BUFFER), dtype=np.uint32)
    filled = np.zeros(_CLASSES, dtype=np.int64)
    grams = np.empty(MOST_GRAM, dtype=np.uint64)
    for at in range(count):
        for gram in range(features_of(words, at, grams)):
            feature = grams[gram]
            kind = min(classes[word_slot(feature)] + gram + _IN_PHRASE * common[at], _CLASSES - 1)
            if _is_repeated(feature, kind, tag, recent[0], recent[1]):
                continue
            buffers[kind, filled[kind]] = np.uint32(feature >> np.uint64(16))
            filled[kind] += 1
            if filled[kind] == _BUFFER:
                _minimise(buffers[kind], _BUFFER, np.uint32(_CLASSES - 1 - kind), multipliers, addends, sketch)
                filled[kind] = 0
    for kind in range(_CLASSES):
        _minimise(buffers[kind], filled[kind], np.uint32(_CLASSES - 1 - kind), multipliers, addends, sketch)


@compiled(allocates=False)
def _pack(sketch: Points, rows: int, text: int, keys: Hashes) -> None:
    """Put the leading bits of the mixed minima of each band side by side."""
    width = np.uint64(64 // rows)
    for band in range(len(keys)):
        key = np.uint64(0)
        for row in range(rows):
            part = mix(np.uint64(sketch[band * rows + row]) + np.uint64(row + 1)) >> (np.uint64(64) - width)
            key = (key << width) | part
        keys[band, text] = key


@compiled()
def _sketch_all(
    data: Bytes,
    offsets: Rows,
    tables: tuple[Bytes, Points],
    fit: tuple[Bytes, Bytes, int, np.uint64],
    permutation: tuple[Points, Points],
    rows: int,
    words: Hashes,
    counts: Rows,
    keys: Hashes,
) -> None:
    classes, phrases, length, leaving = fit
    sketch = np.empty(rows * len(keys), dtype=np.uint32)
    recent = (np.zeros(_RECENT, dtype=np.uint64), np.zeros(_RECENT, dtype=np.uint8))
    slots, common = np.empty(len(words), dtype=np.int64), np.empty(len(words), dtype=np.uint8)
    for text in range(len(offsets) - 1):
        count = word_hashes(data, offsets[text], offsets[text + 1], tables[0], tables[1], words)
        phrase_slots(words, count, length, leaving, slots)
        mark_phrases(words, count, slots, phrases, length, common)
        counts[text] = count
        sketch[:] = np.uint32(0xFFFFFFFF)
        _sketch_text(
            words, count, common, classes, permutation[0], permutation[1], recent, mix(np.uint64(text + 1)), sketch
        )
        _pack(sketch, rows, text, keys)


@compiled()
def _write_features(
    data: Bytes,
    offsets: Rows,
    tables: tuple[Bytes, Points],
    fit: tuple[Bytes, Bytes, int, np.uint64],
    words: Hashes,
    counts: Rows,
    hashes: Points,
    shifts: Bytes,
    ends: Rows,
) -> None:
    """The features that `_sketch_all` minimises, with the shift of each; `ends` says where those of a text end."""
    classes, phrases, length, leaving = fit
    recent = (np.zeros(_RECENT, dtype=np.uint64), np.zeros(_RECENT, dtype=np.uint8))
    slots, common = np.empty(len(words), dtype=np.int64), np.empty(len(words), dtype=np.uint8)
    grams, filled = np.empty(MOST_GRAM, dtype=np.uint64), 0
    for text in range(len(offsets) - 1):
        count = word_hashes(data, offsets[text], offsets[text + 1], tables[0], tables[1], words)
        phrase_slots(words, count, length, leaving, slots)
        mark_phrases(words, count, slots, phrases, length, common)
        counts[text] = count
        for at in range(count):
            for gram in range(features_of(words, at, grams)):
                feature = grams[gram]
                kind = min(classes[word_slot(feature)] + gram + _IN_PHRASE * common[at], _CLASSES - 1)
                if not _is_repeated(feature, kind, mix(np.uint64(text + 1)), recent[0], recent[1]):
                    hashes[filled], shifts[filled] = np.uint32(feature >> np.uint64(16)), _CLASSES - 1 - kind
                    filled += 1
        ends[text + 1] = filled


@compiled()
def _pack_all(sketches: Points, rows: int, keys: Hashes) -> None:
    for text in range(len(sketches)):
        _pack(sketches[text], rows, text, keys)


def sketch_keys(texts: pa.Array, fit: Fit, options: RareWordsOptions, device: str | None = None) -> tuple[Rows, Hashes]:
    """(words of each text, keys [bands, texts] of its sketch); 0 words for texts that are not to be compared.

    With a torch `device`, minima are found there, to the same end.
    """
    data, offsets = text_buffers(texts)
    counts = np.zeros(len(texts), dtype=np.int64)
    keys = np.empty((options.bands, len(texts)), dtype=np.uint64)
    buffer = np.empty(most_words(int(np.diff(offsets).max(initial=0))), dtype=np.uint64)
    drawn = permutations(options.bands * options.rows, options.seed)
    common = (fit.classes, fit.phrases, fit.length, power(fit.length))
    if device is None:
        _sketch_all(data, offsets, character_tables(), common, drawn, options.rows, buffer, counts, keys)
    else:
        # Room for the most there could be; memory that is not written to takes none.
        room = MOST_GRAM * int(sum(most_words(size) for size in np.diff(offsets).tolist()))
        found = Features(np.empty(room, np.uint32), np.empty(room, np.uint8), np.zeros(len(texts) + 1, np.int64))
        _write_features(data, offsets, character_tables(), common, buffer, counts, *found)
        filled = found.offsets[-1]
        least = least_values(Features(found.hashes[:filled], found.shifts[:filled], found.offsets), *drawn, device)
        _pack_all(least, options.rows, keys)
    counts[(counts < options.min_words) | (counts > options.max_words)] = 0
    return counts, keys


@compiled(allocates=False)
def _add_agreement(keys: Hashes, one: Rows, two: Rows, rows: int, agreement: npt.NDArray[np.int32]) -> None:
    width = np.uint64(64 // rows)
    mask = (np.uint64(1) << width) - np.uint64(1)
    for pair in range(len(one)):
        differs = keys[one[pair]] ^ keys[two[pair]]
        for row in range(rows):
            agreement[pair] += ((differs >> (np.uint64(row) * width)) & mask) == 0


def agreeing(column: Callable[[str], Hashes], one: Rows, two: Rows, options: RareWordsOptions) -> Flags:
    """Which pairs of rows have sketches that agree in the declared share of their minima.

    `column` gives the keys of a band of all rows, by the band's name. It is asked for one band after the other.
    """
    agreement = np.zeros(len(one), dtype=np.int32)
    for band in band_names(options.bands):
        _add_agreement(column(band), one, two, options.rows, agreement)
    return agreement >= options.least_agreement * options.bands * options.rows
