"""Learns the merges of a byte-pair encoding from counted words: the same ones as Hugging Face's trainer, id for id.

All words lie one after the other, each byte a symbol at first. The pair of neighbours that stands most often becomes
one symbol wherever it stands; of pairs seen equally often, the one with the smaller ids. For each pair the places are
kept where it arose, so that a merge costs what it changes. Pairs wait in a queue under the count they had when they
were put there; one that comes to its head with another count by now is put back under that one.

Nothing ever merged across the borders of a token, so its letters alone decide how it came about: each token is made in
one turn, and no pair arises again after the turn of the later of its two tokens.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers)

from collections.abc import Sequence

import numpy as np

from headwater.assets.fitting.bpe.table import SHORT, empty_table, keys_of, row_of
from headwater.assets.fitting.waiting_pairs import (
    FREE,
    PAIRS,
    WAITING,
    change_count,
    copy_row,
    in_more_pairs,
    let_wait,
    pair_row,
    sink,
)
from headwater.assets.fitting.word_counts import CountedWords
from headwater.assets.kernels import compiled

_WALL, _INSIDE = -1, -2  # in place of a symbol: between words; a byte that neither begins nor ends a symbol
_IDS, _MERGES, _PLACES = range(2, 5)  # what the state counts, behind the pairs
_WEIGHT, _TIMES, _NEXT, _ROW = range(4)  # of a neighbour: words' counts, places, the next free one, its pair's row
_DONE, _FEW_PAIRS, _SHORT_QUEUE, _FEW_NOTES = range(4)  # why the kernel stopped
_MOST_BYTES = 1 << 30


def can_be_learned(words: CountedWords) -> bool:
    """Whether there are few enough bytes in these words to number them in 31 bits."""
    return len(words.letters) + len(words.counts) < _MOST_BYTES


def learn_merges(words: CountedWords, known: Sequence[bytes | None], size: int, min_frequency: int) -> np.ndarray:
    """Merge until the vocabulary has `size` entries or no pair stands `min_frequency` times.

    Memory is about 32 bytes for each byte of the distinct words and 100 for each distinct pair.

    Args:
        words: the distinct words, at most `can_be_learned`.
        known: the vocabulary before the first merge, by id: the bytes that spell an entry (all 256 single ones are
            among them), None where no bytes do. A merge that spells one of them gives that one's id.
        size: entries that the vocabulary should have.
        min_frequency: 1 or more.

    Returns:
        int32[merges, 3] by rank: two ids, and that of the merged token.
    """
    return _Learner(words, known, size, min_frequency).learn()


class _Learner:
    """The arrays that the kernels work on; where one becomes too small, it is made larger and the kernel goes on.

    `text`: all words with a wall before each and after the last: letters uint8, symbols int32 (a symbol's id at its
    first and its last byte), words int32 (number of the word), and counts int64 of each word.
    `specials`: rows of a table (`table.py`) of the known tokens of more than one byte, with their ids; its letters are
    the text's. `lengths` int32: bytes of each id.
    `pairs`, `queue`: see `waiting_pairs.py`.
    `places` int32: in n bytes fewer than n pairs stand at first, and two arise in each of fewer than n merges.
    `notes` int32[:, 4] of one turn: for each merged place the left neighbour's place, its id, the place, the right
    one's id. `around` int64[2, ids, 4]: left and right neighbours; `touched` int32[2, ids]: which have a row there.
    """

    def __init__(self, words: CountedWords, known: Sequence[bytes | None], size: int, min_frequency: int) -> None:
        self._known, self._limits = known, (size, max(min_frequency, 1))
        self._text = _laid_out(words, known)
        ids = min(max(size, len(known)), len(known) + len(words.letters)) + 1
        self._lengths = np.zeros(ids, np.int32)
        self._lengths[: len(known)] = [len(spelled or b"") for spelled in known]
        self._specials = empty_table(1 << max(4 * len(known), 16).bit_length() - 1, 0).rows
        self._places = np.empty(3 * len(words.letters), np.int32)
        self._pairs = np.full(1 << 18, FREE, np.int64)
        self._queue, self._notes = np.empty((1 << 17, 4), np.int64), np.empty((1 << 16, 4), np.int32)
        self._around, self._touched = np.zeros((2, ids, 4), np.int64), np.empty((2, ids), np.int32)
        self._merges, self._state = np.empty((ids, 3), np.int32), np.zeros(5, np.int64)

    def learn(self) -> np.ndarray:
        """See :func:`learn_merges`."""
        letters, symbols, words, counts = self._text
        self._state[_IDS] = len(self._known)
        _know(letters, len(symbols), self._specials, self._lengths[: len(self._known)])
        _find_pairs(letters, symbols, words, counts, self._pairs, self._queue, self._places, self._state)
        status = -1
        while status != _DONE:
            tables = (self._specials, self._lengths, self._pairs, self._queue, self._places)
            turn = (self._notes, self._around, self._touched, self._merges, self._state)
            status = _learn(letters, symbols, words, counts, *tables, *turn, *self._limits)
            if status == _FEW_PAIRS:
                self._pairs = in_more_pairs(self._pairs)
            elif status == _SHORT_QUEUE:
                self._queue = np.concatenate([self._queue, np.empty_like(self._queue)])
            elif status == _FEW_NOTES:
                self._notes = np.empty((2 * len(self._notes), 4), np.int32)
        return self._merges[: self._state[_MERGES]].copy()


def _laid_out(words: CountedWords, known: Sequence[bytes | None]) -> tuple[np.ndarray, ...]:
    """`_Learner.text`; behind its letters stand those of the known tokens."""
    cells = len(words.letters) + len(words.counts) + 1
    spelled = np.frombuffer(b"".join(token or b"" for token in known), np.uint8)
    letters = np.concatenate([np.zeros(cells, np.uint8), spelled])
    byte_ids = np.zeros(256, np.int32)
    for number, token in enumerate(known):
        if token is not None and len(token) == 1:
            byte_ids[token[0]] = number
    symbols, numbers = np.empty(cells, np.int32), np.empty(cells, np.int32)
    _lay_out(words.letters, words.starts, byte_ids, letters, symbols, numbers)
    return letters, symbols, numbers, words.counts


@compiled(allocates=False)
def _lay_out(
    given: np.ndarray,
    starts: np.ndarray,
    byte_ids: np.ndarray,
    letters: np.ndarray,
    symbols: np.ndarray,
    words: np.ndarray,
) -> None:
    at = 0
    for word in range(len(starts) - 1):
        symbols[at], words[at] = _WALL, word
        at += 1
        for place in range(starts[word], starts[word + 1]):
            letters[at], symbols[at], words[at] = given[place], byte_ids[given[place]], word
            at += 1
    symbols[at], words[at] = _WALL, 0


@compiled(allocates=False)
def _know(letters: np.ndarray, at: int, rows: np.ndarray, lengths: np.ndarray) -> None:
    """Put the known tokens of more than one byte, whose letters follow each other from `at` on, into their table."""
    for number in range(len(lengths)):
        length = np.int64(lengths[number])
        if length > 1:
            row, low, high = _special_row(letters, at, length, rows)
            rows[row], rows[row + 1], rows[row + 2] = low, high, np.uint64(length)
            if length > SHORT:
                rows[row + 1] = np.uint64(at)
            rows[row + 3] = np.uint64(number)
        at += length


@compiled(allocates=False)
def _special_row(letters: np.ndarray, at: int, length: int, rows: np.ndarray) -> tuple[np.int64, np.uint64, np.uint64]:
    """(where the row of a known token begins, or the free one where it belongs; both of its keys)."""
    keys = keys_of(letters, at, length)
    return row_of(rows, letters, letters, at, length, keys), keys[1], keys[2]


@compiled(allocates=False)
def _number_of(letters: np.ndarray, at: int, length: int, rows: np.ndarray, state: np.ndarray) -> np.int64:
    """The id of the known token that these letters spell, or the next free one."""
    row = _special_row(letters, at, length, rows)[0]
    if rows[row + 2]:
        return np.int64(rows[row + 3])
    state[_IDS] += 1
    return state[_IDS] - 1


@compiled()
def _find_pairs(
    letters: np.ndarray,
    symbols: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    pairs: np.ndarray,
    queue: np.ndarray,
    places: np.ndarray,
    state: np.ndarray,
) -> None:
    """Count the pairs of bytes and put them into the queue."""
    weights, begins = np.zeros(1 << 16, np.int64), np.zeros((1 << 16) + 1, np.int64)
    for at in range(1, len(symbols) - 2):
        if symbols[at] >= 0 and symbols[at + 1] >= 0:
            pair = np.int64(letters[at]) << 8 | letters[at + 1]
            weights[pair] += counts[words[at]]
            begins[pair + 1] += 1
    for pair in range(1 << 16):
        begins[pair + 1] += begins[pair]
    nexts = begins.copy()
    for at in range(1, len(symbols) - 2):
        if symbols[at] >= 0 and symbols[at + 1] >= 0:
            pair = np.int64(letters[at]) << 8 | letters[at + 1]
            places[nexts[pair]] = at
            nexts[pair] += 1
    state[_PLACES] = begins[-1]
    for pair in range(1 << 16):
        if weights[pair] > 0:
            at = places[begins[pair]]
            row = change_count(pairs, state, symbols[at], symbols[at + 1], weights[pair])
            let_wait(pairs, row, queue, state, begins[pair], nexts[pair] - begins[pair])


@compiled(allocates=False)
def _learn(
    letters: np.ndarray,
    symbols: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    specials: np.ndarray,
    lengths: np.ndarray,
    pairs: np.ndarray,
    queue: np.ndarray,
    places: np.ndarray,
    notes: np.ndarray,
    around: np.ndarray,
    touched: np.ndarray,
    merges: np.ndarray,
    state: np.ndarray,
    size: int,
    min_frequency: int,
) -> int:
    """Merge until all is done or the caller must make something larger: the status."""
    while state[_IDS] < size and state[WAITING] > 0:
        count = pairs[pair_row(pairs, queue[0, 1]) + 1]
        if queue[0, 0] != count:
            queue[0, 0] = count
            sink(queue, state[WAITING])
            continue
        if count < min_frequency:
            break
        pair, begin, times = queue[0, 1], queue[0, 2], queue[0, 3]
        status = _lacking(times, len(pairs), len(queue), len(notes), state)
        if status != _DONE:
            return status
        state[WAITING] -= 1
        copy_row(queue, state[WAITING], 0)
        sink(queue, state[WAITING])
        first, second = pair >> 32, pair & 0xFFFFFFFF
        length = lengths[first] + lengths[second]
        made = _number_of(letters, np.int64(places[begin]), np.int64(length), specials, state)
        lengths[made] = length
        merge = merges[state[_MERGES]]
        merge[0], merge[1], merge[2] = first, second, made
        state[_MERGES] += 1
        noted = _merge(places[begin : begin + times], symbols, lengths, first, second, made, notes)
        _settle(notes[:noted], words, counts, first, second, made, pairs, queue, places, around, touched, state)
    return _DONE


@compiled(allocates=False)
def _lacking(times: int, pairs: int, queue: int, notes: int, state: np.ndarray) -> int:
    """What has too little room for the turn of a pair with so many places, or _DONE: nothing."""
    new = 2 * min(times, state[_IDS] + 1)
    if 2 * (state[PAIRS] + new) > pairs >> 1:
        return _FEW_PAIRS
    if state[WAITING] + new > queue:
        return _SHORT_QUEUE
    return _FEW_NOTES if times > notes else _DONE


@compiled(allocates=False)
def _merge(
    turn: np.ndarray, symbols: np.ndarray, lengths: np.ndarray, first: int, second: int, made: int, notes: np.ndarray
) -> np.int64:
    """Merge a pair at those of its places where it still stands, and note what stands beside it.

    Places ascend within a word, so that of places that overlap ("aaa") the left one is merged. Returns the number of
    notes.
    """
    noted, step, length = np.int64(0), lengths[first], lengths[made]
    for at in turn:
        if symbols[at] == first and symbols[at + step] == second:
            before, after = symbols[at - 1], symbols[at + length]
            symbols[at + step - 1] = symbols[at + step] = _INSIDE
            symbols[at] = symbols[at + length - 1] = made
            note = notes[noted]
            note[0], note[1], note[2], note[3] = at - lengths[before] if before >= 0 else 0, before, at, after
            noted += 1
    return noted


@compiled(allocates=False)
def _settle(
    notes: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    first: int,
    second: int,
    made: int,
    pairs: np.ndarray,
    queue: np.ndarray,
    places: np.ndarray,
    around: np.ndarray,
    touched: np.ndarray,
    state: np.ndarray,
) -> None:
    """Change the counts of the pairs that went and came in a turn, and let those that came wait with their places."""
    left, right = around[0], around[1]
    lefts, rights = _sum_up(notes, words, counts, left, right, touched)
    for index in range(lefts):
        other = touched[0, index]
        change_count(pairs, state, other, first, -left[other, _WEIGHT])
        left[other, _ROW] = change_count(pairs, state, other, made, left[other, _WEIGHT])
        left[other, _NEXT] = state[_PLACES]
        state[_PLACES] += left[other, _TIMES]
    for index in range(rights):
        other = touched[1, index]
        change_count(pairs, state, second, other, -right[other, _WEIGHT])
        right[other, _ROW] = change_count(pairs, state, made, other, right[other, _WEIGHT])
        right[other, _NEXT] = state[_PLACES]
        state[_PLACES] += right[other, _TIMES]
    _note_places(notes, left, right, places)
    _let_wait(left, touched[0, :lefts], pairs, queue, state)
    _let_wait(right, touched[1, :rights], pairs, queue, state)


@compiled(allocates=False)
def _sum_up(
    notes: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    touched: np.ndarray,
) -> tuple[np.int64, np.int64]:
    """Sum the counts of words by the neighbours noted; returns how many different ones there are on either side."""
    lefts, rights = np.int64(0), np.int64(0)
    for note in range(len(notes)):
        before, at, after = notes[note, 1], notes[note, 2], notes[note, 3]
        weight = counts[words[at]]
        if before >= 0:
            if left[before, _TIMES] == 0:
                touched[0, lefts] = before
                lefts += 1
            left[before, _WEIGHT] += weight
            left[before, _TIMES] += 1
        if after >= 0:
            if right[after, _TIMES] == 0:
                touched[1, rights] = after
                rights += 1
            right[after, _WEIGHT] += weight
            right[after, _TIMES] += 1
    return lefts, rights


@compiled(allocates=False)
def _note_places(notes: np.ndarray, left: np.ndarray, right: np.ndarray, places: np.ndarray) -> None:
    """Write the places of the pairs that arose: with the left neighbour where that begins, else where the merge is."""
    for note in range(len(notes)):
        before, after = notes[note, 1], notes[note, 3]
        if before >= 0:
            places[left[before, _NEXT]] = notes[note, 0]
            left[before, _NEXT] += 1
        if after >= 0:
            places[right[after, _NEXT]] = notes[note, 2]
            right[after, _NEXT] += 1


@compiled(allocates=False)
def _let_wait(side: np.ndarray, touched: np.ndarray, pairs: np.ndarray, queue: np.ndarray, state: np.ndarray) -> None:
    for other in touched:
        begin = side[other, _NEXT] - side[other, _TIMES]
        let_wait(pairs, side[other, _ROW], queue, state, begin, side[other, _TIMES])
        side[other, _WEIGHT] = side[other, _TIMES] = 0
