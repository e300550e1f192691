"""The buckets that a refresh touches: finding their members, and comparing what they were with what they are.

A bucket is the set of documents with one band key. A refresh touches the buckets of the documents that came, went or
changed their rank; all others hold the same candidates as before.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headwater.assets.deduplication.normalise import Rows
from headwater.assets.kernels import compiled

Flags = npt.NDArray[np.bool_]

ABSENT = -1
_PLACE_BITS = 32  # of a number that holds a bucket and a place: two thousand million of each


def ranks(bucket: Rows, place: Rows) -> Rows:
    """The rank of every member within its bucket, by place; members without a place (-1) have no rank (-1)."""
    found = np.full(len(bucket), ABSENT, dtype=np.int64)
    order = _in_buckets(bucket, place)
    found[order] = np.arange(len(order)) - _runs(bucket[order])[0]
    return found


def _in_buckets(bucket: Rows, place: Rows) -> Rows:
    """The members that have a place, by bucket and place, which no two share.

    Sorting one number for both takes a sixth of what sorting twice does.
    """
    present = np.flatnonzero(place >= 0)
    return present[np.argsort((bucket[present] << _PLACE_BITS) | place[present])]


def _runs(ascending: Rows) -> tuple[Rows, Rows]:
    """For every element where the run of its equals begins, and where it ends."""
    starts = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1])) if len(ascending) else ascending
    lengths = np.diff(np.append(starts, len(ascending)))
    return np.repeat(starts, lengths), np.repeat(starts + lengths, lengths)


def beyond_width(bucket: Rows, rank: Rows, width: int) -> int:
    """Comparisons that the bucket width leaves out in these buckets."""
    sizes = np.bincount(bucket[rank >= 0])
    outside = np.maximum(sizes - width, 0)
    return int((outside * (outside - 1) // 2).sum())


class Difference(NamedTuple):
    """What the buckets of one band gain and lose; pairs are codes `greater group * groups + lesser group`.

    `gained` are candidates that these buckets did not make before, `known` candidates that they made before and that
    have a changed or newly early member. `leaving` are unchanged groups no longer among the earliest of their bucket:
    they may have lost pairs. `left_out` is the change in comparisons left out.
    """

    gained: Rows
    known: Rows
    leaving: Rows
    left_out: int


@compiled()
def _pairs(
    group: Rows,
    start: Rows,
    end: Rows,
    before: Rows,
    active: Rows,
    is_active: Flags,
    width: int,
    groups: int,
    fill: bool,
    gained: Rows,
    known: Rows,
) -> tuple[int, int]:
    """Count, or write, the candidates with an active member. Members stand by rank, from `start` to `end` of theirs."""
    new = old = 0
    for one in active:
        last = end[one] if one - start[one] < width else start[one] + width
        for two in range(start[one], min(last, end[one])):
            if two == one or (is_active[two] and two < one):
                continue  # the earlier of two active members sees all that the later one sees
            code = max(group[one], group[two]) * groups + min(group[one], group[two])
            if before[one] >= 0 and before[two] >= 0 and min(before[one], before[two]) < width:
                if fill:
                    known[old] = code
                old += 1
            else:
                if fill:
                    gained[new] = code
                new += 1
    return new, old


def compare_buckets(
    bucket: Rows, group: Rows, before: Rows, after: Rows, changed: Flags, width: int, groups: int
) -> Difference:
    """The difference of one band's touched buckets.

    Args:
        bucket: bucket of each member; all members that it had or has are there.
        group: the member's group of exact copies, which lies in one bucket only.
        before: place of the group's root in the order of precedence before, -1 where there was none.
        after: the same now.
        changed: whether the group has another root than before.
        width: how many of a bucket's earliest members are compared with all others.
        groups: a number above every group.
    """
    old, new = ranks(bucket, before), ranks(bucket, after)
    left_out = beyond_width(bucket, new, width) - beyond_width(bucket, old, width)
    early_before, early_now = (old >= 0) & (old < width), (new >= 0) & (new < width)
    leaving = group[~changed & early_before & ~early_now]
    order = _in_buckets(bucket, new)
    active = (changed | (early_now & ~early_before))[order]
    start, end = _runs(bucket[order])
    given = (group[order], start, end, old[order], np.flatnonzero(active), active, width, groups)
    none = np.empty(0, dtype=np.int64)
    gained, known = (np.empty(size, dtype=np.int64) for size in _pairs(*given, False, none, none))
    _pairs(*given, True, gained, known)
    return Difference(gained, known, leaving, left_out)
