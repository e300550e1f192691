"""Whether earlier candidates still are, where a crowded bucket no longer compares them.

Two groups are candidates as long as any one of the buckets they share has one of them among its earliest. When a group
falls behind in one bucket, its edges are looked for in the others, band after band until each is found or none is left.
"""

import numpy as np

from headwater.assets.deduplication.buckets import Flags, ranks
from headwater.assets.deduplication.index import band_columns, numbers
from headwater.assets.deduplication.normalise import Rows
from headwater.assets.deduplication.options import Near
from headwater.assets.deduplication.population import Population


def still_candidates(everyone: Population, one: Rows, two: Rows, options: Near) -> Flags:
    """For each pair of earlier documents, roots before and after the refresh, whether it is a candidate after it."""
    standing = np.zeros(len(one), dtype=np.bool_)
    for band in band_columns(options):
        if standing.all():
            break
        keys = numbers(everyone.earlier.signatures.column(band))
        pairs = np.flatnonzero(~standing & (keys[one] == keys[two]))
        if len(pairs):
            standing[pairs] = _among_earliest(everyone, band, one[pairs], two[pairs], options.bucket_width)
    return standing


def _among_earliest(everyone: Population, band: str, one: Rows, two: Rows, width: int) -> Flags:
    """For pairs that share a bucket of the band, whether one of the two is among its earliest roots."""
    members, bucket = everyone.sharing(band, one)
    groups = everyone.groups(members)
    is_root = groups.after[groups.group] == members  # which neither copies are nor documents that go
    rank = ranks(bucket, np.where(is_root, groups.place, -1))
    places = [np.searchsorted(members, side) for side in (one, two)]
    return np.minimum(rank[places[0]], rank[places[1]]) < width
