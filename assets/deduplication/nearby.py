"""The documents that a refresh has to do with: those that have a key with one that goes or arrives.

An index of a hundred million documents is read once, a batch at a time, and of each batch nothing is kept but the rows
that share their text or a bucket with a document that moves. All that follows works on those few alone.

Keys of few minima are shared by chance, by more documents the larger a corpus is. Where sketches tell how much two
documents agree, those that agree with nothing that moves are given up at once: no pair of theirs can change, unless
their bucket is crowded, where it matters who is among its earliest.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from headwater.assets.deduplication.buckets import Flags
from headwater.assets.deduplication.index import band_columns, batches_of, exact_words, rows_of
from headwater.assets.deduplication.normalise import Hashes, Rows
from headwater.assets.deduplication.options import DeduplicationOptions, RareWordsOptions
from headwater.assets.deduplication.population import Documents
from headwater.assets.deduplication.rare_words import agreeing
from headwater.assets.key_sets import KeySet, distinct

_EXACT = "exact_key"


def nearby(earlier: Documents, gone: Rows, arrived: Documents, options: DeduplicationOptions) -> tuple[Documents, Rows]:
    """(the earlier documents that share a key with one that goes or arrives, in their order; which of them go).

    `gone` are places among the earlier documents, ascending.
    """
    bands = band_columns(options.near) if options.near is not None else []
    names = [_EXACT, *(["shingles"] if bands else []), *bands]
    every = np.arange(arrived.number)
    moving = pa.concat_tables([rows_of(earlier.signatures, names, gone), rows_of(arrived.signatures, names, every)])
    wanted = _key_sets(moving, bands, options.exact.enabled)
    places, parts, first = [], [], 0
    for batch in batches_of(earlier.signatures, names):
        stop = first + batch.num_rows
        own = gone[np.searchsorted(gone, first) : np.searchsorted(gone, stop)]
        rows = np.flatnonzero(_touched(batch, wanted, own - first))
        places.append(first + rows)
        parts.append(batch.take(pa.array(rows)))
        first = stop
    chosen = np.concatenate(places) if places else np.empty(0, dtype=np.int64)
    index = pa.Table.from_batches(parts, moving.schema)
    del parts
    if isinstance(options.near, RareWordsOptions) and len(chosen):
        matters = _matters(index, moving, options.near)
        if options.exact.enabled:
            matters |= np.isin(_keys(index, _EXACT), wanted[_EXACT].keys)
        matters[np.searchsorted(chosen, gone)] = True
        chosen, index = chosen[matters], index.filter(pa.array(matters))
    return Documents(index.combine_chunks(), earlier.said(chosen).combine_chunks()), np.searchsorted(chosen, gone)


def _matters(index: pa.Table, moving: pa.Table, near: RareWordsOptions) -> Flags:
    """Which documents of the index agree with one that moves, or share a crowded bucket with it."""
    matters, codes = np.zeros(len(index), dtype=np.bool_), [np.empty(0, dtype=np.int64)]
    here, there = (np.flatnonzero(rows["shingles"].to_numpy() > 0) for rows in (index, moving))
    for name in band_columns(near):
        one, two, full = _sharing(_keys(index, name)[here], _keys(moving, name)[there], near.bucket_width)
        matters[here[full]] = True
        codes.append(here[one] * len(moving) + there[two])
    one, two = np.divmod(distinct(np.concatenate(codes)), max(len(moving), 1))
    undecided = ~matters[one]
    one, two = one[undecided], two[undecided]

    def keys(name: str) -> Hashes:
        return np.concatenate([_keys(index, name), _keys(moving, name)])

    agree = agreeing(keys, one, len(index) + two, near)
    matters[one[agree]] = True
    return matters


def _sharing(keys: Hashes, moving: Hashes, width: int) -> tuple[Rows, Rows, Rows]:
    """(rows of keys and of moving keys that are equal, each pair once; rows of keys whose bucket may be crowded).

    The pairs are those of buckets that are not.
    """
    order = np.argsort(moving)
    ordered = moving[order]
    buckets = distinct(moving)
    rows, bucket = KeySet(moving).find(keys)
    starts = np.searchsorted(ordered, buckets)
    sizes = np.diff(np.append(starts, len(ordered)))
    full = (np.bincount(bucket, minlength=len(buckets)) + sizes > width)[bucket]
    one, of = rows[~full], bucket[~full]
    counts = sizes[of]
    ends = np.cumsum(counts)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.repeat(one, counts), order[np.repeat(starts[of], counts) + within], rows[full]


def _key_sets(moving: pa.Table, bands: list[str], exact: bool) -> dict[str, KeySet]:
    """The keys to look for in each column; documents without shingles are in no bucket, whatever their keys are."""
    found = {_EXACT: KeySet(_keys(moving, _EXACT))} if exact else {}
    if bands:
        compared = moving["shingles"].to_numpy() > 0
        found |= {name: KeySet(_keys(moving, name)[compared]) for name in bands}
    return found


def _touched(batch: pa.RecordBatch, wanted: Mapping[str, KeySet], gone: Rows) -> Flags:
    touched = np.zeros(batch.num_rows, dtype=np.bool_)
    touched[gone] = True
    for name, keys in wanted.items():
        touched[keys.find(_keys(batch, name))[0]] = True
    return touched


def _keys(rows: pa.Table | pa.RecordBatch, name: str) -> Hashes:
    """The keys of a column; of an exact key one half, which tells two apart but for one chance in 2^64."""
    if name == _EXACT:
        return np.ascontiguousarray(exact_words(rows.column(name))[:, 0])
    return rows.column(name).to_numpy()
