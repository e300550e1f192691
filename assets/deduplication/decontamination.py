"""Training documents that contain evaluation items.

Long word sequences rarely repeat by chance: a document that shares one of 13 words with an evaluation item has most
likely seen the item (Brown et al. 2020, Language Models are Few-Shot Learners, appendix C). The sequences of the
evaluation sets are hashed once into a table, the index, which is kept beside the data; documents are then looked up in
it batch by batch, so that new documents cost only themselves. Words are those of `normalise`: case and punctuation do
not count. Items shorter than a sequence are looked for whole.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.minhash import shingle_hashes
from headwater.assets.deduplication.normalise import (
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    most_words,
    next_word,
    power,
    text_buffers,
)
from headwater.assets.deduplication.options import DecontaminationOptions
from headwater.assets.deduplication.signatures import slices_by_bytes
from headwater.assets.kernels import compiled
from headwater.assets.key_sets import first_at_least

INDEX = pa.schema(
    [
        pa.field("hash", pa.uint64(), nullable=False),  # of a sequence of `words` words
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),  # number of the item in its set, from 0
        pa.field("words", pa.int32(), nullable=False),
        pa.field("ngrams", pa.int64(), nullable=False),  # distinct sequences of the item
    ]
)

HITS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("set", pa.string(), nullable=False),
        pa.field("item", pa.int64(), nullable=False),
        pa.field("shared", pa.int64(), nullable=False),  # distinct sequences shared with the item
        pa.field("needed", pa.int64(), nullable=False),  # from which number on the document is dropped
        pa.field("ngrams", pa.int64(), nullable=False),
    ]
)

_SLICE_BYTES = 16 << 20
_HASH_BITS_PER_ENTRY = 16  # of the filter before the binary search: about one in sixteen strangers passes it


class Index(NamedTuple):
    """The table of sequences (INDEX) and how many items were too short to be looked for."""

    table: pa.Table
    too_short: int


@compiled()
def _count_words(data: Bytes, start: int, end: int, classes: Bytes, folds: Points) -> int:
    count = 0
    found, _, at = next_word(data, start, end, classes, folds)
    while found:
        count += 1
        found, _, at = next_word(data, at, end, classes, folds)
    return count


@compiled()
def _look_up(grams: Hashes, hashes: Hashes, bitmap: Bytes, shift: np.uint64, places: Rows) -> int:
    """Write the places in the sorted `hashes` of the sequences found there; give their number."""
    count = 0
    for gram in grams:
        bit = gram >> shift
        if not (bitmap[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7))) & np.uint8(1):
            continue
        place = first_at_least(hashes, gram)
        if place < len(hashes) and hashes[place] == gram:
            places[count] = place
            count += 1
    return count


def _grams(data: npt.NDArray[np.uint8], start: int, end: int, words: int) -> npt.NDArray[np.uint64]:
    out = np.empty(most_words(int(end - start)), dtype=np.uint64)
    count = shingle_hashes(data, start, end, words, power(words), *character_tables(), out)
    return out[:count]


def _index_set(name: str, texts: pa.Array, options: DecontaminationOptions) -> Index:
    data, offsets = text_buffers(texts)
    parts, too_short = [], 0
    for item in range(len(offsets) - 1):
        length = _count_words(data, offsets[item], offsets[item + 1], *character_tables())
        if length < min(options.min_words, options.words):
            too_short += 1
            continue
        words = min(length, options.words)
        hashes = np.unique(_grams(data, offsets[item], offsets[item + 1], words))
        rows = len(hashes)
        columns = [hashes, [name] * rows, np.full(rows, item), np.full(rows, words, np.int32), np.full(rows, rows)]
        parts.append(pa.table(columns, schema=INDEX))
    return Index(pa.concat_tables([INDEX.empty_table(), *parts]), too_short)


def build_index(sets: Iterable[tuple[str, pa.Array | list[str]]], options: DecontaminationOptions) -> Index:
    """Index of evaluation sets, given as (name, texts of the items in their order)."""
    parts = [_index_set(name, pa.array(texts, pa.large_string()), options) for name, texts in sets]
    table = pa.concat_tables([INDEX.empty_table(), *[part.table for part in parts]])
    order = [("words", "ascending"), ("hash", "ascending"), ("set", "ascending"), ("item", "ascending")]
    return Index(table.sort_by(order).combine_chunks(), sum(part.too_short for part in parts))


class _Lookup(NamedTuple):
    """The part of the index with one sequence length, ready for look-ups."""

    words: int
    rows: pa.Table  # sorted by hash
    hashes: npt.NDArray[np.uint64]  # distinct, sorted
    starts: npt.NDArray[np.int64]  # of each hash's rows, and their end
    bitmap: npt.NDArray[np.uint8]  # which leading bits occur among the hashes
    shift: np.uint64


def _lookup(words: int, rows: pa.Table) -> _Lookup:
    rows = rows.sort_by("hash")
    hashes, starts = np.unique(rows["hash"].to_numpy(), return_index=True)
    bits = max(int(_HASH_BITS_PER_ENTRY * len(hashes)).bit_length(), 10)
    shift = np.uint64(64 - bits)
    leading = hashes >> shift
    bitmap = np.zeros(1 << (bits - 3), dtype=np.uint8)
    np.bitwise_or.at(bitmap, leading >> np.uint64(3), np.left_shift(1, leading & np.uint64(7)).astype(np.uint8))
    return _Lookup(words, rows, hashes, np.append(starts, len(rows)).astype(np.int64), bitmap, shift)


def _found(texts: pa.Array, lookup: _Lookup) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(row of the text, row of the index) of every distinct sequence of a text that the index has."""
    data, offsets = text_buffers(texts)
    places = np.empty(most_words(int(np.diff(offsets).max(initial=0))), dtype=np.int64)
    text_parts, place_parts = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for text in range(len(offsets) - 1):
        grams = _grams(data, offsets[text], offsets[text + 1], lookup.words)
        count = _look_up(grams, lookup.hashes, lookup.bitmap, lookup.shift, places)
        if count:
            distinct = np.unique(places[:count])
            place_parts.append(distinct)
            text_parts.append(np.full(len(distinct), text))
    text_rows, found = np.concatenate(text_parts), np.concatenate(place_parts)
    repeats = lookup.starts[found + 1] - lookup.starts[found]
    ends = np.cumsum(repeats)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - repeats, repeats)
    return np.repeat(text_rows, repeats), np.repeat(lookup.starts[found], repeats) + within


def _hits_of(documents: pa.Table, lookup: _Lookup, options: DecontaminationOptions) -> pa.Table:
    """Every (document, item) with enough sequences in common, from one part of the index."""
    texts = documents["text"].cast(pa.large_string()).combine_chunks()
    text_rows, index_rows = _found(texts, lookup)
    pairs = lookup.rows.select(["set", "item", "ngrams"]).take(index_rows).append_column("row", pa.array(text_rows))
    counted = pairs.group_by(["row", "set", "item", "ngrams"]).aggregate([([], "count_all")])
    shared, ngrams = counted["count_all"].to_numpy(), counted["ngrams"].to_numpy()
    needed = np.maximum(options.min_ngrams, np.ceil(options.min_share * ngrams - 1e-9)).astype(np.int64)
    needed = np.minimum(needed, ngrams)
    doc_ids = documents["doc_id"].combine_chunks().cast(pa.string()).take(counted["row"].combine_chunks())
    columns = [doc_ids, counted["set"], counted["item"], pa.array(shared), pa.array(needed), pa.array(ngrams)]
    return pa.Table.from_arrays(columns, schema=HITS).filter(pa.array(shared >= needed))


def _strongest(hits: pa.Table) -> pa.Table:
    """The item that each document shares most sequences with; ties go to the first set and item by name."""
    order = [("doc_id", "ascending"), ("shared", "descending"), ("set", "ascending"), ("item", "ascending")]
    hits = hits.sort_by(order)
    _, first = np.unique(hits["doc_id"].to_numpy().astype(str), return_index=True)
    return hits.take(first)


def contaminated(documents: pa.Table, index: pa.Table, options: DecontaminationOptions) -> pa.Table:
    """Documents (columns doc_id, text) to drop, with the item that each shares most with (HITS), sorted by doc_id.

    A row step: the hits of a batch do not depend on other batches.
    """
    lengths = np.unique(index["words"].to_numpy())
    lookups = [_lookup(int(words), index.filter(pc.equal(index["words"], pa.scalar(words)))) for words in lengths]
    _, offsets = text_buffers(documents["text"])
    parts = [HITS.empty_table()]
    for first, last in slices_by_bytes(offsets, _SLICE_BYTES):
        batch = documents.slice(first, last - first)
        parts.extend(_hits_of(batch, lookup, options) for lookup in lookups)
    return _strongest(pa.concat_tables(parts))
