"""Where a few documents stand in a ledger of many, by their ids.

An id is 32 hexadecimal digits, of which the first eight, as one number, turn nearly every stranger away: the ids of the
ledger are looked at where they lie, and only what is left is compared whole. That takes a third of hashing them all.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.key_sets import Hashes, KeySet, Rows
from headwater.assets.storage.tables import Flags

_WIDTH = 32  # characters of an id
_FEW = 1_000  # ids among which a look-up needs no such help


def rows_by_id(ids: pa.ChunkedArray, doc_ids: pa.Array | pa.ChunkedArray, chosen: Flags | None = None) -> Rows:
    """The rows (of the `chosen` ones, where given) at which ids stand among different ones, -1 where nowhere.

    Looking up all of `doc_ids` among the few costs little for each; a hash table of all would cost a hundred bytes.
    """
    encoded = ids.combine_chunks().cast(doc_ids.type).dictionary_encode()
    heads = _heads(encoded.dictionary)
    keys = None if heads is None or len(doc_ids) < _FEW else KeySet(heads)
    found, parts, first = [np.empty(0, dtype=np.int64)], [encoded.dictionary.slice(0, 0)], 0
    for chunk in doc_ids.chunks if isinstance(doc_ids, pa.ChunkedArray) else [doc_ids]:
        near = _near(chunk, keys)
        if chosen is not None:
            near = near[chosen[first + near]]
        found.append(first + near)
        parts.append(chunk.take(pa.array(near)))
        first += len(chunk)
    places = pc.index_in(pa.concat_arrays(parts), value_set=encoded.dictionary)
    there = pc.is_valid(places).to_numpy(zero_copy_only=False)
    rows = np.full(len(encoded.dictionary), -1, dtype=np.int64)
    rows[places.drop_null().to_numpy()] = np.concatenate(found)[there]
    return rows[encoded.indices.to_numpy()]


def _near(ids: pa.Array, keys: KeySet | None) -> Rows:
    """The rows whose id begins as one of those wanted; all where that is not known or ids are not of one width."""
    heads = None if keys is None else _heads(ids)
    return np.arange(len(ids)) if keys is None or heads is None else keys.find(heads)[0]


def _heads(ids: pa.Array) -> Hashes | None:
    """The first eight characters of every id as a number; None where one is of another width."""
    if ids.null_count:
        return None
    if len(ids) == 0:
        return np.empty(0, dtype=np.uint64)
    wide = pa.types.is_large_string(ids.type)
    stored = np.frombuffer(ids.buffers()[1], dtype=np.int64 if wide else np.int32)
    offsets = stored[ids.offset : ids.offset + len(ids) + 1]
    if np.any(np.diff(offsets) != _WIDTH):
        return None
    words = np.frombuffer(ids.buffers()[2], dtype="<u8", count=4 * len(ids), offset=int(offsets[0]))
    return np.ascontiguousarray(words.reshape(-1, 4)[:, 0])
