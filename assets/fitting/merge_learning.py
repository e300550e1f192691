"""Learns the merges of a byte-pair encoding from counted words: the same ones as Hugging Face's trainer, id for id.

All words lie one after the other, each byte a symbol at first. The pair of neighbours that stands most often becomes
one symbol wherever it stands; of pairs seen equally often, the one with the smaller ids. For each pair the places are
kept where it arose, so that a merge costs what it changes. Pairs wait in a queue under the count they had when they
were put there; one that comes to its head with another count by now is put back under that one.

A token can be made by two merges ("ab" + "c", "a" + "bc"), and then its pairs arise a second time, when they wait or
are merged already. What the trainer makes of that is kept to the letter: a pair waits once for each time it arose, a
merged pair keeps the count it had, its rank is that of its last turn, and a turn changes those words in which the pair
arose that time, but all its places in them. (A pair that arose once has no other places than its own.)
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers)

from collections.abc import Sequence

import numpy as np

from headwater.assets.fitting.bpe.table import SHORT, empty_table, keys_of, mixed, row_of
from headwater.assets.fitting.word_counts import CountedWords
from headwater.assets.kernels import compiled

_WALL, _INSIDE = -1, -2  # in place of a symbol: between words; a byte that neither begins nor ends a symbol
_FREE = -1  # in place of a pair
_AROSE, _AGAIN, _COUNT = 1, 2, 2  # of the number beside a pair: bits (it arose, and again), and where its count begins
_IDS, _MERGES, _PLACES, _WAITING, _PAIRS = range(5)  # what the state counts
_WEIGHT, _TIMES, _NEXT, _ROW = range(4)  # of a neighbour: words' counts, places, the next free one, its pair's row
_DONE, _FEW_PAIRS, _SHORT_QUEUE, _FEW_NOTES, _FEW_MERGES = range(5)  # why the kernel stopped
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
        int32[merges, 3] in the order in which they were made: two ids, and that of the merged token. A pair may occur
        more than once; its last place counts.
    """
    return _Learner(words, known, size, min_frequency).learn()


class _Learner:
    """The arrays that the kernels work on; where one becomes too small, it is made larger and the kernel goes on.

    `text`: all words with a wall before each and after the last: letters uint8, symbols int32 (a symbol's id at its
    first and its last byte), words int32 (number of the word), and counts int64 of each word.
    `vocabulary`: rows and used of a table (`table.py`) whose letters are the text's, with an id in each row; bytes of
    each id, int32.
    `pairs` int64[2 * a power of two] in open addressing: first id << 32 | second id, then count << 2 | bits.
    `queue` int64[:, 4], a heap: count, pair, first of its places, number of them.
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
        self._table = empty_table(1 << max(4 * ids, 16).bit_length() - 1, 0)
        self._places = np.empty(3 * len(words.letters), np.int32)
        self._pairs = np.full(1 << 18, _FREE, np.int64)
        self._queue, self._notes = np.empty((1 << 17, 4), np.int64), np.empty((1 << 16, 4), np.int32)
        self._around, self._touched = np.zeros((2, ids, 4), np.int64), np.empty((2, ids), np.int32)
        self._merges, self._state = np.empty((ids, 3), np.int32), np.zeros(5, np.int64)

    def learn(self) -> np.ndarray:
        letters, symbols, words, counts = self._text
        self._state[_IDS] = len(self._known)
        _know(letters, len(symbols), *self._table, self._lengths[: len(self._known)])
        _find_pairs(letters, symbols, words, counts, self._pairs, self._queue, self._places, self._state)
        status = -1
        while status != _DONE:
            tables = (self._table.rows, self._table.used, self._lengths, self._pairs, self._queue, self._places)
            turn = (self._notes, self._around, self._touched, self._merges, self._state)
            status = _learn(letters, symbols, words, counts, *tables, *turn, *self._limits)
            if status == _FEW_PAIRS:
                self._pairs = _in_more_pairs(self._pairs)
            elif status == _SHORT_QUEUE:
                self._queue = _longer(self._queue)
            elif status == _FEW_NOTES:
                self._notes = np.empty((2 * len(self._notes), 4), np.int32)
            elif status == _FEW_MERGES:
                self._merges = _longer(self._merges)
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


def _longer(rows: np.ndarray) -> np.ndarray:
    longer = np.empty((2 * len(rows), rows.shape[1]), rows.dtype)
    longer[: len(rows)] = rows
    return longer


@compiled()
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


@compiled()
def _know(
    letters: np.ndarray, at: int, rows: np.ndarray, unused: np.ndarray, used: np.ndarray, lengths: np.ndarray
) -> None:
    """Put the known tokens of more than one byte, which stand one after the other, into the vocabulary's table."""
    for number in range(len(lengths)):
        if lengths[number] > 1:
            _number_of(letters, at, lengths[number], rows, used, number)
        at += lengths[number]


@compiled()
def _number_of(letters: np.ndarray, at: int, length: int, rows: np.ndarray, used: np.ndarray, number: int) -> np.int64:
    """The id of the token that these letters spell; if there is none, they get this `number`."""
    keys = keys_of(letters, at, length)
    row = row_of(rows, letters, letters, at, length, keys)
    if rows[row + 2] == 0:
        rows[row], rows[row + 1], rows[row + 2] = keys[1], keys[2], np.uint64(length)
        if length > SHORT:
            rows[row + 1] = np.uint64(at)
        rows[row + 3] = np.uint64(number)
        used[0] += 1
    return np.int64(rows[row + 3])


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
            row = _change(pairs, state, symbols[at], symbols[at + 1], weights[pair])
            _wait(pairs, row, queue, state, begins[pair], nexts[pair] - begins[pair])


@compiled()
def _row(pairs: np.ndarray, pair: int) -> np.int64:
    """Where the row of a pair begins, or the free one where it belongs."""
    mask = np.int64(len(pairs) - 1) & ~1
    row = np.int64(mixed(np.uint64(pair)) << np.uint64(1)) & mask
    while pairs[row] != pair and pairs[row] != _FREE:
        row = (row + 2) & mask
    return row


@compiled()
def _change(pairs: np.ndarray, state: np.ndarray, first: int, second: int, weight: int) -> np.int64:
    """Add to the count of a pair, which may be a new one; returns its row."""
    pair = np.int64(first) << 32 | np.int64(second)
    row = _row(pairs, pair)
    if pairs[row] == _FREE:
        pairs[row], pairs[row + 1] = pair, 0
        state[_PAIRS] += 1
    pairs[row + 1] += np.int64(weight) << _COUNT
    return row


@compiled()
def _in_more_pairs(pairs: np.ndarray) -> np.ndarray:
    more = np.empty(2 * len(pairs), np.int64)  # (np.full would load numba's compiler of NumPy)
    for number in range(len(more)):
        more[number] = _FREE
    for old in range(0, len(pairs), 2):
        if pairs[old] != _FREE:
            row = _row(more, pairs[old])
            more[row], more[row + 1] = pairs[old], pairs[old + 1]
    return more


@compiled()
def _wait(pairs: np.ndarray, row: int, queue: np.ndarray, state: np.ndarray, begin: int, times: int) -> None:
    """Put a pair that arose at some places into the queue, unless it stands nowhere any longer."""
    count = pairs[row + 1] >> _COUNT
    if count <= 0:
        return
    pairs[row + 1] |= _AGAIN if pairs[row + 1] & _AROSE else _AROSE
    pair, place = pairs[row], state[_WAITING]
    state[_WAITING] += 1
    while place > 0:
        above = (place - 1) >> 1
        if queue[above, 0] > count or (queue[above, 0] == count and queue[above, 1] <= pair):
            break
        queue[place] = queue[above]
        place = above
    queue[place, 0], queue[place, 1], queue[place, 2], queue[place, 3] = count, pair, begin, times


@compiled()
def _sink(queue: np.ndarray, waiting: int) -> None:
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
        queue[place] = queue[below]
        place = below
    queue[place, 0], queue[place, 1], queue[place, 2], queue[place, 3] = count, pair, begin, times


@compiled()
def _learn(
    letters: np.ndarray,
    symbols: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    rows: np.ndarray,
    used: np.ndarray,
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
    while state[_IDS] < size and state[_WAITING] > 0:
        row = _row(pairs, queue[0, 1])
        count = pairs[row + 1] >> _COUNT
        if queue[0, 0] != count:
            queue[0, 0] = count
            _sink(queue, state[_WAITING])
            continue
        if count < min_frequency:
            break
        whole = bool(pairs[row + 1] & _AGAIN)
        begin, times = queue[0, 2], queue[0, 3]
        most = min(count, len(symbols)) if whole else times
        status = _lacking(most, len(pairs), len(queue), len(notes), len(merges), state)
        if status != _DONE:
            return status
        first, second = queue[0, 1] >> 32, queue[0, 1] & 0xFFFFFFFF
        state[_WAITING] -= 1
        queue[0] = queue[state[_WAITING]]
        _sink(queue, state[_WAITING])
        length = lengths[first] + lengths[second]
        made = _number_of(letters, places[begin], length, rows, used, state[_IDS])
        if made == state[_IDS]:
            state[_IDS] += 1
        lengths[made] = length
        merges[state[_MERGES], 0], merges[state[_MERGES], 1], merges[state[_MERGES], 2] = first, second, made
        state[_MERGES] += 1
        turn = places[begin : begin + times]
        if whole:
            noted = _merge_words(turn, symbols, lengths, first, second, made, notes)
        else:
            noted = _merge_places(turn, symbols, lengths, first, second, made, notes)
        _settle(noted, notes, words, counts, first, second, made, pairs, queue, places, around, touched, state)
    return _DONE


@compiled()
def _lacking(most: int, pairs: int, queue: int, notes: int, merges: int, state: np.ndarray) -> int:
    """What has too little room for a turn with at most `most` merged places, or _DONE: nothing."""
    new = 2 * min(most, state[_IDS] + 1) + 2
    if 2 * (state[_PAIRS] + new) > pairs >> 1:
        return _FEW_PAIRS
    if state[_WAITING] + new > queue:
        return _SHORT_QUEUE
    if most > notes:
        return _FEW_NOTES
    return _FEW_MERGES if state[_MERGES] >= merges else _DONE


@compiled()
def _merge_places(
    turn: np.ndarray, symbols: np.ndarray, lengths: np.ndarray, first: int, second: int, made: int, notes: np.ndarray
) -> np.int64:
    """Merge a pair at those of its places where it still stands; returns the number of notes."""
    noted, step = np.int64(0), lengths[first]
    for at in turn:
        if symbols[at] == first and symbols[at + step] == second:
            _join(at, symbols, lengths, first, second, made, notes[noted])
            noted += 1
    return noted


@compiled()
def _merge_words(
    turn: np.ndarray, symbols: np.ndarray, lengths: np.ndarray, first: int, second: int, made: int, notes: np.ndarray
) -> np.int64:
    """Merge a pair wherever it stands in the words of its places; returns the number of notes."""
    noted, step = np.int64(0), lengths[first]
    start, stop = np.int64(0), np.int64(0)
    for place in turn:
        if start <= place < stop:
            continue
        start = np.int64(place)
        while symbols[start - 1] != _WALL:
            start -= 1
        stop = start
        while symbols[stop] != _WALL:
            if symbols[stop] == first and symbols[stop + step] == second:
                _join(stop, symbols, lengths, first, second, made, notes[noted])
                noted += 1
            stop += lengths[symbols[stop]]
    return noted


@compiled(inline="always")
def _join(
    at: int, symbols: np.ndarray, lengths: np.ndarray, first: int, second: int, made: int, note: np.ndarray
) -> None:
    """Make two symbols one, and note what stands beside it."""
    middle, end = at + lengths[first], at + lengths[first] + lengths[second]
    before, after = symbols[at - 1], symbols[end]
    symbols[middle - 1] = symbols[middle] = _INSIDE
    symbols[at] = symbols[end - 1] = made
    note[0], note[1], note[2], note[3] = at - lengths[before], before, at, after


@compiled()
def _settle(
    noted: int,
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
    lefts, rights = _sum_up(notes[:noted], words, counts, left, right, touched, made)
    for index in range(lefts):
        other = touched[0, index]
        _change(pairs, state, other, first, -left[other, _WEIGHT])
        left[other, _ROW] = _change(pairs, state, other, made, left[other, _WEIGHT])
        left[other, _NEXT] = state[_PLACES]
        state[_PLACES] += left[other, _TIMES]
    for index in range(rights):
        other = touched[1, index]
        _change(pairs, state, second, other, -right[other, _WEIGHT])
        right[other, _ROW] = _change(pairs, state, made, other, right[other, _WEIGHT])
        right[other, _NEXT] = state[_PLACES]
        state[_PLACES] += right[other, _TIMES]
    _note_places(notes[:noted], left, right, places)
    if left[made, _TIMES] and right[made, _TIMES]:
        # One pair that arose on either side: its places adjoin, but out of their order, so that all of their words
        # must be gone through in its turn, as if it had arisen twice.
        pairs[left[made, _ROW] + 1] |= _AROSE
        left[made, _TIMES] += right[made, _TIMES]
        left[made, _NEXT], right[made, _TIMES] = right[made, _NEXT], 0
    _let_wait(left, touched[0, :lefts], pairs, queue, state)
    _let_wait(right, touched[1, :rights], pairs, queue, state)


@compiled()
def _sum_up(
    notes: np.ndarray,
    words: np.ndarray,
    counts: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
    touched: np.ndarray,
    made: int,
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
    if left[made, _TIMES] and right[made, _TIMES]:  # the last on the left and the first on the right: places adjoin
        _swap(touched[0], _index(touched[0], made), lefts - 1)
        _swap(touched[1], _index(touched[1], made), 0)
    return lefts, rights


@compiled()
def _index(values: np.ndarray, value: int) -> np.int64:
    place = np.int64(0)
    while values[place] != value:
        place += 1
    return place


@compiled()
def _swap(values: np.ndarray, one: int, other: int) -> None:
    values[one], values[other] = values[other], values[one]


@compiled()
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


@compiled()
def _let_wait(side: np.ndarray, touched: np.ndarray, pairs: np.ndarray, queue: np.ndarray, state: np.ndarray) -> None:
    for other in touched:
        if side[other, _TIMES]:
            begin = side[other, _NEXT] - side[other, _TIMES]
            _wait(pairs, side[other, _ROW], queue, state, begin, side[other, _TIMES])
        side[other, _WEIGHT] = side[other, _TIMES] = 0
