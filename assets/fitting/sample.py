"""Which documents teach a tokenizer: a sample by a keyed hash of their ids, whatever the order of arrival."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from headwater.assets.fitting.options import ByteLevelBpeOptions

DocIds: TypeAlias = Sequence[str] | pa.ChunkedArray

_MEGABYTE = 1_000_000
_AT_ONCE = 1 << 16


def sample_order(doc_ids: DocIds, seed: int) -> np.ndarray:
    """Rows in the order in which their documents enter a sample: by a keyed hash of the id (int64 row numbers)."""
    key = seed.to_bytes(8, "little")
    hashes = np.fromiter((_keyed_hash(doc_id, key) for doc_id in _each(doc_ids)), dtype=np.uint64, count=len(doc_ids))
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    # The id breaks the tie of two equal hashes, so that the order never depends on the rows' own order.
    for first in np.flatnonzero((ordered[1:] == ordered[:-1]) & (np.r_[True, ordered[1:-1] != ordered[:-2]])):
        last = int(np.searchsorted(ordered, ordered[first], side="right"))
        order[first:last] = sorted(order[first:last], key=lambda row: str(doc_ids[row]))
    return order


def _keyed_hash(doc_id: str, key: bytes) -> int:
    return int.from_bytes(blake2b(doc_id.encode(), digest_size=8, key=key).digest(), "big")


def _each(doc_ids: DocIds) -> Iterator[str]:
    """The ids one by one, never all of them as Python's texts."""
    if not isinstance(doc_ids, pa.ChunkedArray):
        yield from doc_ids
        return
    for first in range(0, len(doc_ids), _AT_ONCE):
        yield from doc_ids.slice(first, _AT_ONCE).to_pylist()


def draw_sample(doc_ids: DocIds, sizes: np.ndarray, options: ByteLevelBpeOptions) -> np.ndarray:
    """Rows of the sample in its order: as many documents as it takes to reach `sample_megabytes`.

    `sizes` are bytes of UTF-8 per row; a document counts with `document_megabytes` at most, as it is cut there.
    """
    order = sample_order(doc_ids, options.seed)
    counted = np.minimum(np.asarray(sizes, dtype=np.int64)[order], int(options.document_megabytes * _MEGABYTE))
    before = np.cumsum(counted) - counted
    return order[before < options.sample_megabytes * _MEGABYTE]
