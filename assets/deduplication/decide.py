"""Which documents stay.

The rule, over all verified pairs: (1) a training document with an edge to any held-out document is dropped as
`near_held_out`; (2) one that shares long sequences with an evaluation item is dropped as `contaminated`; (3) among the
rest of each split, in order of precedence, a document is dropped if and only if it has an edge to an earlier *kept*
one: `exact_duplicate` if that edge is an exact one, else `near_duplicate`. Clusters never grow by chains: what
resembles only a dropped document stays.

Why one representative for each group of exact copies gives the same result as all pairs. Copies have the same words,
hence the same shingles, signatures and measured similarities; so whether x of group G and y of another group H have an
edge depends on G and H alone, and an edge between their roots stands for all of them. All pairs within a group have an
exact edge. Therefore (1) concerns all training members of G at once: when G or a neighbour of G has a held-out member.
In (3), take the first member f of G among those left in a split. A later member m has an exact edge to f: if f is kept,
m is dropped as its copy. If f is dropped, it is because of a kept y of another group that is earlier than f; then y is
earlier than m too and has an edge to it, so m is dropped. Only first members are ever kept, so only they can drop
others, and the rule among first members, with the edges of their groups, is the whole rule.

Where passages are looked at, (3) also drops, as `repeated_passages`, a document of whose text too much stands in
earlier kept ones. Copies have the same passages, so that this too concerns groups.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication import passages
from headwater.assets.deduplication.normalise import Rows
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.order import document_order, inverse
from headwater.assets.deduplication.passages import Passages
from headwater.assets.document_ids import rows_by_id
from headwater.assets.kernels import compiled
from headwater.assets.schemas import DECISIONS

EXACT_DUPLICATE, NEAR_DUPLICATE, NEAR_HELD_OUT, CONTAMINATED, REPEATED_PASSAGES = RULES = (
    "exact_duplicate",
    "near_duplicate",
    "near_held_out",
    "contaminated",
    passages.RULE,
)
_SPLITS = ("train", "held_out")


class _Graph(NamedTuple):
    """Groups of exact copies, named by the row of their root, and the near edges between them in both directions."""

    group: Rows  # of each document
    source: Rows  # groups, sorted
    target: Rows
    similarity: npt.NDArray[np.float64]

    @property
    def size(self) -> int:
        return len(self.group)


class Verdicts(NamedTuple):
    """What is decided of each row of a ledger, as numbers: `table` tells it in full, for all rows or a piece at a time.

    `rule` is a place in RULES, -1 where a document is kept; `other` the row of the document that decided, -1 where none
    did; `items` name the evaluation items found in documents, null elsewhere.
    """

    doc_ids: pa.Array
    rule: npt.NDArray[np.int8]
    value: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.float64]
    other: Rows
    items: pa.Array | None

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """The documents that stay."""
        return self.rule < 0

    def table(self, first: int = 0, count: int | None = None) -> pa.Table:
        """The decisions (DECISIONS) of `count` rows from `first` on, by default of all."""
        rows = slice(first, None if count is None else first + count)
        kept, other = self.kept[rows], self.other[rows]
        detail = self.doc_ids.take(pa.array(other, mask=other < 0))
        if self.items is not None:
            contaminated = pa.array(self.rule[rows] == RULES.index(CONTAMINATED))
            detail = pc.if_else(contaminated, self.items[rows], detail)
        columns = [
            self.doc_ids[rows],
            pa.array(kept),
            pa.array(RULES).take(pa.array(self.rule[rows], mask=kept)),
            pa.array(self.value[rows], mask=kept),
            pa.array(self.threshold[rows], mask=kept),
            detail,
        ]
        return pa.Table.from_arrays(columns, schema=DECISIONS)


class _Outcome:
    """Columns of the decisions, in order of precedence; everything is kept until a rule says otherwise."""

    def __init__(self, documents: int) -> None:
        self.rule = np.full(documents, -1, dtype=np.int8)
        self.value = np.full(documents, np.nan)
        self.threshold = np.full(documents, np.nan)
        self.other = np.full(documents, -1, dtype=np.int64)  # row of the document that decided

    def drop(self, rows: Rows, rule: str, value: npt.ArrayLike, threshold: npt.ArrayLike, other: Rows | int) -> None:
        self.rule[rows] = RULES.index(rule)
        self.value[rows] = value
        self.threshold[rows] = threshold
        self.other[rows] = other

    @property
    def undecided(self) -> npt.NDArray[np.bool_]:
        return self.rule < 0


class _Order(NamedTuple):
    """The ledger's rows in order of precedence, and the place of each row in it."""

    rows: Rows
    places: Rows

    def places_of(self, ids: pa.ChunkedArray, doc_ids: pa.Array, what: str) -> Rows:
        """Where documents stand in the order, by their ids; raises ValueError for one that the ledger does not have."""
        rows = rows_by_id(ids, doc_ids)
        if len(missing := np.flatnonzero(rows < 0)):
            raise ValueError(
                f"{what} names document {ids[missing[0].item()]}, which the ledger does not have; recompute it"
            )
        return self.places[rows]


def _graph(order: _Order, doc_ids: pa.Array, edges: pa.Table) -> _Graph:
    later, earlier = (order.places_of(edges[name], doc_ids, "an edge") for name in ("doc_id", "other_id"))
    if len(wrong := np.flatnonzero(later <= earlier)):
        one, two = edges["doc_id"][wrong[0].item()], edges["other_id"][wrong[0].item()]
        raise ValueError(f"an edge calls document {two} earlier than {one}, but it is not; recompute the edges")
    exact = pc.equal(edges["kind"], "exact").to_numpy()
    group = np.arange(len(doc_ids), dtype=np.int64)
    group[later[exact]] = earlier[exact]
    while not np.array_equal(group, group[group]):
        group = group[group]
    one, two = group[later[~exact]], group[earlier[~exact]]
    similarity = edges["similarity"].to_numpy()[~exact]
    source, target = np.concatenate([one, two]), np.concatenate([two, one])
    ordered = np.lexsort((target, source))
    return _Graph(group, source[ordered], target[ordered], np.concatenate([similarity, similarity])[ordered])


def _first_members(graph: _Graph, members: npt.NDArray[np.bool_]) -> Rows:
    """The first of the chosen documents in each group; the number of documents where there is none."""
    first = np.full(graph.size, graph.size, dtype=np.int64)
    rows = np.flatnonzero(members)
    np.minimum.at(first, graph.group[rows], rows)
    return first


def _best_edge(graph: _Graph, valid: npt.NDArray[np.bool_], first: Rows) -> tuple[Rows, npt.NDArray[np.float64]]:
    """(neighbour, similarity) of each group: the most similar valid one, then the earliest; -1 where there is none."""
    edges = np.flatnonzero(valid)
    order = np.lexsort((first[graph.target[edges]], -graph.similarity[edges], graph.source[edges]))
    edges = edges[order]
    groups, places = np.unique(graph.source[edges], return_index=True)
    neighbour, similarity = np.full(graph.size, -1, dtype=np.int64), np.full(graph.size, np.nan)
    neighbour[groups] = graph.target[edges[places]]
    similarity[groups] = graph.similarity[edges[places]]
    return neighbour, similarity


@compiled()
def _greedy(order: Rows, starts: Rows, targets: Rows, first: Rows, kept: npt.NDArray[np.bool_]) -> None:
    """Keep each group, in order of first members, unless a neighbour with an earlier first member is kept."""
    for group in order:
        keep = True
        for edge in range(starts[group], starts[group + 1]):
            if kept[targets[edge]] and first[targets[edge]] < first[group]:
                keep = False
                break
        kept[group] = keep


def _drop_near_held_out(outcome: _Outcome, graph: _Graph, held: npt.NDArray[np.bool_], threshold: float) -> None:
    first = _first_members(graph, held)
    present = first < graph.size
    neighbour, similarity = _best_edge(graph, present[graph.target], first)
    groups = graph.group
    copies = np.flatnonzero(~held & present[groups])
    outcome.drop(copies, NEAR_HELD_OUT, 1.0, 1.0, first[groups[copies]])
    alike = np.flatnonzero(~held & ~present[groups] & (neighbour[groups] >= 0))
    decisive = groups[alike]
    outcome.drop(alike, NEAR_HELD_OUT, similarity[decisive], threshold, first[neighbour[decisive]])


class _Repeats(NamedTuple):
    """Passages in the ledger's order, and the order of precedence."""

    passages: Passages
    order: _Order


def _drop_duplicates(
    outcome: _Outcome,
    graph: _Graph,
    members: npt.NDArray[np.bool_],
    threshold: float,
    repeats: _Repeats | None,
) -> None:
    """The rule within one split, on its still undecided documents."""
    first = _first_members(graph, members)
    order = np.argsort(first, kind="stable")
    order = order[: np.count_nonzero(first < graph.size)]
    kept = np.zeros(graph.size, dtype=np.bool_)
    starts = np.searchsorted(graph.source, np.arange(graph.size + 1))
    if repeats is None:
        _greedy(order, starts, graph.target, first, kept)
    else:
        members = _drop_repeating(outcome, graph, members, repeats, (order, starts, graph.target, first, kept))
    valid = kept[graph.target] & (first[graph.target] < first[graph.source])
    neighbour, similarity = _best_edge(graph, valid, first)
    rows = np.flatnonzero(members)
    groups = graph.group[rows]
    copies = kept[groups] & (first[groups] != rows)
    outcome.drop(rows[copies], EXACT_DUPLICATE, 1.0, 1.0, first[groups[copies]])
    decisive = groups[~kept[groups]]
    outcome.drop(rows[~kept[groups]], NEAR_DUPLICATE, similarity[decisive], threshold, first[neighbour[decisive]])


def _drop_repeating(
    outcome: _Outcome, graph: _Graph, members: npt.NDArray[np.bool_], repeats: _Repeats, search: tuple
) -> npt.NDArray[np.bool_]:
    """Keeps groups as `_greedy` does, less those that repeat too much; gives the members that are not dropped so."""
    first = search[3]
    found = repeats.passages
    shares, sources = np.full(graph.size, np.nan), np.full(graph.size, -1, dtype=np.int64)
    rows = repeats.order.rows[np.minimum(first, graph.size - 1)]
    limits = (found.options.min_count, found.options.max_share)
    texts = (found.offsets, found.codes, found.starts, found.ends, found.sizes)
    passages.greedy(search, rows, texts, shares, sources, *limits)
    repeating = members & (shares > found.options.max_share)[graph.group]
    dropped = np.flatnonzero(repeating)
    groups = graph.group[dropped]
    outcome.drop(
        dropped, REPEATED_PASSAGES, shares[groups], found.options.max_share, repeats.order.places[sources[groups]]
    )
    return members & ~repeating


def _drop_contaminated(outcome: _Outcome, hits: pa.Table, places: Rows, held: npt.NDArray[np.bool_]) -> None:
    chosen = outcome.undecided[places] & ~held[places]
    values, thresholds = hits["shared"].to_numpy()[chosen], hits["needed"].to_numpy()[chosen]
    outcome.drop(places[chosen], CONTAMINATED, values, thresholds, -1)


def _splits(ledger: pa.Table) -> npt.NDArray[np.bool_]:
    """True for held-out documents; raises ValueError for a split that is neither train nor held_out."""
    known = pc.is_in(ledger["split"], value_set=pa.array(_SPLITS))
    if not pc.all(known, min_count=0).as_py():
        row = pc.index(known, False).as_py()
        raise ValueError(
            f"document {ledger['doc_id'][row]} has the split {ledger['split'][row]}; it must be train or held_out"
        )
    return pc.equal(ledger["split"], "held_out").to_numpy()


def _items(hits: pa.Table, rows: Rows, documents: int) -> pa.Array:
    """For each row of the ledger the evaluation item first found in its document."""
    names = pc.binary_join_element_wise(hits["set"].cast(pa.string()), hits["item"].cast(pa.string()), " item ")
    found = np.full(documents, -1, dtype=np.int64)
    found[rows[::-1]] = np.arange(len(hits))[::-1]
    return names.combine_chunks().take(pa.array(found, mask=found < 0))


def judge(
    ledger: pa.Table,
    edges: pa.Table,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    hits: pa.Table | None = None,
    repeats: Passages | None = None,
) -> Verdicts:
    """What is decided of each row of a ledger (doc_id, split, source, date).

    `edges` (EDGES) are verified: an exact one from each copy to an earlier copy, near ones between any members of two
    groups; other_id is the earlier document in each. `hits` are those of `decontamination.contaminated`, `repeats` the
    passages of the documents. The document or item that decided is named, for passages the document with the longest
    one. Raises ValueError for edges or hits that do not belong to the ledger.
    """
    rows = document_order(ledger, source_rank)
    order = _Order(rows, inverse(rows))
    doc_ids = ledger["doc_id"].combine_chunks().cast(pa.string())
    held = _splits(ledger)[rows]
    graph, outcome = _graph(order, doc_ids, edges), _Outcome(len(doc_ids))
    limit, items = options.verifier.threshold, None
    _drop_near_held_out(outcome, graph, held, limit)
    if hits is not None and len(hits):
        places = order.places_of(hits["doc_id"], doc_ids, "a contamination hit")
        _drop_contaminated(outcome, hits, places, held)
        items = _items(hits, rows[places], len(rows))
    ordered_repeats = _Repeats(repeats, order) if repeats is not None else None
    for members in (held, ~held & outcome.undecided):
        _drop_duplicates(outcome, graph, members, limit, ordered_repeats)
    other = np.where(outcome.other < 0, -1, rows[outcome.other])[order.places]
    value, threshold = outcome.value[order.places], outcome.threshold[order.places]
    return Verdicts(doc_ids, outcome.rule[order.places], value, threshold, other, items)


def decide(
    ledger: pa.Table,
    edges: pa.Table,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    hits: pa.Table | None = None,
    repeats: Passages | None = None,
) -> pa.Table:
    """What `judge` decides as a table (DECISIONS), one row for each ledger row, in the ledger's order."""
    return judge(ledger, edges, options, source_rank, hits, repeats).table()
