"""Deduplication of what changed, with the result of a full run over the final documents.

Three facts make that possible. Whether two groups of exact copies resemble each other depends on their texts alone, so
evidence stays valid whichever copy stands for its group. Whether they are compared depends on the buckets they share,
and a bucket changes only if a group in it came, went or got another root (the earliest copy). And decisions depend on
nothing outside a connected part of the graph of edges (see `neighbourhood`).

So a refresh (1) gathers the documents that have a key with something that came or went, in one pass over the index
(`nearby`); (2) finds among them the groups whose root changes, and compares each of their buckets as it was with what
it is; (3) hands the pairs that were never compared to the verifier, and keeps, renames or withdraws the edges that are
there. An edge between unchanged groups can be lost only when one of them is no longer among the earliest of a crowded
bucket; it is then looked for in all the buckets that both share (`still_candidates`).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.buckets import Difference, Flags, compare_buckets
from headwater.assets.deduplication.candidates import PAIRS, copy_edges
from headwater.assets.deduplication.index import band_columns
from headwater.assets.deduplication.nearby import nearby
from headwater.assets.deduplication.normalise import Rows
from headwater.assets.deduplication.options import DeduplicationOptions, Near, RareWordsOptions
from headwater.assets.deduplication.population import Documents, Groups, Population
from headwater.assets.deduplication.rare_words import agreeing
from headwater.assets.deduplication.standing import still_candidates
from headwater.assets.key_sets import among, distinct
from headwater.assets.schemas import EDGES


class Plan(NamedTuple):
    """What a refresh does to the edges before anything is verified.

    `pairs` (PAIRS) are to be verified; `removed` are positions in the earlier edges; `added` (EDGES) follow from
    evidence at hand; `left_out` is the change in the comparisons that the bucket width leaves out.
    """

    pairs: pa.Table
    removed: Rows
    added: pa.Table
    left_out: int


def plan_refresh(
    earlier: Documents,
    edges: pa.Table,
    gone: Rows,
    arrived: Documents,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
) -> Plan:
    """Plans the edges of the documents `earlier` less those at the rows `gone` plus those that `arrived`.

    `edges` (EDGES) are those of the earlier documents, whole. A document whose text, date, source or split changed is
    among both `gone` and `arrived`. The earlier edges without `removed`, with `added` and with what the verifier
    accepts of `pairs`, are the edges of a full run, in another order.
    """
    near, gone_of_near = nearby(earlier, gone, arrived, options)
    everyone = Population(near, gone_of_near, arrived, options, source_rank)
    whole = Population(earlier, gone, arrived, options, source_rank)
    touched = everyone.groups(everyone.same_text())
    removed, added = _exact(everyone, touched, edges)
    if options.near is None:
        return Plan(PAIRS.empty_table(), removed, added, 0)
    by_band = _near(everyone, whole, touched, edges, options.near)
    return by_band._replace(
        removed=np.union1d(removed, by_band.removed), added=pa.concat_tables([added, by_band.added])
    )


def _exact(everyone: Population, touched: Groups, edges: pa.Table) -> tuple[Rows, pa.Table]:
    """(positions of exact edges to remove, exact edges to add): of copies that went or came, or whose root changed."""
    members, changed = touched.members, touched.changed[touched.group]
    before, after = touched.before[touched.group], touched.after[touched.group]
    arrivals, gone = everyone.is_arrival(members), everyone.is_gone[members]
    was_copy = members[~arrivals & (before != members) & (changed | gone)]
    removed = _is_kind(edges, "exact") & _is_end(edges["doc_id"], everyone.doc_ids(was_copy))
    is_copy = ~gone & (after != members) & (changed | arrivals)
    copies, roots = members[is_copy], after[is_copy]
    added = copy_edges(everyone.doc_ids(copies), everyone.doc_ids(roots), everyone.shingles(copies))
    return np.flatnonzero(removed), added


def _near(everyone: Population, whole: Population, touched: Groups, edges: pa.Table, options: Near) -> Plan:
    moving = everyone.moving
    moving = moving[touched.changed[touched.of(moving)] & (everyone.shingles(moving) > 0)]
    if len(moving) == 0:
        return Plan(PAIRS.empty_table(), moving, EDGES.empty_table(), 0)
    buckets = [everyone.sharing(band, moving) for band in band_columns(options)]
    present = np.zeros(everyone.total, dtype=np.bool_)
    for members, _ in buckets:
        present[members] = True
    groups = everyone.groups(np.flatnonzero(present))
    found = _compare(groups, buckets, options.bucket_width)
    near = _near_edges(everyone, groups, edges)
    fresh = found.gained[~(among(found.gained, found.known) | among(found.gained, distinct(near.codes)))]
    lost = _lost(whole, near, edges, found.leaving, options)
    again = near.released & (among(near.codes, found.gained) | among(near.codes, found.known))
    renamed = _renamed(everyone, groups, edges.take(pa.array(near.rows[again])), near.codes[again])
    removed = np.union1d(near.rows[near.released], lost)
    return Plan(_pairs(everyone, groups, fresh, options), removed, renamed, found.left_out)


def _compare(groups: Groups, buckets: list[tuple[Rows, Rows]], width: int) -> Difference:
    """The differences of all bands together, each pair once."""
    parts = []
    for members, bucket in buckets:
        group, first = np.unique(groups.of(members), return_index=True)
        before, after = groups.place_before[group], groups.place_after[group]
        parts.append(
            compare_buckets(bucket[first], group, before, after, groups.changed[group], width, len(groups.before))
        )
    gained, known, leaving = (distinct(np.concatenate(part)) for part in list(zip(*parts, strict=True))[:3])
    return Difference(gained, known, leaving, sum(part.left_out for part in parts))


class _NearEdges(NamedTuple):
    """Earlier near edges with an end among some groups: their rows, and the groups of their ends (-1: another one).

    `codes` are those of `Difference` (-1 where an end is another group). `released` edges have an end whose group came,
    went or has another root: they no longer stand as they are.
    """

    rows: Rows
    one: Rows
    two: Rows
    codes: Rows
    released: Flags


def _near_edges(everyone: Population, groups: Groups, edges: pa.Table) -> _NearEdges:
    existing = np.flatnonzero(groups.before >= 0)
    roots = everyone.doc_ids(groups.before[existing])
    ends = []
    for name in ("doc_id", "other_id"):
        place = pc.fill_null(pc.index_in(edges[name], value_set=roots), -1).to_numpy()
        ends.append(np.append(existing, -1)[place])
    rows = np.flatnonzero(_is_kind(edges, "near") & ((ends[0] >= 0) | (ends[1] >= 0)))
    one, two = (end[rows] for end in ends)
    both = (one >= 0) & (two >= 0)
    codes = np.where(both, np.maximum(one, two) * len(groups.before) + np.minimum(one, two), -1)
    changed = np.append(groups.changed, False)  # the last is what -1 stands for
    return _NearEdges(rows, one, two, codes, changed[one] | changed[two])


def _lost(whole: Population, near: _NearEdges, edges: pa.Table, leaving: Rows, options: Near) -> Rows:
    """Rows of the edges between unchanged groups that are no candidates any more; either end may be any document."""
    doubtful = near.rows[~near.released & (among(near.one, leaving) | among(near.two, leaving))]
    if len(doubtful) == 0:
        return doubtful
    ends = [edges[name].take(pa.array(doubtful)).combine_chunks() for name in ("doc_id", "other_id")]
    ids = pc.unique(pa.chunked_array(ends))
    row_of = whole.earlier.members_of(ids)
    one, two = (row_of[pc.index_in(end, value_set=ids).to_numpy()] for end in ends)
    return doubtful[~still_candidates(whole, one, two, options)]


def _renamed(everyone: Population, groups: Groups, edges: pa.Table, codes: Rows) -> pa.Table:
    """The edges between the present roots of the same groups, with the same evidence."""
    later, earlier = _roots(groups, codes)
    names = [everyone.doc_ids(later), everyone.doc_ids(earlier)]
    measured = [edges[name].combine_chunks() for name in EDGES.names[2:]]
    return pa.Table.from_arrays([*names, *measured], schema=EDGES)


def _pairs(everyone: Population, groups: Groups, codes: Rows, options: Near) -> pa.Table:
    later, earlier = _roots(groups, codes)
    if isinstance(options, RareWordsOptions) and len(codes):
        agree = agreeing(everyone.keys, later, earlier, options)
        later, earlier = later[agree], earlier[agree]
    columns = [everyone.doc_ids(later), everyone.doc_ids(earlier)]
    columns += [pa.array(everyone.shingles(side)) for side in (later, earlier)]
    return pa.Table.from_arrays(columns, schema=PAIRS)


def _roots(groups: Groups, codes: Rows) -> tuple[Rows, Rows]:
    """(later roots, earlier roots) of pairs of groups."""
    one, two = np.divmod(codes, max(len(groups.before), 1))
    swap = groups.place_after[one] < groups.place_after[two]
    return groups.after[np.where(swap, two, one)], groups.after[np.where(swap, one, two)]


def _is_kind(edges: pa.Table, kind: str) -> Flags:
    return pc.equal(edges["kind"], kind).to_numpy()


def _is_end(ends: pa.ChunkedArray, ids: pa.Array) -> Flags:
    return pc.is_in(ends, value_set=ids).to_numpy()
