"""Which pairs are worth comparing.

Documents are laid out in their order of precedence first (`arrange`); a document is then its row number. Two documents
are candidates if and only if they have the same exact key or share a band of their signatures: a symmetric relation of
the final documents, whatever the order of arrival. Exact copies have the same signature, so one of them, the earliest
(the *root*), searches for all; `decide` passes the result on to the others and says why nothing is lost.

Work is bounded when a bucket is crowded: its members are compared with its `bucket_width` earliest roots only. Every
drop still rests on a verified edge to an earlier kept document, so the bound costs recall, never precision: a pair is
lost when neither member is among the earliest of any bucket that they share. The comparisons left out are counted.
"""

from typing import NamedTuple, Protocol

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.bands import bands_and_rows
from headwater.assets.deduplication.normalise import Hashes, Points, Rows, mix
from headwater.assets.deduplication.options import DeduplicationOptions, MinHashOptions
from headwater.assets.deduplication.order import in_order
from headwater.assets.schemas import EDGES

PAIRS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),  # the later one
        pa.field("other_id", pa.string(), nullable=False),
        pa.field("doc_shingles", pa.int64(), nullable=False),  # what comparing them costs
        pa.field("other_shingles", pa.int64(), nullable=False),
    ]
)


class Candidates(NamedTuple):
    """Row pairs, later and earlier, sorted by (later, earlier), and the comparisons that the bucket width left out."""

    later: npt.NDArray[np.int64]
    earlier: npt.NDArray[np.int64]
    left_out: int


class CandidateGenerator(Protocol):
    """Finds pairs of rows worth verifying; a pure function of the rows, which come in order of precedence."""

    def find(self, roots: pa.Table) -> Candidates:
        """Candidates among these documents (signature columns), no two of which are exact copies."""
        ...


def arrange(signatures: pa.Table, ledger: pa.Table, source_rank: dict[str, int]) -> pa.Table:
    """Signatures of the ledger's documents in order of precedence; raises ValueError when one is missing."""
    doc_ids = in_order(ledger, source_rank)["doc_id"].combine_chunks()
    rows = pc.index_in(doc_ids, value_set=signatures["doc_id"].combine_chunks())
    if rows.null_count:
        missing = doc_ids.filter(rows.is_null())
        raise ValueError(f"{len(missing)} documents have no signature, the first is {missing[0]}; compute them first")
    return signatures.take(rows)


def _fixed_width(column: pa.ChunkedArray, dtype: str, width: int) -> npt.NDArray:
    """A fixed-size binary column as a matrix of `width` numbers a row, without copying."""
    array = column.combine_chunks()
    if len(array) == 0:
        return np.empty((0, width), dtype=dtype)
    skipped = array.offset * width * np.dtype(dtype).itemsize
    values = np.frombuffer(array.buffers()[1], dtype=dtype, count=len(array) * width, offset=skipped)
    return values.reshape(-1, width)


def exact_groups(arranged: pa.Table, options: DeduplicationOptions) -> npt.NDArray[np.int64]:
    """For every row the earliest row with the same exact key: itself when there is none."""
    rows = np.arange(len(arranged), dtype=np.int64)
    if not options.exact.enabled or len(rows) == 0:
        return rows
    keys = _fixed_width(arranged["exact_key"], "<u8", 2)
    order = np.lexsort((rows, keys[:, 1], keys[:, 0]))
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = np.any(keys[order[1:]] != keys[order[:-1]], axis=1)
    roots = np.empty_like(rows)
    roots[order] = order[starts][np.cumsum(starts) - 1]
    return roots


def exact_edges(arranged: pa.Table, roots: npt.NDArray[np.int64]) -> pa.Table:
    """One edge (EDGES) from every copy to the root of its group, not one for each pair of copies.

    `shared` is the number of shingles, repeats included.
    """
    copies = np.flatnonzero(roots != np.arange(len(roots)))
    doc_ids = arranged["doc_id"].combine_chunks()
    ones = np.ones(len(copies))
    if "shingles" in arranged.column_names:
        shingles = arranged["shingles"].combine_chunks().take(copies)
    else:
        shingles = pa.array(np.zeros(len(copies), dtype=np.int64))
    kind = pa.array(["exact"]).take(pa.array(np.zeros(len(copies), dtype=np.int64)))
    columns = [doc_ids.take(copies), doc_ids.take(roots[copies]), kind, pa.array(ones), pa.array(ones), shingles]
    return pa.Table.from_arrays(columns, schema=EDGES)


@numba.njit(cache=True, nogil=True)
def _band_keys(signatures: Points, band: int, rows: int, keys: Hashes) -> None:
    """64-bit hash of one band of each signature; two minima enter each step of the hash."""
    for document in range(len(signatures)):
        key = np.uint64(0)
        for row in range(band * rows, (band + 1) * rows):
            key = mix(key + np.uint64(signatures[document, row]) + np.uint64(0x9E3779B97F4A7C15))
        keys[document] = key


@numba.njit(cache=True, nogil=True)
def _count_pairs(keys: Hashes, order: Rows, width: int) -> tuple[int, int]:
    """(pairs within the bucket width, pairs beyond it) of the runs of equal keys."""
    pairs, beyond, start = 0, 0, 0
    for at in range(1, len(order) + 1):
        if at < len(order) and keys[order[at]] == keys[order[start]]:
            continue
        size = at - start
        inside = min(size, width)
        taken = inside * (inside - 1) // 2 + (size - inside) * width
        pairs += taken
        beyond += size * (size - 1) // 2 - taken
        start = at
    return pairs, beyond


@numba.njit(cache=True, nogil=True)
def _fill_pairs(keys: Hashes, order: Rows, width: int, total: int, codes: Rows) -> None:
    """Write every pair within the bucket width as later * total + earlier."""
    filled = start = 0
    for at in range(len(order)):
        if keys[order[at]] != keys[order[start]]:
            start = at
        for place in range(start, min(at, start + width)):
            codes[filled] = order[at] * total + order[place]
            filled += 1


class MinHashCandidates:
    """Documents that share a band, one band at a time: memory holds one band's keys and the distinct pairs."""

    def __init__(self, options: MinHashOptions) -> None:
        self.options = options

    def find(self, roots: pa.Table) -> Candidates:
        """Candidates among documents with at least one shingle."""
        signatures = _fixed_width(roots["minhash"], "<u4", self.options.permutations)
        eligible = np.flatnonzero(roots["shingles"].to_numpy() > 0)
        signatures = signatures[eligible]
        bands, rows = bands_and_rows(self.options)
        found, left_out = np.empty(0, dtype=np.int64), 0
        for band in range(bands):
            codes, beyond = self._pairs_of_band(signatures, band, rows)
            found = np.union1d(found, codes) if len(codes) else found
            left_out += beyond
        later, earlier = np.divmod(found, max(len(eligible), 1))
        return Candidates(eligible[later], eligible[earlier], left_out)

    def _pairs_of_band(self, signatures: npt.NDArray, band: int, rows: int) -> tuple[npt.NDArray[np.int64], int]:
        keys = np.empty(len(signatures), dtype=np.uint64)
        _band_keys(signatures, band, rows, keys)
        order = np.argsort(keys, kind="stable")  # stable: within a bucket, the order of precedence
        count, beyond = _count_pairs(keys, order, self.options.bucket_width)
        codes = np.empty(count, dtype=np.int64)
        _fill_pairs(keys, order, self.options.bucket_width, len(signatures), codes)
        return codes, beyond


def candidate_pairs(
    arranged: pa.Table, roots: npt.NDArray[np.int64], options: DeduplicationOptions
) -> tuple[pa.Table, int]:
    """(PAIRS among the roots, comparisons left out by the bucket width); deterministic in the set of documents."""
    if options.near is None:
        return PAIRS.empty_table(), 0
    chosen = arranged.take(np.flatnonzero(roots == np.arange(len(roots))))
    generator: CandidateGenerator = MinHashCandidates(options.near)
    found = generator.find(chosen)
    doc_ids, shingles = chosen["doc_id"].combine_chunks(), chosen["shingles"].combine_chunks()
    columns = [column.take(rows) for column in (doc_ids, shingles) for rows in (found.later, found.earlier)]
    return pa.Table.from_arrays(columns, schema=PAIRS), found.left_out
