"""The parts of deduplication that read texts, cut into tasks for any number of workers: signing and verifying."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.view import CorpusView, Rows, Table
from headwater.assets.deduplication.buckets import Flags
from headwater.assets.deduplication.decontamination import HITS, contaminated
from headwater.assets.deduplication.difference import Reaching
from headwater.assets.deduplication.fit import SAMPLED_AT_ONCE, Fit, FitMaker, fit_of, sampled
from headwater.assets.deduplication.index import signature_schema
from headwater.assets.deduplication.minima import device_for
from headwater.assets.deduplication.options import DeduplicationOptions, FitOptions
from headwater.assets.deduplication.passages import PASSAGES, compute_passages
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.verify import pair_chunks, verify_pairs
from headwater.assets.schemas import EDGES
from headwater.assets.storage.records import TableRecord
from headwater.assets.storage.tables import Positions, read_table, remembered, take_positions


@dataclass(frozen=True)
class SignTask:
    """Rows whose documents get signatures and are looked up among the evaluation items.

    `chosen` are places among the documents of these rows that curation keeps; None means all of them.
    """

    view: CorpusView
    rows: Rows
    chosen: tuple[int, ...] | None
    options: DeduplicationOptions
    items: Table | None
    fit: Table | None
    gpus: float = 0


@dataclass(frozen=True)
class VerifyTask:
    """Candidate pairs to verify; rows of the documents table for every id in them."""

    pairs: pa.Table
    documents: Table
    rows: tuple[int, ...]
    options: DeduplicationOptions
    fit: Table | None


def make_fit(context: StageContext, now: Reaching) -> TableRecord | None:
    """The table `fit` of the documents that reach this stage, where something weighs by it."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    if not options.needs_fit:
        return None
    chosen = sampled(now.documents["doc_id"], options.fit)
    rows = np.flatnonzero(now.kept[now.readable])[chosen]
    maker = FitMaker(options.fit)
    for first in range(0, len(rows), SAMPLED_AT_ONCE):
        some = rows[first : first + SAMPLED_AT_ONCE]
        order = np.argsort(some)
        texts = take_positions(*now.view.documents, some[order], ["text"])["text"]
        maker.add(texts.take(pa.array(np.argsort(order))))
    return context.write_table("fit", maker.table(len(now.documents)))


def read_fit(fit: Table | None, options: DeduplicationOptions) -> Fit | None:
    """The stored fit as signing and verifying use it."""
    return None if fit is None else _fit_at(*fit, options.fit)


@remembered(2)
def _fit_at(url: str, version: int, options: FitOptions) -> Fit:
    return fit_of(read_table(url, version), options)


def sign(
    context: StageContext,
    now: Reaching,
    chosen: Flags,
    items: Table | None,
    fit: Table | None,
    keeping: dict[str, Positions] | None = None,
) -> dict[str, TableRecord]:
    """The tables `signatures`, `hits` and, where declared, `passages` with the documents of the chosen rows of the
    ledger, in its order.

    With `keeping`, they go on from the earlier tables, less the rows at these positions.
    """
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    gpus = context.stage.compute.gpus
    tasks = [SignTask(now.view, *part, options, items, fit, gpus) for part in _parts(now, chosen)]
    schemas = {"signatures": signature_schema(options), "hits": HITS}
    if options.passages is not None:
        schemas["passages"] = PASSAGES
    sizes = [float(task.rows.documents) for task in tasks]
    covers = [task.rows for task in tasks]
    tables, _ = context.run_partitions(
        "sign", _sign, tasks, schemas, covers, sizes, unit="documents", keeping=keeping, on_gpu=True
    )
    return tables


def _parts(now: Reaching, chosen: Flags) -> Iterator[tuple[Rows, tuple[int, ...] | None]]:
    """For each chunk that has chosen rows: the rows from the first to the last of them, and their places there."""
    documents = np.concatenate([[0], np.cumsum(now.readable)])
    for chunk in now.chunks:
        rows = chunk.first_record + np.flatnonzero(chosen[chunk.first_record : chunk.first_record + chunk.records])
        if len(rows) == 0:
            continue
        first, end = int(rows[0]), int(rows[-1]) + 1
        span = Rows(int(documents[first]), int(documents[end] - documents[first]), first, end - first)
        places = np.flatnonzero(chosen[first:end][now.kept[first:end]])
        every = len(places) == np.count_nonzero(now.kept[first:end])
        yield span, None if every else tuple(places.tolist())


def _sign(task: SignTask) -> Iterator[tuple[str, Any]]:
    by_content = task.view.arrays is not None
    documents = task.view.kept(task.rows, columns=("content_id",) if by_content else (), text=not by_content)
    if task.chosen is not None:
        documents = documents.take(list(task.chosen))
    if by_content:
        yield "signatures", _whole_contents(documents, task.options)
        return
    fit, device = read_fit(task.fit, task.options), device_for(task.gpus)
    for batch in compute_signatures(documents, task.options, fit, device).combine_chunks().to_batches():
        yield "signatures", batch
    if task.options.passages is not None:
        for batch in compute_passages(documents, task.options.passages).to_batches():
            yield "passages", batch
    if task.items is not None and documents.num_rows:
        items = read_table(*task.items)
        for batch in contaminated(documents, items, task.options.decontamination).combine_chunks().to_batches():
            yield "hits", batch


def _whole_contents(documents: pa.Table, options: DeduplicationOptions) -> pa.RecordBatch:
    """Rows of the index of documents that are more than text: equal where text and arrays are equal to the last bit."""
    keys = b"".join(bytes.fromhex(content) for content in documents["content_id"].to_pylist())
    exact = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(documents), [None, pa.py_buffer(keys)])
    ids = documents["doc_id"].combine_chunks().cast(pa.string())
    return pa.RecordBatch.from_arrays([ids, exact], schema=signature_schema(options))


def verify(context: StageContext, now: Reaching, pairs: pa.Table, fit: Table | None) -> pa.Table:
    """Verified near edges of the pairs (PAIRS); each task reads the texts of its own pairs."""
    if pairs.num_rows == 0:
        return EDGES.empty_table()
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    ids = pc.unique(pa.chunked_array([*pairs["doc_id"].chunks, *pairs["other_id"].chunks]))
    rows = now.text_rows(ids)
    tasks = []
    for chunk in pair_chunks(pairs):
        both = pc.unique(pa.chunked_array([*chunk["doc_id"].chunks, *chunk["other_id"].chunks]))
        places = np.sort(rows[pc.index_in(both, value_set=ids).to_numpy()])
        tasks.append(VerifyTask(chunk, now.view.documents, tuple(places.tolist()), options, fit))
    sizes = [float(task.pairs.num_rows) for task in tasks]
    ends = [task.pairs.select(["doc_id", "other_id"]).take([0, task.pairs.num_rows - 1]) for task in tasks]
    covers = [[task.pairs.num_rows, end.to_pylist()] for task, end in zip(tasks, ends, strict=True)]
    schemas = {"near_edges": EDGES}
    tables, _ = context.run_partitions("verify", _verify, tasks, schemas, covers, sizes, unit="pairs")
    return read_table(context.place.table("near_edges"), tables["near_edges"].version)


def texts_of(now: Reaching, ids: pa.Array) -> dict[str, str]:
    """Texts of a few documents by id."""
    table = take_positions(*now.view.documents, np.sort(now.text_rows(ids)), ["doc_id", "text"])
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


def _verify(task: VerifyTask) -> Iterator[tuple[str, Any]]:
    texts = take_positions(*task.documents, np.asarray(task.rows, dtype=np.int64), ["doc_id", "text"])
    fit = read_fit(task.fit, task.options)
    for batch in verify_pairs(task.pairs, lambda _: texts, task.options, fit).combine_chunks().to_batches():
        yield "near_edges", batch
