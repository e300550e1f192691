"""Near-duplicates by vectors of word counts: hyperplanes for candidates, the cosine of the texts for the decision.

A text's vector has a dimension for every word, log(1 + count) long. The sign of its product with a random direction of
plus and minus ones is one bit; two texts at an angle a agree in a bit with probability 1 - a/pi (Charikar 2002,
Similarity estimation techniques from rounding algorithms, section 3), so that bits side by side make the key of a band.
Directions are hashes of words, never stored, and no fit is needed: keys depend on the text alone, hence the index, its
refreshes and the evidence are those of any other kind of candidates.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.evidence import Evidence
from headwater.assets.deduplication.normalise import (
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    mix,
    next_word,
    text_buffers,
)
from headwater.assets.deduplication.semantic_options import AngleOptions, HyperplaneOptions
from headwater.assets.kernels import compiled

Weights = npt.NDArray[np.float64]
_STEP = np.uint64(0x9E3779B97F4A7C15)


@compiled()
def _word_weights(
    data: Bytes, start: int, end: int, classes: Bytes, folds: Points, words: Hashes, weights: Weights
) -> tuple[int, int]:
    """(distinct words, all words) of one text; the distinct ones ascending, with log(1 + count) of each."""
    count = 0
    found, word, at = next_word(data, start, end, classes, folds)
    while found:
        words[count] = word
        count += 1
        found, word, at = next_word(data, at, end, classes, folds)
    words[:count] = np.sort(words[:count])
    distinct, run = 0, 0
    for at in range(count):
        run += 1
        if at + 1 == count or words[at + 1] != words[at]:
            words[distinct], weights[distinct] = words[at], np.log1p(run)
            distinct, run = distinct + 1, 0
    return distinct, count


@compiled()
def _band_keys(words: Hashes, weights: Weights, count: int, bits: int, seed: np.uint64, keys: Hashes) -> None:
    """Write the key of each band: bit n says on which side of its hyperplane n the text lies."""
    sums = np.empty(bits)
    for band in range(len(keys)):
        sums[:] = 0.0
        offset = mix(seed + np.uint64(band + 1) * _STEP)
        for at in range(count):
            signs = mix(words[at] ^ offset)
            for bit in range(bits):
                sums[bit] += weights[at] * (2.0 * np.float64((signs >> np.uint64(bit)) & np.uint64(1)) - 1.0)
        key = np.uint64(0)
        for bit in range(bits):
            if sums[bit] > 0:
                key |= np.uint64(1) << np.uint64(bit)
        keys[band] = key


def embedding_keys(texts: pa.Array | pa.ChunkedArray, options: HyperplaneOptions) -> tuple[Hashes, Rows]:
    """(keys of all bands, uint64 of shape (texts, bands); words, 0 for texts that have too few to be compared)."""
    data, offsets = text_buffers(texts)
    room = int(np.diff(offsets).max(initial=0)) // 2 + 1  # a word takes two bytes, or the three of an ideograph
    words, weights = np.empty(room, dtype=np.uint64), np.empty(room)
    keys = np.zeros((len(offsets) - 1, options.bands), dtype=np.uint64)
    counts = np.zeros(len(offsets) - 1, dtype=np.int64)
    seed = np.uint64(options.seed)
    for text in range(len(counts)):
        start, end = offsets[text], offsets[text + 1]
        distinct, count = _word_weights(data, start, end, *character_tables(), words, weights)
        if count >= options.min_words:
            _band_keys(words, weights, distinct, options.rows, seed, keys[text])
            counts[text] = count
    return keys, counts


@compiled()
def _products(
    words: Hashes, weights: Weights, offsets: Rows, left: Rows, right: Rows, out: Weights, shared: Rows
) -> None:
    """Products of the vectors of each pair of texts, and the number of words that both have."""
    for pair in range(len(left)):
        one, one_end = offsets[left[pair]], offsets[left[pair] + 1]
        two, two_end = offsets[right[pair]], offsets[right[pair] + 1]
        total, count = 0.0, 0
        while one < one_end and two < two_end:
            if words[one] == words[two]:
                total += weights[one] * weights[two]
                count += 1
                one += 1
                two += 1
            elif words[one] < words[two]:
                one += 1
            else:
                two += 1
        out[pair], shared[pair] = total, count


@compiled(allocates=False)
def _lengths(weights: Weights, offsets: Rows, out: Weights) -> None:
    """The length of each text's vector, summed word by word: a sum over many texts at once would round by where a text
    lies among the others, and evidence must depend on the pair alone."""
    for text in range(len(out)):
        total = 0.0
        for at in range(offsets[text], offsets[text + 1]):
            total += weights[at] * weights[at]
        out[text] = np.sqrt(total)


class CosineVerifier:
    """Accepts pairs whose vectors have at least the declared cosine."""

    def __init__(self, options: AngleOptions) -> None:
        self.threshold = options.threshold

    def measure(self, texts: pa.Array, left: Rows, right: Rows) -> Evidence:
        """Cosine, containment (shared distinct words over those of the text with fewer), shared distinct words."""
        words, weights, offsets = _vectors(texts)
        products, shared = np.zeros(len(left)), np.zeros(len(left), dtype=np.int64)
        _products(words, weights, offsets, left, right, products, shared)
        sizes = np.diff(offsets)
        norms = np.empty(len(sizes))
        _lengths(weights, offsets, norms)
        similarity = products / np.maximum(norms[left] * norms[right], 1e-12)
        return Evidence(
            np.minimum(similarity, 1.0), shared / np.maximum(np.minimum(sizes[left], sizes[right]), 1), shared
        )

    def accepts(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """True from the threshold on, where anything is shared at all."""
        return (evidence.similarity >= self.threshold) & (evidence.shared > 0)


def _vectors(texts: pa.Array) -> tuple[Hashes, Weights, Rows]:
    """(distinct words of all texts one after the other, ascending in each; their weights; offsets)."""
    data, places = text_buffers(texts)
    room = int(np.diff(places).max(initial=0)) // 2 + 1
    words, weights = np.empty(room, dtype=np.uint64), np.empty(room)
    parts: list[tuple[Hashes, Weights]] = [(np.empty(0, dtype=np.uint64), np.empty(0))]
    for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        distinct, _ = _word_weights(data, start, end, *character_tables(), words, weights)
        parts.append((words[:distinct].copy(), weights[:distinct].copy()))
    offsets = np.cumsum([len(part) for part, _ in parts])
    return np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts]), offsets
