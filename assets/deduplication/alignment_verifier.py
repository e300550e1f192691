"""Near-duplicates by alignment: what corresponds in two texts, and whether the rest is a block of something else.

Two texts of which a fifth of the words differs all over are copies; two of which a third differs in one block are not,
though more of their shingles agree. So a pair is judged by two measurements: the share of both texts that has a
counterpart, and the largest block that has none. Words of common phrases weigh less (`fit`), so that another licence
above the same code does not part copies, nor the same page frame make copies of two articles.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.alignment import Floats, align_pairs, weigh_words
from headwater.assets.deduplication.evidence import Evidence
from headwater.assets.deduplication.fit import Fit, mark_phrases, phrase_slots
from headwater.assets.deduplication.normalise import (
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    most_words,
    power,
    text_buffers,
    word_hashes,
)
from headwater.assets.deduplication.options import AlignmentOptions
from headwater.assets.kernels import compiled


class _Words(NamedTuple):
    """Words of texts one after the other: hashes, bits, weights, whether in boilerplate; text i from offsets[i] on."""

    words: Points
    bits: Floats
    weights: Floats
    common: Bytes
    offsets: Rows


class AlignmentVerifier:
    """Accepts pairs of which enough corresponds, and no block of either text is too foreign to the other."""

    def __init__(self, options: AlignmentOptions, fit: Fit) -> None:
        self.options, self.fit = options, fit

    def measure(self, texts: pa.Array, left: Rows, right: Rows) -> Evidence:
        """Shares by weight; of pairs whose foreign block is too large, only that it is."""
        words = _words_of(texts, self.fit, self.options.boilerplate_weight)
        measured = np.zeros((len(left), 6))
        limit = self.options.longest_foreign
        align_pairs(*words, left, right, limit, *_room(words.offsets), measured)
        similarity, containment, shared, foreign, moved, boilerplate = measured.T
        return Evidence(similarity, containment, shared.astype(np.int64), foreign, moved, boilerplate)

    def accepts(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """True where the similarity is large enough and no block is too foreign."""
        assert evidence.foreign is not None
        return (evidence.similarity >= self.options.threshold) & (evidence.foreign <= self.options.longest_foreign)


def _slots(words: int) -> int:
    """Slots of a table by hash in which so many words take half at most: a power of two, 4 at least."""
    return max(1 << (2 * words).bit_length(), 4)


def _room(offsets: Rows) -> tuple[tuple[Rows, Rows, Rows], Rows]:
    """Empty arrays for the index of the longest text, and for its chains of blocks."""
    longest = int(np.diff(offsets).max(initial=1))
    size = _slots(longest)
    index = (np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64), np.empty(longest, dtype=np.int64))
    return index, np.empty(longest + 1, dtype=np.int64)


def _words_of(texts: pa.Array, fit: Fit, boilerplate: float) -> _Words:
    data, places = text_buffers(texts)
    most = most_words(int(np.diff(places).max(initial=0)))
    hashes, slots, flags = np.empty(most, np.uint64), np.empty(most, np.int64), np.empty(most, np.uint8)
    found: list[tuple] = []
    for start, end in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        count = word_hashes(data, start, end, *character_tables(), hashes)
        words, common = _marked(hashes, count, slots, flags, fit.phrases, fit.length, power(fit.length))
        found.append((words, common, *_weighed(words, common, boilerplate)))
    words, common, bits, weights = (
        np.concatenate([np.empty(0, kind), *column])
        for kind, column in zip(
            (np.uint32, np.uint8, np.float32, np.float32), zip(*found, strict=True) if found else [()] * 4, strict=True
        )
    )
    offsets = np.cumsum([0, *(len(part[0]) for part in found)])
    return _Words(words, bits, weights, common, offsets)


@compiled()
def _marked(
    hashes: Hashes, count: int, slots: Rows, flags: Bytes, phrases: Bytes, length: int, leaving: np.uint64
) -> tuple[Points, Bytes]:
    """(leading 32 bits of each word's hash, whether it stands in boilerplate)."""
    phrase_slots(hashes, count, length, leaving, slots)
    mark_phrases(hashes, count, slots, phrases, length, flags)
    words = np.empty(count, dtype=np.uint32)
    for at in range(count):
        words[at] = np.uint32(hashes[at] >> np.uint64(32))
    return words, flags[:count].copy()


def _weighed(words: Points, common: Bytes, boilerplate: float) -> tuple[Floats, Floats]:
    """(bits, weights) of the words of a text."""
    size = _slots(len(words))
    bits, weights = np.empty(len(words), np.float32), np.empty(len(words), np.float32)
    weigh_words(words, common, boilerplate, np.empty(size, np.uint32), np.empty(size, np.int64), bits, weights)
    return bits, weights
