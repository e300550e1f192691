"""How common words and phrases are: a fit over a sample of the corpus that candidates and verifier weigh by.

Of a fixed number of documents, chosen by hash of their ids, two things are counted: in how many documents each word
occurs, and in how many each run of words (a *phrase*). Words that are everywhere tell little about a document; phrases
that many documents share, as licences, headers and templates are, tell nothing about what it adds. Both are kept in
small tables by hash, in which a rare word that shares its slot with a common one counts as common: a smaller weight,
but the same wherever the word occurs. Sampled documents with the same words count once.

The fit is made by a full run and held by refreshes, so that signatures and verified pairs stay valid as long as the
texts do.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.normalise import (
    BASE,
    Bytes,
    Hashes,
    Rows,
    character_tables,
    mix,
    power,
    text_buffers,
    word_hashes,
)
from headwater.assets.deduplication.options import FitOptions
from headwater.assets.kernels import compiled

WORD_BITS = 20  # slots for words: one byte each
PHRASE_BITS = 23  # slots for phrases: one bit each
COMMONNESS = (0.003, 0.03, 0.1, 0.3)  # shares of documents; a word loses half its weight at each
NEAR_COPY = 0.7  # of a document's phrases known from earlier ones: then only those count again that recur anyway,
RECURRING = 3  # in this many documents, so that a few near-copies do not make boilerplate of each other
SAMPLED_AT_ONCE = 256  # documents of which the texts are held
MOST_GRAM = 3  # characters of a script without spaces that make one feature together

FIT = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # word | phrase | corpus
        pa.field("slot", pa.int64(), nullable=False),  # of the table of that kind
        pa.field("documents", pa.int64(), nullable=False),  # in the sample, that have it; corpus: all there were
    ]
)


class Fit(NamedTuple):
    """What is common in a corpus.

    `classes` [2^20] tells by a word's slot how many of the shares `COMMONNESS` it reaches; `phrases` [2^23 / 8] has a
    bit for each common phrase of `length` words; `documents` is the size of the corpus at the time.
    """

    classes: Bytes
    phrases: Bytes
    length: int
    documents: int


@compiled(allocates=False, inline="always")
def features_of(words: Hashes, at: int, out: Hashes) -> int:
    """Write the features that end with a word, give their number: the word itself, and in scripts without spaces its
    runs of two and three characters too."""
    out[0] = words[at]
    if not words[at] & np.uint64(1):
        return 1
    count, joined = 1, words[at]
    for back in range(1, MOST_GRAM):
        if at < back or not words[at - back] & np.uint64(1):
            break
        joined = mix(joined * BASE + words[at - back])
        out[count] = joined
        count += 1
    return count


@compiled(allocates=False, inline="always")
def word_slot(feature: np.uint64) -> np.uint64:
    """The slot of a word, or of another feature, in the table of classes."""
    return feature >> np.uint64(64 - WORD_BITS)


@compiled(allocates=False)
def phrase_slots(words: Hashes, count: int, length: int, leaving: np.uint64, out: Rows) -> int:
    """Write the slot of every run of `length` words, give their number."""
    state = np.uint64(0)
    for at in range(count):
        state = state * BASE + words[at]
        if at >= length:
            state -= words[at - length] * leaving
        if at >= length - 1:
            out[at - length + 1] = mix(state) >> np.uint64(64 - PHRASE_BITS)
    return max(count - length + 1, 0)


@compiled(allocates=False)
def mark_phrases(words: Hashes, count: int, slots: Rows, phrases: Bytes, length: int, out: Bytes) -> None:
    """Set out[:count] to 1 for words in boilerplate, else 0: runs of common phrases of one word more than a phrase.

    Characters of scripts without spaces count for half a word.
    """
    out[:count] = 0
    start = -1
    for at in range(max(count - length + 1, 0) + 1):
        is_common = False
        if at + length <= count:
            is_common = (phrases[slots[at] >> 3] >> np.uint8(slots[at] & 7)) & np.uint8(1) != 0
        if is_common and start < 0:
            start = at
        if not is_common and start >= 0:
            halves = 0
            for place in range(start, at + length - 1):
                halves += 1 if words[place] & np.uint64(1) else 2
            if halves > 2 * length:
                out[start : at + length - 1] = 1
            start = -1


@compiled(allocates=False, inline="always")
def _count_once(slot: np.int64, document: int, last: npt.NDArray, counts: npt.NDArray) -> None:
    if last[slot] != document:
        last[slot] = document
        counts[slot] += 1


@compiled()
def _count_text(
    words: Hashes,
    count: int,
    length: int,
    leaving: np.uint64,
    document: int,
    slots: Rows,
    word_last: npt.NDArray,
    word_counts: npt.NDArray,
    phrase_last: npt.NDArray,
    phrase_counts: npt.NDArray,
) -> None:
    grams = np.empty(MOST_GRAM, dtype=np.uint64)
    for at in range(count):
        for gram in range(features_of(words, at, grams)):
            _count_once(np.int64(word_slot(grams[gram])), document, word_last, word_counts)
    phrases, known = phrase_slots(words, count, length, leaving, slots), 0
    for phrase in range(phrases):
        known += phrase_counts[slots[phrase]] > 0
    least = RECURRING if known >= NEAR_COPY * phrases else 0
    for phrase in range(phrases):
        if phrase_counts[slots[phrase]] >= least:
            _count_once(slots[phrase], document, phrase_last, phrase_counts)


@compiled()
def _is_new(words: Hashes, count: int, seen: Hashes, documents: int) -> bool:
    """Whether no document so far had the same words; notes them."""
    whole = np.uint64(count)
    for at in range(count):
        whole = mix(whole * BASE + words[at])
    for document in range(documents):
        if seen[document] == whole:
            return False
    seen[documents] = whole
    return True


class FitMaker:
    """Counts the sampled documents, batch by batch."""

    def __init__(self, options: FitOptions) -> None:
        self._options, self._counted = options, 0
        self._seen = np.zeros(options.documents, dtype=np.uint64)
        sizes = (1 << WORD_BITS, 1 << WORD_BITS, 1 << PHRASE_BITS, 1 << PHRASE_BITS)
        self._tables = [np.full(size, fill, dtype=np.int16) for size, fill in zip(sizes, (-1, 0, -1, 0), strict=True)]

    def add(self, texts: pa.Array | pa.ChunkedArray) -> None:
        """Counts texts, of each its first bytes up to the declared number; no more texts than are declared."""
        data, offsets = text_buffers(texts)
        length = self._options.words
        words = np.empty(self._options.bytes_of_each + 4, dtype=np.uint64)
        slots = np.empty(len(words), dtype=np.int64)
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            cut = _whole_characters(data, start, min(end, start + self._options.bytes_of_each))
            if self._counted == len(self._seen):
                return
            count = word_hashes(data, start, cut, *character_tables(), words)
            if _is_new(words, count, self._seen, self._counted):
                _count_text(words, count, length, power(length), self._counted, slots, *self._tables)
                self._counted += 1

    def table(self, documents: int) -> pa.Table:
        """The fit (FIT) of a corpus of that many documents: slots of words and phrases that are common."""
        _, words, _, phrases = self._tables
        word_slots = np.flatnonzero(words >= max(COMMONNESS[0] * self._counted, 2))
        least = max(self._options.min_share * self._counted, self._options.min_documents)
        phrase_slots_ = np.flatnonzero(phrases >= least)
        parts = [
            _rows("corpus", np.zeros(2, dtype=np.int64), np.array([documents, self._counted])),
            _rows("word", word_slots, words[word_slots]),
            _rows("phrase", phrase_slots_, phrases[phrase_slots_]),
        ]
        return pa.concat_tables(parts).combine_chunks()


def _rows(kind: str, slots: npt.NDArray, documents: npt.NDArray) -> pa.Table:
    kinds = pa.array([kind]).take(pa.array(np.zeros(len(slots), dtype=np.int64)))
    return pa.Table.from_arrays([kinds, pa.array(slots), pa.array(documents.astype(np.int64))], schema=FIT)


def _whole_characters(data: Bytes, start: int, end: int) -> int:
    """The end of the last whole character in data[start:end]."""
    while end < len(data) and end > start and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def sampled(doc_ids: pa.Array | pa.ChunkedArray, options: FitOptions) -> Rows:
    """Rows of the documents that the fit is made of: those with the least hashes of their ids, the least first."""
    return np.argsort(id_hashes(doc_ids), kind="stable")[: options.documents]


def id_hashes(doc_ids: pa.Array | pa.ChunkedArray) -> Hashes:
    """A hash of every id."""
    return _id_hashes(*text_buffers(doc_ids))


@compiled()
def _id_hashes(data: Bytes, offsets: Rows) -> Hashes:
    hashes = np.empty(len(offsets) - 1, dtype=np.uint64)
    for text in range(len(hashes)):
        value = np.uint64(0)
        for at in range(offsets[text], offsets[text + 1]):
            value = (value + np.uint64(data[at])) * BASE
        hashes[text] = mix(value)
    return hashes


def fit_of(table: pa.Table, options: FitOptions) -> Fit:
    """The fit as kernels use it, from its table (FIT)."""

    def of(kind: str) -> tuple[Rows, Rows]:
        rows = table.filter(pc.equal(table["kind"], kind))
        return rows["slot"].to_numpy(), rows["documents"].to_numpy()

    documents, sample = of("corpus")[1].tolist()
    classes, bits = np.zeros(1 << WORD_BITS, dtype=np.uint8), np.zeros(1 << PHRASE_BITS, dtype=np.uint8)
    slots, counts = of("word")
    classes[slots] = np.searchsorted(np.array(COMMONNESS) * sample, counts, side="right")
    bits[of("phrase")[0]] = 1
    return Fit(classes, np.packbits(bits, bitorder="little"), options.words, documents)


def fit_documents(documents: pa.Table, options: FitOptions) -> pa.Table:
    """The table of the fit (FIT) of documents (doc_id, text) in memory."""
    maker, rows = FitMaker(options), sampled(documents["doc_id"], options)
    for first in range(0, len(rows), SAMPLED_AT_ONCE):
        maker.add(documents["text"].take(pa.array(rows[first : first + SAMPLED_AT_ONCE])))
    return maker.table(len(documents))
