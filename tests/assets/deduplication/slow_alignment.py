"""Fit, sketches and alignments said in plain Python, as the docstrings say them; only single words are hashed by the
kernel, and only the permutations are its own, as both have tests of their own."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from headwater.assets.deduplication.fit import Fit
from headwater.assets.deduplication.minhash import permutations
from headwater.assets.deduplication.normalise import character_tables, most_words, word_hashes
from headwater.assets.deduplication.options import AlignmentOptions, FitOptions, RareWordsOptions

Words = tuple[int, ...]
SHARES = (0.003, 0.03, 0.1, 0.3)
_BASE = 0x9E3779B97F4A7C15
_ALL = (1 << 64) - 1

# Ways over a gap, the nearest first: the fewest words in its longer side, then the most in the other; of two that are
# alike, the one that skips more words of the first text.
WAYS = sorted(
    ((one, two) for one in range(7) for two in range(7) if one or two),
    key=lambda way: (max(way), max(way) - min(way), way[0] < way[1]),
)


def strings(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def hashes_of(text: str) -> Words:
    data = np.array(list(text.encode()), dtype=np.uint8)
    out = np.empty(most_words(len(data)), dtype=np.uint64)
    return tuple(out[: word_hashes(data, 0, len(data), *character_tables(), out)].tolist())


def mixed(value: int) -> int:
    value &= _ALL
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _ALL
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _ALL
    return value ^ (value >> 31)


def _is_alone(word: int) -> bool:
    """Whether the word is a character of a script without spaces."""
    return word & 1 == 1


def phrases_of(words: Words, length: int) -> list[int]:
    """Slots of the phrases, in order."""
    found = []
    for at in range(len(words) - length + 1):
        value = sum(word * _BASE ** (length - 1 - place) for place, word in enumerate(words[at : at + length]))
        found.append(mixed(value) >> (64 - 23))
    return found


def features_of(words: Words, at: int) -> list[int]:
    """The word itself; of characters without spaces also the runs of two and three that end here."""
    found = [words[at]]
    for run in (2, 3):
        if run > at + 1 or not all(map(_is_alone, words[at + 1 - run : at + 1])):
            break
        found.append(mixed(found[-1] * _BASE + words[at + 1 - run]))
    return found


def word_slot(feature: int) -> int:
    return feature >> (64 - 20)


def slow_counts(texts: Iterable[str], options: FitOptions) -> tuple[int, Counter, Counter]:
    """(documents with different words, documents with each word slot, documents with each phrase slot)."""
    seen: set[Words] = set()
    of_word: Counter = Counter()
    of_phrase: Counter = Counter()
    for text in texts:
        words = hashes_of(text.encode()[: options.bytes_of_each].decode(errors="ignore"))
        if words in seen:
            continue
        seen.add(words)
        of_word.update({word_slot(feature) for at in range(len(words)) for feature in features_of(words, at)})
        phrases = phrases_of(words, options.words)
        known = sum(of_phrase[phrase] > 0 for phrase in phrases)
        is_near_copy = known >= 0.7 * len(phrases)
        of_phrase.update({phrase for phrase in phrases if not is_near_copy or of_phrase[phrase] >= 3})
    return len(seen), of_word, of_phrase


def class_of(documents: int, sample: int) -> int:
    """How many of the shares a word in so many documents reaches; a word of one document is never common."""
    return sum(documents >= share * sample for share in SHARES) if documents >= 2 else 0


def fit_with(classes: dict[int, int], phrases: Iterable[int], length: int, documents: int = 100) -> Fit:
    """A fit with these classes by word slot and these common phrases."""
    of_slot, bits = np.zeros(1 << 20, dtype=np.uint8), np.zeros(1 << 20, dtype=np.uint8)
    for slot, kind in classes.items():
        of_slot[slot] = kind
    for phrase in phrases:
        bits[phrase // 8] |= 1 << phrase % 8
    return Fit(of_slot, bits, length, documents)


def is_common(fit: Fit, phrase: int) -> bool:
    return bool(fit.phrases[phrase // 8] >> (phrase % 8) & 1)


def boilerplate(words: Words, fit: Fit) -> list[bool]:
    """Whether each word stands in a run of common phrases that together are longer than one phrase."""
    phrases = phrases_of(words, fit.length)
    marks, at = [False] * len(words), 0
    while at < len(phrases):
        run = 0
        while at + run < len(phrases) and is_common(fit, phrases[at + run]):
            run += 1
        end = at + run + fit.length - 1
        if run and sum(0.5 if _is_alone(word) else 1.0 for word in words[at:end]) > fit.length:
            marks[at:end] = [True] * (end - at)
        at += run + 1
    return marks


def minima(text: str, fit: Fit, count: int, seed: int) -> list[int]:
    """For each permutation the least value, shifted by the weight of 16, 8, 4, 2 or 1."""
    words = hashes_of(text)
    common = boilerplate(words, fit)
    weights: dict[int, int] = {}
    for at in range(len(words)):
        for more, feature in enumerate(features_of(words, at)):
            kind = min(int(fit.classes[word_slot(feature)]) + more + (2 if common[at] else 0), 4)
            weights[feature] = max(weights.get(feature, 0), 16 >> kind)
    low = [(feature >> 16 & 0xFFFFFFFF, weight) for feature, weight in weights.items()]
    drawn = zip(*(values.tolist() for values in permutations(count, seed)), strict=True)
    return [
        min(((value * factor + addend) % (1 << 32) // weight for value, weight in low), default=(1 << 32) - 1)
        for factor, addend in drawn
    ]


def slow_keys(text: str, fit: Fit, options: RareWordsOptions) -> list[int]:
    """The key of each band: leading bits of its minima, mixed, side by side."""
    found, width = minima(text, fit, options.bands * options.rows, options.seed), 64 // options.rows
    keys = []
    for band in range(options.bands):
        values = found[band * options.rows : (band + 1) * options.rows]
        parts = [mixed(value + row + 1) >> (64 - width) for row, value in enumerate(values)]
        keys.append(sum(part << width * (options.rows - 1 - row) for row, part in enumerate(parts)))
    return keys


def parts_of(key: int, rows: int) -> list[int]:
    """What is kept of each minimum in the key of a band."""
    width = 64 // rows
    return [key >> width * row & ((1 << width) - 1) for row in range(rows)]


class _Text:
    """Words by the leading half of their hashes, with what each carries and weighs."""

    def __init__(self, text: str, fit: Fit, options: AlignmentOptions) -> None:
        hashes = hashes_of(text)
        self.words = [word >> 32 for word in hashes]
        self.common = boilerplate(hashes, fit)
        counts = Counter(self.words)
        self.bits = [np.float32(math.log2(len(self.words) / counts[word])) for word in self.words]
        self.weights = [
            (options.boilerplate_weight if common else 1.0) / math.sqrt(counts[word])
            for word, common in zip(self.words, self.common, strict=True)
        ]


def _has_pair(words: list[int], at: int, pair: list[int]) -> bool:
    return words[at : at + 2] == pair


def _way_over(one: _Text, two: _Text, taken: set[int], i: int, j: int) -> tuple[int, int] | None:
    """The nearest way to two neighbours that agree and are free."""
    for skip_one, skip_two in WAYS:
        at, pair = i + skip_one, two.words[j + skip_two : j + skip_two + 2]
        if len(pair) == 2 and _has_pair(one.words, at, pair) and not {at, at + 1} & taken:
            return skip_one, skip_two
    return None


def _walk(one: _Text, two: _Text, taken: set[int], i: int, j: int) -> tuple[float, list[tuple[int, int]]]:
    """(bits at best, places that correspond until then)."""
    score = best = 0.0
    pairs: list[tuple[int, int]] = []
    kept = 0
    while i < len(one.words) and j < len(two.words):
        if one.words[i] == two.words[j] and i not in taken:
            pairs.append((i, j))
            score += float(one.bits[i]) - 0.25
            i, j = i + 1, j + 1
            if score > best:
                best, kept = score, len(pairs)
            continue
        way = _way_over(one, two, taken, i, j)
        if way is None:
            break
        score -= 3.0 + max(way)
        if best - score > 16.0:
            break
        i, j = i + way[0], j + way[1]
    return best, pairs[:kept]


def _best_walk(
    one: _Text, two: _Text, taken: set[int], j: int, expected: int, needed: float
) -> tuple[float, int, list[tuple[int, int]]]:
    """(bits, start, places) of an alignment from two neighbours of the second text: at the expected place, if they are
    there and earn enough, else the best of that and of the four earliest free places."""
    pair = two.words[j : j + 2]
    best: tuple[float, int, list[tuple[int, int]]] = (0.0, -1, [])
    places = [at for at in range(len(one.words) - 1) if _has_pair(one.words, at, pair)]
    if not places or one.bits[places[0]] + one.bits[places[0] + 1] < 4.0:
        return best
    if expected in places:
        score, pairs = _walk(one, two, taken, expected, j)
        best = (score, expected, pairs)
        if best[0] >= needed:
            return best
    first = next((number for number, at in enumerate(places) if at not in taken), len(places))
    for at in places[first : first + 4]:
        score, pairs = _walk(one, two, taken, at, j)
        if score > best[0]:
            best = (score, at, pairs)
    return best


def _longest_chain(blocks: list[tuple[int, int]]) -> int:
    """Words of the longest selection of blocks (start in the first text, words) whose starts ascend."""
    longest: list[int] = []
    for at, (start, words) in enumerate(blocks):
        before = [longest[other] for other in range(at) if blocks[other][0] < start]
        longest.append(words + max(before, default=0))
    return max(longest, default=0)


def counterparts(one: _Text, two: _Text) -> tuple[dict[int, int], int]:
    """(place in the second text → place in the first, how many of them stand in another order)."""
    needed = math.log2(len(one.words)) + math.log2(len(two.words)) + 3.0
    met: dict[int, int] = {}
    blocks: list[tuple[int, int]] = []
    expected = j = 0
    while j < len(two.words) - 1:
        bits, start, pairs = _best_walk(one, two, set(met.values()), j, expected, needed)
        if bits < needed:
            j += 1
            continue
        met |= {b: a for a, b in pairs}
        blocks.append((start, len(pairs)))
        expected, j = pairs[-1][0] + 1, pairs[-1][1] + 1
    return met, len(met) - _longest_chain(blocks)


def _heaviest_block(text: _Text, met: Iterable[int]) -> float:
    """Of all blocks, the most weight of words without counterpart, less that of those with one."""
    signs = [-weight if at in met else weight for at, weight in enumerate(text.weights)]
    sums = [0.0, *np.cumsum(signs).tolist()]
    return max(sums[end] - sums[start] for start in range(len(sums)) for end in range(start, len(sums)))


def slow_evidence(left: str, right: str, fit: Fit, options: AlignmentOptions) -> tuple[float, ...]:
    """Similarity, containment, shared, foreign of both texts, moved, boilerplate; foreign of the longer text first."""
    texts = [_Text(text, fit, options) for text in (left, right)]
    one, two = sorted(texts, key=lambda text: (len(text.words), text.words))
    met, moved = counterparts(one, two)
    matched = sum(one.weights[at] for at in met.values())
    other_matched = sum(two.weights[at] for at in met)
    total, other_total = sum(one.weights), sum(two.weights)
    return (
        (matched + other_matched) / (total + other_total),
        max(matched / total, other_matched / other_total),
        len(met),
        _heaviest_block(two, met.keys()) / other_total,
        _heaviest_block(one, set(met.values())) / total,
        moved / max(len(met), 1),
        (sum(one.common) + sum(two.common)) / (len(one.words) + len(two.words)),
    )
