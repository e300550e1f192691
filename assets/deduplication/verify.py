"""What two texts really share.

A candidate is a guess of the signatures; a verifier measures the texts themselves. The shingle sets of both are built
whole, as sorted 64-bit hashes, and merged: Jaccard similarity, containment in the smaller one and the number shared are
exact (up to collisions of 64-bit hashes). Pairs are compared in chunks, so that memory is bounded by the chunk and each
chunk can be a task of its own.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.alignment_verifier import AlignmentVerifier
from headwater.assets.deduplication.evidence import Evidence
from headwater.assets.deduplication.fit import Fit
from headwater.assets.deduplication.minhash import shingle_hashes
from headwater.assets.deduplication.normalise import Hashes, Rows, character_tables, most_words, power, text_buffers
from headwater.assets.deduplication.options import DeduplicationOptions, JaccardOptions
from headwater.assets.deduplication.semantic import CosineVerifier
from headwater.assets.deduplication.semantic_options import AngleOptions
from headwater.assets.kernels import compiled
from headwater.assets.schemas import EDGES

Texts: TypeAlias = Mapping[str, str] | pa.Table
CHUNK_SHINGLES = 3_000_000  # or words, of the distinct documents of a chunk: 24 to 90 MB beside their texts


class Verifier(Protocol):
    """Measures candidate pairs on their texts and says which of them are duplicates."""

    def measure(self, texts: pa.Array, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Evidence:
        """Evidence of the pairs (texts[left], texts[right])."""
        ...

    def accepts(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """True where the evidence makes a duplicate."""
        ...


@compiled()
def _distinct(values: Hashes) -> int:
    """Move the distinct ones of sorted values to the front; give their number."""
    count = 0
    for index in range(len(values)):
        if index == 0 or values[index] != values[index - 1]:
            values[count] = values[index]
            count += 1
    return count


@compiled()
def _shared(sets: Hashes, offsets: Rows, left: Rows, right: Rows, out: Rows) -> None:
    """Number of common members of each pair of sorted sets."""
    for pair in range(len(left)):
        one, one_end = offsets[left[pair]], offsets[left[pair] + 1]
        two, two_end = offsets[right[pair]], offsets[right[pair] + 1]
        count = 0
        while one < one_end and two < two_end:
            a, b = sets[one], sets[two]
            count += a == b
            one += a <= b
            two += b <= a
        out[pair] = count


def shingle_sets(texts: pa.Array, words: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(sorted distinct shingle hashes of all texts one after the other, offsets): the set of text i lies in
    hashes[offsets[i]:offsets[i+1]]."""
    data, places = text_buffers(texts)
    sizes = np.diff(places)
    buffer = np.empty(most_words(int(sizes.max(initial=0))), dtype=np.uint64)
    leaving, tables = power(words), character_tables()
    sets, offsets = [np.empty(0, dtype=np.uint64)], np.zeros(len(sizes) + 1, dtype=np.int64)
    for text in range(len(sizes)):
        count = shingle_hashes(data, places[text], places[text + 1], words, leaving, *tables, buffer)
        hashes = np.sort(buffer[:count])
        hashes = hashes[: _distinct(hashes)]
        sets.append(hashes)
        offsets[text + 1] = offsets[text] + len(hashes)
    return np.concatenate(sets), offsets


class JaccardVerifier:
    """Accepts pairs whose shingle sets have at least the declared Jaccard similarity."""

    def __init__(self, options: JaccardOptions) -> None:
        self.threshold = options.threshold
        self.words = options.words

    def measure(self, texts: pa.Array, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Evidence:
        """Evidence of the pairs; a text without a shingle shares nothing."""
        sets, offsets = shingle_sets(texts, self.words)
        shared = np.zeros(len(left), dtype=np.int64)
        _shared(sets, offsets, left, right, shared)
        sizes = np.diff(offsets)
        union = sizes[left] + sizes[right] - shared
        smaller = np.minimum(sizes[left], sizes[right])
        return Evidence(shared / np.maximum(union, 1), shared / np.maximum(smaller, 1), shared)

    def accepts(self, evidence: Evidence) -> npt.NDArray[np.bool_]:
        """True from the threshold on, where anything is shared at all."""
        return (evidence.similarity >= self.threshold) & (evidence.shared > 0)


@compiled()
def _cut(later: Rows, earlier: Rows, later_cost: Rows, earlier_cost: Rows, documents: int, budget: int) -> list[int]:
    """Where chunks of pairs end when each document costs once a chunk."""
    chunk_of = np.full(documents, -1)
    ends: list[int] = []
    spent = 0
    for pair in range(len(later)):
        chunk = len(ends)
        cost = later_cost[pair] * (chunk_of[later[pair]] != chunk)
        cost += earlier_cost[pair] * (chunk_of[earlier[pair]] != chunk)
        if spent > 0 and spent + cost > budget:
            ends.append(pair)
            chunk = len(ends)
            spent, cost = 0, later_cost[pair] + earlier_cost[pair]
        chunk_of[later[pair]] = chunk
        chunk_of[earlier[pair]] = chunk
        spent += cost
    ends.append(len(later))
    return ends


def pair_chunks(pairs: pa.Table, budget: int = CHUNK_SHINGLES) -> list[pa.Table]:
    """Cut PAIRS into consecutive tables whose distinct documents have at most `budget` shingles (or one pair each)."""
    if len(pairs) == 0:
        return []
    (later, earlier), documents = _positions(pairs)
    later_cost, earlier_cost = pairs["doc_shingles"].to_numpy(), pairs["other_shingles"].to_numpy()
    ends = list(_cut(later, earlier, later_cost, earlier_cost, len(documents), budget))
    return [pairs.slice(start, end - start) for start, end in zip([0, *ends], ends, strict=False)]


def _positions(pairs: pa.Table) -> tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], pa.Array]:
    """((position of doc_id, position of other_id), distinct ids): pairs as places in one list of documents."""
    both = pa.chunked_array([*pairs["doc_id"].chunks, *pairs["other_id"].chunks], type=pa.string())
    encoded = pc.dictionary_encode(both.combine_chunks())
    codes = encoded.indices.to_numpy().astype(np.int64)
    return (codes[: len(pairs)], codes[len(pairs) :]), encoded.dictionary


def _texts_in_order(texts: Texts, doc_ids: pa.Array) -> pa.Array:
    if isinstance(texts, pa.Table):
        rows = pc.index_in(doc_ids, value_set=texts["doc_id"].combine_chunks().cast(pa.string()))
        found = texts["text"].cast(pa.large_string()).take(rows).combine_chunks()
    else:
        found = pa.array([texts.get(doc_id) for doc_id in doc_ids.to_pylist()], pa.large_string())
    if found.null_count:
        missing = doc_ids.filter(found.is_null())[0]
        raise ValueError(f"document {missing} has a signature but no text; recompute the signatures of this corpus")
    return found


def _verifier(options: DeduplicationOptions, fit: Fit | None) -> Verifier:
    if isinstance(options.verifier, AngleOptions):
        return CosineVerifier(options.verifier)
    if isinstance(options.verifier, JaccardOptions):
        return JaccardVerifier(options.verifier)
    assert fit is not None  # of whoever verifies by alignment
    return AlignmentVerifier(options.verifier, fit)


def verify_pairs(
    pairs: pa.Table, texts_of: Callable[[list[str]], Texts], options: DeduplicationOptions, fit: Fit | None = None
) -> pa.Table:
    """Edges (EDGES, kind `near`) of the pairs (PAIRS) that the verifier accepts, in the order of the pairs.

    `texts_of` gets the ids of one chunk and gives their texts: a mapping, or a table of doc_id and text. `fit` says
    what is common in the corpus; the alignment of texts needs it.
    """
    if options.near is None:
        return EDGES.empty_table()
    verifier = _verifier(options, fit)
    parts = [_verify_chunk(chunk, texts_of, verifier) for chunk in pair_chunks(pairs)]
    return pa.concat_tables([EDGES.empty_table(), *parts])


def _verify_chunk(pairs: pa.Table, texts_of: Callable[[list[str]], Texts], verifier: Verifier) -> pa.Table:
    (left, right), doc_ids = _positions(pairs)
    evidence = verifier.measure(_texts_in_order(texts_of(doc_ids.to_pylist()), doc_ids), left, right)
    accepted = np.flatnonzero(verifier.accepts(evidence))
    kind = pa.array(["near"]).take(pa.array(np.zeros(len(accepted), dtype=np.int64)))
    ids = [doc_ids.take(rows[accepted]) for rows in (left, right)]
    nothing = pa.nulls(len(accepted), pa.float64())
    measured = [nothing if values is None else pa.array(values[accepted]) for values in evidence]
    return pa.Table.from_arrays([*ids, kind, *measured], schema=EDGES)
