"""Decisions where something changed, and nowhere else.

What is decided about a document depends on its copies, on the documents it has an edge to, on what is decided about
those, and so on: on the connected part of the graph of edges that it lies in. A part without a new document, a new edge
or a lost one is as it was, and so are its decisions; all other parts are decided anew, whole.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.arrow_rows import rows_at
from headwater.assets.deduplication.buckets import Flags
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.normalise import Rows
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.document_ids import rows_by_id
from headwater.assets.kernels import compiled


@compiled()
def _root(parents: Rows, node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]  # halves the path for later visits
        node = parents[node]
    return node


@compiled()
def _connect(one: Rows, two: Rows, parents: Rows) -> None:
    """Join the parts of every edge's ends; every node's parent is its part's least node afterwards."""
    for edge in range(len(one)):
        first, second = _root(parents, one[edge]), _root(parents, two[edge])
        parents[max(first, second)] = min(first, second)
    for node in range(len(parents)):
        parents[node] = _root(parents, node)


def connected(edges: pa.Table, seeds: pa.Array) -> pa.Array:
    """Ids of all documents that edges (EDGES) connect with a seed, over any number of others; seeds included."""
    both = pa.chunked_array([*edges["doc_id"].chunks, *edges["other_id"].chunks], type=pa.string())
    encoded = both.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    parents = np.arange(len(encoded.dictionary), dtype=np.int64)
    _connect(codes[: len(edges)], codes[len(edges) :], parents)
    inside = pc.index_in(seeds, value_set=encoded.dictionary).drop_null().to_numpy()
    touched = np.zeros(len(parents), dtype=np.bool_)
    touched[parents[inside]] = True
    reached = encoded.dictionary.filter(pa.array(touched[parents]))
    return pc.unique(pa.chunked_array([seeds, reached], type=pa.string()))


def touched_documents(edges: pa.Table, removed: Rows, added: pa.Table, arrivals: pa.Table) -> pa.Array:
    """Ids of the documents that a refresh touches at first hand: arrivals, and the ends of edges lost and gained."""
    lost = edges.select(["doc_id", "other_id"]).take(pa.array(removed))
    columns = [arrivals["doc_id"], *(table[name] for table in (lost, added) for name in ("doc_id", "other_id"))]
    chunks = [chunk for column in columns for chunk in column.chunks]
    return pc.unique(pa.chunked_array(chunks, type=pa.string()))


def overlaid(decisions: pa.Table, arrivals: int, rows: Rows, decided: pa.Table) -> pa.Table:
    """Decisions of the documents that stay and of those that arrive, `decided` at `rows`, the others as they were.

    Raises ValueError when an arrival is not decided.
    """
    places = np.append(np.arange(len(decisions)), np.full(arrivals, -1))
    places[rows] = len(decisions) + np.arange(len(rows))
    if np.any(places < 0):
        raise ValueError(f"{np.count_nonzero(places < 0)} new documents were not decided; recompute the decisions")
    return pa.concat_tables([decisions, decided]).take(pa.array(places)).combine_chunks()


def decide_again(
    ledger: pa.Table,
    edges: pa.Table,
    seeds: pa.Array,
    options: DeduplicationOptions,
    source_rank: dict[str, int],
    hits: pa.Table | None = None,
    own: Flags | None = None,
) -> tuple[Rows, pa.Table]:
    """(ascending rows of the ledger that are decided anew, their decisions): equal to those rows of `decide`.

    `seeds` are the ids of new documents and of the ends of new and lost edges; those not in the ledger (any more) count
    for nothing. `ledger`, `edges` and `hits` are those of all documents: the `own` rows of the ledger (default:
    all of them).
    """
    reached = connected(edges, seeds)
    rows = np.sort(rows_by_id(pa.chunked_array([reached]), ledger["doc_id"], own))
    rows = rows[np.searchsorted(rows, 0) :]
    inside = edges.filter(pa.array(_is_in(edges["doc_id"], reached)))
    found = hits.filter(pa.array(_is_in(hits["doc_id"], reached))) if hits is not None else None
    part = rows_at(ledger.select(["doc_id", "split", "source", "date"]), rows)
    return rows, decide(part, inside, options, source_rank, found)


def _is_in(ids: pa.ChunkedArray, chosen: pa.Array) -> np.ndarray:
    return pc.is_in(ids, value_set=chosen).to_numpy()
