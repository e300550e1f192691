"""Rows of the index: exact keys, and what the declared kind of candidates keeps of each document."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.deduplication.fit import Fit
from headwater.assets.deduplication.index import signature_schema
from headwater.assets.deduplication.minhash import band_keys, minhash
from headwater.assets.deduplication.normalise import exact_keys, text_buffers
from headwater.assets.deduplication.options import DeduplicationOptions, Near, RareWordsOptions
from headwater.assets.deduplication.rare_words import sketch_keys
from headwater.assets.deduplication.semantic import embedding_keys
from headwater.assets.deduplication.semantic_options import HyperplaneOptions

_SLICE_BYTES = 16 << 20  # texts normalised at a time


def slices_by_bytes(offsets: npt.NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Row ranges of at most `limit` bytes each; a longer text is a range of its own."""
    ranges, first, rows = [], 0, len(offsets) - 1
    while first < rows:
        last = int(np.searchsorted(offsets, offsets[first] + limit, side="right")) - 1
        last = max(last, first + 1)
        ranges.append((first, last))
        first = last
    return ranges


def _counts_and_keys(texts: pa.Array, near: Near, fit: Fit | None, device: str | None) -> tuple[npt.NDArray, ...]:
    if isinstance(near, RareWordsOptions):
        assert fit is not None  # of whoever signs by rare words
        counts, keys = sketch_keys(texts, fit, near, device)
        return (counts, *keys)
    if isinstance(near, HyperplaneOptions):
        keys, counts = embedding_keys(texts, near)
        return (counts, *np.ascontiguousarray(keys.T))
    values, counts = minhash(texts, near.words, near.permutations, near.seed, device)
    return (counts, *band_keys(values, near))


def compute_signatures(
    documents: pa.Table, options: DeduplicationOptions, fit: Fit | None = None, device: str | None = None
) -> pa.Table:
    """Rows of the index (`signature_schema`) of documents (columns doc_id and text): a row step, order kept.

    `fit` says what is common in the corpus; candidates by rare words need it. `device` is the torch device that finds
    minima, None for the kernels of the processor (`minima`).
    """
    schema = signature_schema(options)
    parts = []
    for batch in documents.select(["doc_id", "text"]).to_batches():
        doc_ids, texts = batch["doc_id"].cast(pa.string()), batch["text"].cast(pa.large_string())
        for first, last in slices_by_bytes(text_buffers(texts)[1], _SLICE_BYTES):
            part = texts.slice(first, last - first)
            columns = [doc_ids.slice(first, last - first), exact_keys(part, options.exact)]
            if near := options.near:
                columns.extend(map(pa.array, _counts_and_keys(part, near, fit, device)))
            parts.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(parts, schema=schema)
