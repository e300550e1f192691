"""Shingles and MinHash signatures of whole batches, in one pass over their bytes.

A shingle is a run of n words, hashed to 64 bits; a document is the set of its shingles. A signature holds, for each of
K permutations of the hashes, the least value in the set: two sets agree in any one minimum with probability equal to
their Jaccard similarity (Broder 1997, On the resemblance and containment of documents). Of a signature, the index keeps
one hash for each band. Shingles stream through a small buffer, so that memory does not grow with the length of a text.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.bands import bands_and_rows
from headwater.assets.deduplication.minima import Features, least_values
from headwater.assets.deduplication.normalise import (
    BASE,
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    mix,
    most_words,
    next_word,
    power,
    text_buffers,
)
from headwater.assets.deduplication.options import MinHashOptions
from headwater.assets.kernels import compiled

_BUFFER = 2048  # shingle hashes minimised together: 8 KiB, well within the first-level cache


@compiled()
def shingle_hashes(
    data: Bytes, start: int, end: int, words: int, leaving: np.uint64, classes: Bytes, folds: Points, out: Hashes
) -> int:
    """Write the 64-bit hash of every run of `words` words in data[start:end] to `out`, in order; give their number."""
    ring = np.zeros(words, dtype=np.uint64)
    state = np.uint64(0)
    seen = 0
    found, word, at = next_word(data, start, end, classes, folds)
    while found:
        slot = seen % words
        state = state * BASE + word - ring[slot] * leaving
        ring[slot] = word
        seen += 1
        if seen >= words:
            out[seen - words] = mix(state)
        found, word, at = next_word(data, at, end, classes, folds)
    return max(seen - words + 1, 0)


@compiled()
def _minimise(buffer: Points, count: int, multipliers: Points, addends: Points, signature: Points) -> None:
    """Lower each minimum of the signature to the least of its permutation over the buffered hashes."""
    for number in range(len(signature)):
        multiplier, addend, least = multipliers[number], addends[number], signature[number]
        for index in range(count):
            least = min(least, np.uint32(buffer[index] * multiplier + addend))
        signature[number] = least


@compiled()
def _sign(
    data: Bytes,
    start: int,
    end: int,
    words: int,
    leaving: np.uint64,
    classes: Bytes,
    folds: Points,
    multipliers: Points,
    addends: Points,
    signature: Points,
) -> int:
    """Fill the signature of one text; give its number of shingles. The same walk as `shingle_hashes`, unstored."""
    ring = np.zeros(words, dtype=np.uint64)
    buffer = np.empty(_BUFFER, dtype=np.uint32)
    state = np.uint64(0)
    seen = filled = 0
    found, word, at = next_word(data, start, end, classes, folds)
    while found:
        slot = seen % words
        state = state * BASE + word - ring[slot] * leaving
        ring[slot] = word
        seen += 1
        if seen >= words:
            buffer[filled] = np.uint32(mix(state) >> np.uint64(32))
            filled += 1
        if filled == _BUFFER:
            _minimise(buffer, filled, multipliers, addends, signature)
            filled = 0
        found, word, at = next_word(data, at, end, classes, folds)
    _minimise(buffer, filled, multipliers, addends, signature)
    return max(seen - words + 1, 0)


@compiled()
def _sign_all(
    data: Bytes,
    offsets: Rows,
    words: int,
    leaving: np.uint64,
    classes: Bytes,
    folds: Points,
    multipliers: Points,
    addends: Points,
    signatures: Points,
    counts: Rows,
) -> None:
    for text in range(len(offsets) - 1):
        counts[text] = _sign(
            data,
            offsets[text],
            offsets[text + 1],
            words,
            leaving,
            classes,
            folds,
            multipliers,
            addends,
            signatures[text],
        )


def permutations(count: int, seed: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """(odd multipliers, addends) of `count` bijections h -> a h + b of 32-bit integers, drawn from the seed."""
    drawn = np.random.Generator(np.random.PCG64(seed)).integers(0, 1 << 32, size=(2, count), dtype=np.uint32)
    return drawn[0] | np.uint32(1), drawn[1]


def minhash(
    texts: pa.Array | pa.ChunkedArray, words: int, count: int, seed: int, device: str | None = None
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """(signatures [texts, count], shingles per text, repeats included); no shingle leaves every minimum at 2^32 - 1.

    With a torch `device`, minima are found there, to the same end.
    """
    data, offsets = text_buffers(texts)
    multipliers, addends = permutations(count, seed)
    if device is not None:
        features = _shingles(data, offsets, words)
        return least_values(features, multipliers, addends, device), np.diff(features.offsets)
    signatures = np.full((len(offsets) - 1, count), np.iinfo(np.uint32).max, dtype=np.uint32)
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    _sign_all(data, offsets, words, power(words), *character_tables(), multipliers, addends, signatures, counts)
    return signatures, counts


def _shingles(data: Bytes, offsets: Rows, words: int) -> Features:
    """The shingles of all texts as they are minimised."""
    buffer = np.empty(most_words(int(np.diff(offsets).max(initial=0))), dtype=np.uint64)
    parts = [np.empty(0, dtype=np.uint32)]
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        found = shingle_hashes(data, start, end, words, power(words), *character_tables(), buffer)
        parts.append((buffer[:found] >> np.uint64(32)).astype(np.uint32))
    hashes = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    return Features(hashes, np.zeros(len(hashes), dtype=np.uint8), ends)


@compiled()
def _band_keys(signatures: Points, rows: int, keys: Hashes) -> None:
    """64-bit hash of every band of each signature, keys[band, document]; a minimum enters each step of the hash."""
    for band in range(len(keys)):
        for document in range(len(signatures)):
            key = np.uint64(0)
            for row in range(band * rows, (band + 1) * rows):
                key = mix(key + np.uint64(signatures[document, row]) + np.uint64(0x9E3779B97F4A7C15))
            keys[band, document] = key


def band_keys(signatures: npt.NDArray[np.uint32], options: MinHashOptions) -> Hashes:
    """Keys [bands, texts] of signatures [texts, permutations]: equal where the minima of the band are equal."""
    bands, rows = bands_and_rows(options)
    keys = np.empty((bands, len(signatures)), dtype=np.uint64)
    _band_keys(signatures, rows, keys)
    return keys
