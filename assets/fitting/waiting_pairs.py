"""Pairs of symbols with their counts, in a table, and the queue in which they wait for their turn.

`pairs` int64[2 * a power of two], in open addressing: the pair, first id << 32 | second id, then its count.
`queue` int64[:, 4], a heap: count, pair, first of its places, number of them. The pair with the highest count is the
head, of equal ones the smallest. A count in the queue is the one of the day when the pair came there.
`state` int64[2 or more]: pairs in the table, pairs in the queue. That both have room is the caller's concern.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers)

import numpy as np

from headwater.assets.fitting.bpe.table import mixed
from headwater.assets.kernels import compiled

FREE = -1  # in place of a pair
PAIRS, WAITING = range(2)  # of the state


@compiled(allocates=False)
def pair_row(pairs: np.ndarray, pair: int) -> np.int64:
    """Where the row of a pair begins, or the free one where it belongs."""
    mask = np.int64(len(pairs) - 1) & ~1
    row = np.int64(mixed(np.uint64(pair)) << np.uint64(1)) & mask
    while pairs[row] != pair and pairs[row] != FREE:
        row = (row + 2) & mask
    return row


@compiled(allocates=False)
def change_count(pairs: np.ndarray, state: np.ndarray, first: int, second: int, weight: int) -> np.int64:
    """Add to the count of a pair, which may be a new one; returns its row."""
    pair = np.int64(first) << 32 | np.int64(second)
    row = pair_row(pairs, pair)
    if pairs[row] == FREE:
        pairs[row], pairs[row + 1] = pair, 0
        state[PAIRS] += 1
    pairs[row + 1] += weight
    return row


@compiled()
def in_more_pairs(pairs: np.ndarray) -> np.ndarray:
    more = np.empty(2 * len(pairs), np.int64)  # (np.full would load numba's compiler of NumPy)
    for number in range(len(more)):
        more[number] = FREE
    for old in range(0, len(pairs), 2):
        if pairs[old] != FREE:
            row = pair_row(more, pairs[old])
            more[row], more[row + 1] = pairs[old], pairs[old + 1]
    return more


@compiled(allocates=False)
def copy_row(queue: np.ndarray, source: int, target: int) -> None:
    """Copy a row of the queue over another one (number by number: numba takes seconds to compile it for slices)."""
    for number in range(4):
        queue[target, number] = queue[source, number]


@compiled(allocates=False)
def let_wait(pairs: np.ndarray, row: int, queue: np.ndarray, state: np.ndarray, begin: int, times: int) -> None:
    """Put a pair that arose at some places into the queue, unless it stands nowhere any longer."""
    pair, count, place = pairs[row], pairs[row + 1], state[WAITING]
    if count == 0:
        return
    state[WAITING] += 1
    while place > 0:
        above = (place - 1) >> 1
        if queue[above, 0] > count or (queue[above, 0] == count and queue[above, 1] <= pair):
            break
        copy_row(queue, above, place)
        place = above
    queue[place, 0], queue[place, 1], queue[place, 2], queue[place, 3] = count, pair, begin, times


@compiled(allocates=False)
def sink(queue: np.ndarray, waiting: int) -> None:
    """Bring the head of the queue to its place; what takes the head comes before all others."""
    count, pair, begin, times = queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3]
    place = np.int64(0)
    while True:
        below = 2 * place + 1
        if below >= waiting:
            break
        other = below + 1
        if other < waiting and (
            queue[other, 0] > queue[below, 0]
            or (queue[other, 0] == queue[below, 0] and queue[other, 1] < queue[below, 1])
        ):
            below = other
        if count > queue[below, 0] or (count == queue[below, 0] and pair <= queue[below, 1]):
            break
        copy_row(queue, below, place)
        place = below
    queue[place, 0], queue[place, 1], queue[place, 2], queue[place, 3] = count, pair, begin, times
