"""Which words of two texts correspond, found as local alignments.

From a pair of neighbouring words that both texts have, an alignment follows both, over words that were dropped,
inserted or replaced, as long as that pays: a common word earns the bits of information that it carries in the text
(-log2 of its share of the words), a gap costs some. It counts when it earned more bits than chance would give
somewhere in these two texts, log2 of the product of their lengths, and some to spare (the reasoning of Karlin and
Altschul 1990 for molecular sequences). So a few rare words suffice, while in a table of digits it takes many. What was
moved is found at its new place; no word is counterpart to two.

All is done from the shorter text (at equal length, the one with the lesser words), so that the result depends on the
two texts and on nothing else.
"""

import numpy as np
import numpy.typing as npt

from headwater.assets.deduplication.normalise import Bytes, Points, Rows, mix
from headwater.assets.kernels import compiled

Floats = npt.NDArray[np.float32]

SPARE_BITS = 3.0  # above log2 of the product of the lengths
SEED_BITS = 4.0  # two neighbouring words with fewer start no alignment
STEP_BITS = 0.25  # what each word must earn beyond
GAP_BITS, SKIP_BITS = 3.0, 1.0  # cost of a gap, and of each word skipped in the longer of its sides
MOST_SKIPPED = 6  # words of either text in a gap
DROP_BITS = 16.0  # an alignment ends when it has lost this much
OCCURRENCES = 4  # places of the shorter text that an alignment is tried from
NONE = -1


@compiled(allocates=False, inline="always")
def _slot_of(one: np.uint32, two: np.uint32, mask: np.uint64) -> np.int64:
    return np.int64(mix((np.uint64(one) << np.uint64(32)) | np.uint64(two)) & mask)


@compiled(allocates=False, inline="always")
def _marked(flags: Bytes, start: int, end: int) -> int:
    """How many of the flags are set. (np.sum would bring NumPy's and SciPy's linear algebra into every process.)"""
    count = 0
    for at in range(start, end):
        count += flags[at]
    return count


@compiled(allocates=False)
def index_neighbours(words: Points, start: int, end: int, first: Rows, head: Rows, following: Rows) -> np.uint64:
    """Index the pairs of neighbouring words of words[start:end] by hash; give the mask of its slots.

    first[slot] is a place with the slot's pair (-1: empty), head[slot] its first place, following[place - start] the
    next place with the same pair.
    """
    size = 4
    while size < 2 * (end - start):
        size *= 2
    mask = np.uint64(size - 1)
    first[:size] = NONE
    for at in range(end - 2, start - 1, -1):
        slot = _slot_of(words[at], words[at + 1], mask)
        while first[slot] != NONE and (words[first[slot]] != words[at] or words[first[slot] + 1] != words[at + 1]):
            slot = np.int64(np.uint64(slot + 1) & mask)
        following[at - start] = NONE if first[slot] == NONE else head[slot]
        first[slot] = at
        head[slot] = at
    return mask


@compiled(allocates=False)
def _next_match(words: Points, met: Bytes, one: int, one_end: int, two: int, two_end: int) -> tuple[int, int]:
    """How many words of either text to skip to come to two neighbours that agree: the nearest way; (-1, -1) if none."""
    for skipped in range(1, MOST_SKIPPED + 1):
        for less in range(skipped + 1):
            for side in range(2 if less > 0 else 1):
                over_one, over_two = (skipped, skipped - less) if side == 0 else (skipped - less, skipped)
                at, other = one + over_one, two + over_two
                if at + 1 >= one_end or other + 1 >= two_end or met[at] or met[at + 1]:
                    continue
                if words[at] == words[other] and words[at + 1] == words[other + 1]:
                    return over_one, over_two
    return NONE, NONE


@compiled(allocates=False)
def _follow(
    words: Points, bits: Floats, met: Bytes, one: int, one_end: int, two: int, two_end: int, stop: int, mark: bool
) -> tuple[float, int, int]:
    """(bits earned at best, where that is in either text) of the alignment from `one` and `two` on.

    With `mark`, the words that correspond before `stop` in the second text are marked in `met`.
    """
    score = best = 0.0
    best_one, best_two = one, two
    while one < one_end and two < stop:
        if words[one] == words[two] and not met[one]:
            if mark:
                met[one] = met[two] = 1
            score += bits[one] - STEP_BITS
            one += 1
            two += 1
            if score > best:
                best, best_one, best_two = score, one, two
        else:
            over_one, over_two = _next_match(words, met, one, one_end, two, two_end)
            score -= GAP_BITS + SKIP_BITS * max(over_one, over_two)
            if over_one == NONE or best - score > DROP_BITS:
                break
            one += over_one
            two += over_two
    return best, best_one, best_two


@compiled(allocates=False)
def _best_start(
    words: Points,
    bits: Floats,
    met: Bytes,
    one: int,
    one_end: int,
    two: int,
    two_end: int,
    expected: int,
    needed: float,
    mask: np.uint64,
    first: Rows,
    head: Rows,
    following: Rows,
) -> tuple[float, int]:
    """(bits, place in the first text) of the best alignment that starts at `two` in the second text.

    The expected place is taken if it earns enough; otherwise the best of the earliest free ones is. Places that are
    taken leave the index for good.
    """
    best, start = 0.0, NONE
    slot = _slot_of(words[two], words[two + 1], mask)
    while first[slot] != NONE and (words[first[slot]] != words[two] or words[first[slot] + 1] != words[two + 1]):
        slot = np.int64(np.uint64(slot + 1) & mask)
    if first[slot] == NONE or bits[first[slot]] + bits[first[slot] + 1] < SEED_BITS:
        return best, start
    if expected + 1 < one_end and words[expected] == words[two] and words[expected + 1] == words[two + 1]:
        best, _, _ = _follow(words, bits, met, expected, one_end, two, two_end, two_end, False)
        start = expected
        if best >= needed:
            return best, start
    while head[slot] != NONE and met[head[slot]]:
        head[slot] = following[head[slot] - one]
    place = head[slot]
    for _ in range(OCCURRENCES):
        if place == NONE:
            break
        score, _, _ = _follow(words, bits, met, place, one_end, two, two_end, two_end, False)
        if score > best:
            best, start = score, place
        place = following[place - one]
    return best, start


@compiled(allocates=False, inline="always")
def _foreign_so_far(running: float, weight: float, met: bool) -> float:
    """The heaviest block that ends here, in which a word without counterpart weighs for and one with it against."""
    return max(running + (-weight if met else weight), 0.0)


@compiled(allocates=False)
def _weight(weights: Floats, start: int, end: int) -> float:
    total = 0.0
    for at in range(start, end):
        total += weights[at]
    return total


@compiled(allocates=False)
def _weight_met(weights: Floats, met: Bytes, start: int, end: int) -> float:
    total = 0.0
    for at in range(start, end):
        if met[at]:
            total += weights[at]
    return total


@compiled(allocates=False)
def _extend_chain(chain: Rows, place: int, words: int) -> int:
    """Words in the longest chain of aligned blocks, in order in both texts, that ends with one at `place`.

    `chain` is a binary indexed tree (Fenwick 1994) of the longest chains that end at each place so far; the block, of
    so many words, joins the longest one before it.
    """
    longest, at = 0, place
    while at > 0:
        longest = max(longest, chain[at])
        at -= at & -at
    longest += words
    at = place + 1
    while at < len(chain):
        chain[at] = max(chain[at], longest)
        at += at & -at
    return longest


@compiled(allocates=False)
def _heaviest_block(weights: Floats, met: Bytes, start: int, end: int) -> float:
    running = heaviest = 0.0
    for at in range(start, end):
        running = _foreign_so_far(running, weights[at], met[at] != 0)
        heaviest = max(heaviest, running)
    return heaviest


@compiled()
def _align(
    words: Points,
    bits: Floats,
    weights: Floats,
    met: Bytes,
    one: int,
    one_end: int,
    two: int,
    two_end: int,
    most_foreign: float,
    index: tuple[Rows, Rows, Rows],
    chain: Rows,
) -> int:
    """Mark all words with a counterpart in `met`; give how many stand in another order, or -1 when the second text
    turned out to have a block without counterparts that is heavier than `most_foreign`."""
    first, head, following = index
    mask = index_neighbours(words, one, one_end, first, head, following)
    needed = np.log2(one_end - one) + np.log2(two_end - two) + SPARE_BITS
    chain[: one_end - one + 1] = 0
    expected, shared, in_order, running, place = one, 0, 0, 0.0, two
    while place < two_end:
        best, start, reached = 0.0, NONE, place + 1
        if reached < two_end:
            best, start = _best_start(
                words, bits, met, one, one_end, place, two_end, expected, needed, mask, first, head, following
            )
        if best >= needed:
            _, _, reached = _follow(words, bits, met, start, one_end, place, two_end, two_end, False)
            _, expected, _ = _follow(words, bits, met, start, one_end, place, two_end, reached, True)
            found = _marked(met, place, reached)
            shared += found
            in_order = max(in_order, _extend_chain(chain[: one_end - one + 1], start - one, found))
        for at in range(place, reached):
            running = _foreign_so_far(running, weights[at], met[at] != 0)
            if running > most_foreign:
                return NONE
        place = reached
    return shared - in_order


@compiled(allocates=False)
def _comes_first(words: Points, one: int, one_end: int, two: int, two_end: int) -> bool:
    """Whether the first text is the shorter one, or of equal length and lesser where they first differ."""
    if one_end - one != two_end - two:
        return one_end - one < two_end - two
    for at in range(one_end - one):
        if words[one + at] != words[two + at]:
            return words[one + at] < words[two + at]
    return True


@compiled()
def align_pairs(
    words: Points,
    bits: Floats,
    weights: Floats,
    common: Bytes,
    offsets: Rows,
    left: Rows,
    right: Rows,
    most_foreign: float,
    index: tuple[Rows, Rows, Rows],
    chain: Rows,
    measured: npt.NDArray[np.float64],
) -> None:
    """Measure pairs of texts; text i has the words from offsets[i] to offsets[i + 1].

    measured[pair] gets: similarity, containment, words with a counterpart, foreign, moved, boilerplate; of a pair with
    a foreign block above `most_foreign`, or a text without a word that weighs, only that all is foreign (1).
    """
    met = np.zeros(len(words), dtype=np.uint8)
    for pair in range(len(left)):
        one, two = left[pair], right[pair]
        if not _comes_first(words, offsets[one], offsets[one + 1], offsets[two], offsets[two + 1]):
            one, two = two, one
        start, end, other, other_end = offsets[one], offsets[one + 1], offsets[two], offsets[two + 1]
        if start == end or other == other_end:
            measured[pair, 3] = 1.0
            continue
        met[start:end] = 0
        met[other:other_end] = 0
        total, other_total = _weight(weights, start, end), _weight(weights, other, other_end)
        if total == 0 or other_total == 0:
            measured[pair, 3] = 1.0
            continue
        moved = _align(
            words, bits, weights, met, start, end, other, other_end, most_foreign * other_total, index, chain
        )
        if moved == NONE:
            measured[pair, 3] = 1.0
            continue
        matched = _weight_met(weights, met, start, end)
        other_matched = _weight_met(weights, met, other, other_end)
        shared = _marked(met, start, end)
        measured[pair, 0] = (matched + other_matched) / (total + other_total)
        measured[pair, 1] = max(matched / total, other_matched / other_total)
        measured[pair, 2] = shared
        measured[pair, 3] = max(
            _heaviest_block(weights, met, start, end) / total,
            _heaviest_block(weights, met, other, other_end) / other_total,
        )
        measured[pair, 4] = moved / max(shared, 1)
        in_phrases = _marked(common, start, end) + _marked(common, other, other_end)
        measured[pair, 5] = in_phrases / (end - start + other_end - other)


@compiled(allocates=False)
def weigh_words(
    words: Points, common: Bytes, boilerplate: float, keys: Points, counts: Rows, bits: Floats, weights: Floats
) -> None:
    """Fill in the bits and the weight of each word of a text, by its number of occurrences c among its n words.

    It carries log2(n / c) bits and weighs 1 / sqrt(c), so that all of them together weigh sqrt(c); `boilerplate` times
    that in a common phrase. `keys` and `counts` are tables by hash, with slots for twice as many words or more.
    """
    size = 4
    while size < 2 * len(words):
        size *= 2
    mask = np.int64(size - 1)
    counts[:size] = 0
    for step in range(2):
        for at in range(len(words)):
            slot = np.int64(mix(np.uint64(words[at]))) & mask
            while counts[slot] and keys[slot] != words[at]:
                slot = (slot + 1) & mask
            if step == 0:
                keys[slot] = words[at]
                counts[slot] += 1
            else:
                share = counts[slot] / len(words)
                bits[at] = -np.log2(share)
                weights[at] = (boilerplate if common[at] else 1.0) / np.sqrt(counts[slot])
