"""Which pairs are worth comparing.

Documents are laid out in their order of precedence first (`arrange`); a document is then its row number. Two documents
are candidates if and only if they have the same exact key or share a band of their signatures (and, where bands hold
sketches, enough minima of all bands): a symmetric relation of
the final documents, whatever the order of arrival. Exact copies have the same signature, so one of them, the earliest
(the *root*), searches for all; `decide` passes the result on to the others and says why nothing is lost.

Work is bounded when a bucket is crowded: its members are compared with its `bucket_width` earliest roots only. Every
drop still rests on a verified edge to an earlier kept document, so the bound costs recall, never precision: a pair is
lost when neither member is among the earliest of any bucket that they share. The comparisons left out are counted.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.index import ArrangedIndex, Index, band_columns, exact_words, numbers
from headwater.assets.deduplication.normalise import Hashes, Rows
from headwater.assets.deduplication.options import DeduplicationOptions, Near, RareWordsOptions
from headwater.assets.deduplication.order import document_order
from headwater.assets.deduplication.rare_words import agreeing
from headwater.assets.kernels import compiled
from headwater.assets.key_sets import distinct
from headwater.assets.schemas import EDGES

PAIRS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),  # the later one
        pa.field("other_id", pa.string(), nullable=False),
        pa.field("doc_shingles", pa.int64(), nullable=False),  # what comparing them costs
        pa.field("other_shingles", pa.int64(), nullable=False),
    ]
)


PENDING_PAIRS = 1 << 22  # pairs that wait to be looked at together: 32 MB, and as much again for sorting them


class Candidates(NamedTuple):
    """Row pairs, later and earlier, sorted by (later, earlier), and the comparisons that the bucket width left out."""

    later: npt.NDArray[np.int64]
    earlier: npt.NDArray[np.int64]
    left_out: int


class CandidateGenerator(Protocol):
    """Finds pairs of rows worth verifying; a pure function of the rows, which come in order of precedence."""

    def find(self, roots: Index) -> Candidates:
        """Candidates among these documents, no two of which are exact copies."""
        ...


def arrange(index: Index, ledger: pa.Table, source_rank: dict[str, int]) -> ArrangedIndex:
    """The index of the ledger's documents in order of precedence; raises ValueError when one is missing."""
    order, own = document_order(ledger, source_rank), ledger["doc_id"].combine_chunks().cast(pa.string())
    indexed = index.column("doc_id")
    if len(indexed) == len(own) and pc.all(pc.equal(indexed, own), min_count=0).as_py():
        return ArrangedIndex(index, order)
    rows = pc.index_in(own.take(pa.array(order)), value_set=indexed.combine_chunks())
    if rows.null_count:
        missing = own.take(pa.array(order)).filter(rows.is_null())
        raise ValueError(f"{len(missing)} documents have no signature, the first is {missing[0]}; compute them first")
    return ArrangedIndex(index, rows.to_numpy().astype(np.int64))


def exact_groups(arranged: ArrangedIndex, options: DeduplicationOptions) -> npt.NDArray[np.int64]:
    """For every row the earliest row with the same exact key: itself when there is none."""
    rows = np.arange(len(arranged), dtype=np.int64)
    if not options.exact.enabled or len(rows) == 0:
        return rows
    keys = exact_words(arranged.column("exact_key"))
    order = np.lexsort((rows, keys[:, 1], keys[:, 0]))
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = np.any(keys[order[1:]] != keys[order[:-1]], axis=1)
    roots = np.empty_like(rows)
    roots[order] = order[starts][np.cumsum(starts) - 1]
    return roots


def exact_edges(arranged: ArrangedIndex, roots: npt.NDArray[np.int64], options: DeduplicationOptions) -> pa.Table:
    """One edge (EDGES) from every copy to the root of its group, not one for each pair of copies.

    `shared` is the number of shingles, repeats included; 0 where no shingles are counted.
    """
    copies = np.flatnonzero(roots != np.arange(len(roots)))
    doc_ids = arranged.column("doc_id").combine_chunks()
    shingles = numbers(arranged.column("shingles"))[copies] if options.near else np.zeros(len(copies), dtype=np.int64)
    return copy_edges(doc_ids.take(copies), doc_ids.take(roots[copies]), shingles)


def copy_edges(copies: pa.Array, roots: pa.Array, shingles: npt.NDArray[np.int64]) -> pa.Table:
    """Exact edges (EDGES) from copies to the roots of their groups."""
    ones = pa.array(np.ones(len(copies)))
    kind = pa.array(["exact"]).take(pa.array(np.zeros(len(copies), dtype=np.int64)))
    nothing = [pa.nulls(len(copies), pa.float64())] * 3
    return pa.Table.from_arrays([copies, roots, kind, ones, ones, pa.array(shingles), *nothing], schema=EDGES)


@compiled(allocates=False)
def _count_left_out(keys: Hashes, order: Rows, width: int) -> int:
    """Pairs beyond the bucket width in the runs of equal keys."""
    beyond, start = 0, 0
    for at in range(1, len(order) + 1):
        if at == len(order) or keys[order[at]] != keys[order[start]]:
            more = max(at - start - width, 0)
            beyond += more * (more - 1) // 2
            start = at
    return beyond


@compiled(allocates=False)
def _fill_pairs(
    keys: Hashes, order: Rows, width: int, total: int, place: Rows, codes: Rows, filled: int
) -> tuple[bool, int]:
    """Write pairs within the bucket width as later * total + earlier, behind the `filled` ones, until no room is left.

    `place` says where to go on: member, first of its bucket, next partner. Gives whether all are written, and how many
    stand in `codes`.
    """
    at, start, partner = place
    while at < len(order):
        if keys[order[at]] != keys[order[start]]:
            start = partner = at
        for other in range(partner, min(at, start + width)):
            if filled == len(codes):
                place[0], place[1], place[2] = at, start, other
                return False, filled
            codes[filled] = order[at] * total + order[other]
            filled += 1
        at, partner = at + 1, start
    return True, filled


class SharedBands:
    """Documents that share a band and whose sketches, where there are any, agree enough.

    One band at a time: memory holds one band's keys, the distinct pairs, and some pairs that wait.
    """

    def __init__(self, options: Near) -> None:
        self.options = options

    def find(self, roots: Index) -> Candidates:
        """Candidates among documents with at least one shingle."""
        eligible = np.flatnonzero(numbers(roots.column("shingles")) > 0)
        found, left_out = np.empty(0, dtype=np.int64), 0
        waiting, filled = np.empty(PENDING_PAIRS, dtype=np.int64), 0
        for name in band_columns(self.options):
            keys = numbers(roots.column(name))[eligible]
            order = np.argsort(keys, kind="stable")  # stable: within a bucket, the order of precedence
            left_out += _count_left_out(keys, order, self.options.bucket_width)
            place, done = np.zeros(3, dtype=np.int64), False
            while not done:
                width = self.options.bucket_width
                done, filled = _fill_pairs(keys, order, width, len(keys), place, waiting, filled)
                if not done:
                    found, filled = self._joined(found, waiting, roots, eligible), 0
                    # As many as are found, so that joining stays rare as they grow.
                    waiting = waiting if len(waiting) >= len(found) else np.empty(len(found), dtype=np.int64)
        found = self._joined(found, waiting[:filled], roots, eligible)
        later, earlier = np.divmod(found, max(len(eligible), 1))
        return Candidates(eligible[later], eligible[earlier], left_out)

    def _joined(self, found: Rows, waiting: Rows, roots: Index, eligible: Rows) -> Rows:
        """The pairs found so far and those of the waiting ones whose sketches agree.

        Pairs that share a band by chance grow with the square of the documents; those that agree, with what they copy.
        """
        fresh = distinct(waiting)
        if isinstance(self.options, RareWordsOptions) and len(fresh):
            later, earlier = (eligible[rows] for rows in np.divmod(fresh, len(eligible)))
            fresh = fresh[agreeing(lambda name: numbers(roots.column(name)), later, earlier, self.options)]
        return distinct(np.concatenate([found, fresh]))


def candidate_pairs(
    arranged: ArrangedIndex, roots: npt.NDArray[np.int64], options: DeduplicationOptions
) -> tuple[pa.Table, int]:
    """(PAIRS among the roots, comparisons left out by the bucket width); deterministic in the set of documents."""
    if options.near is None:
        return PAIRS.empty_table(), 0
    chosen = ArrangedIndex(arranged.index, arranged.rows[roots == np.arange(len(roots))])
    generator: CandidateGenerator = SharedBands(options.near)
    found = generator.find(chosen)
    columns = [
        column.take(pa.array(rows))
        for column in (chosen.column(name).combine_chunks() for name in ("doc_id", "shingles"))
        for rows in (found.later, found.earlier)
    ]
    return pa.Table.from_arrays(columns, schema=PAIRS), found.left_out
