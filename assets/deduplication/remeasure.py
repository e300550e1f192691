"""How much two texts share, measured slowly and in another way than the verifiers do, to judge what they accepted.

Nothing here is shared with them: words are runs without white space (numbers stay whole), or single characters in
scripts without spaces; common are those of a longest common subsequence, found exactly with the bit-parallel recurrence
of Crochemore, Iliopoulos, Pinzon and Reid (2001, A fast and practical bit-vector algorithm for the LCS problem), or,
where blocks have changed places, those in runs of four words that both texts have. Lines that many documents have, as
licences and page headers, are left out before, unless little else is there.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from headwater.assets.deduplication.edits import CJK

MOST_WORDS = 4_000  # of either text; the recurrence takes time as their product
_RUN = 4
_LEAST_LEFT = 0.2  # of the words, without the common lines
_COMMON = 3  # documents with a line that make it a common one
_TOKEN = re.compile(rf"[{CJK}]|[^\s{CJK}]+")


def common_lines(texts: Iterable[str], documents: int = _COMMON) -> set[str]:
    """Lines, without white space at their ends, that at least so many of the texts have."""
    counts = Counter(line for text in texts for line in {line.strip() for line in text.splitlines()})
    return {line for line, count in counts.items() if line and count >= documents}


def shared_share(one: str, two: str, common: Collection[str] = ()) -> float:
    """Twice the words that two texts have in common, in order or in runs, over the words of both; 0 for empty texts."""
    left, right = _words(one, common), _words(two, common)
    total = len(left) + len(right)
    if total == 0:
        return 0.0
    return max(2 * longest_common(left, right), _in_runs(left, right) + _in_runs(right, left)) / total


def _words(text: str, common: Collection[str]) -> list[str]:
    lines = [_TOKEN.findall(line) for line in text.splitlines() if line.strip() not in common]
    left = [word for line in lines for word in line]
    every = _TOKEN.findall(text)
    return (left if len(left) >= _LEAST_LEFT * len(every) else every)[:MOST_WORDS]


def longest_common(one: Sequence[str], two: Sequence[str]) -> int:
    """Length of the longest common subsequence: bit i of the state is 0 where word i of `one` adds to it."""
    places: dict[str, int] = {}
    for at, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(one)) - 1
    state = every
    for word in two:
        matches = state & places.get(word, 0)
        state = ((state + matches) | (state - matches)) & every
    return len(one) - state.bit_count()


def _in_runs(words: Sequence[str], other: Sequence[str]) -> int:
    """How many of the words stand in a run of four that the other text has."""
    runs = set(zip(*(other[at:] for at in range(_RUN)), strict=False))
    covered = end = 0
    for at, run in enumerate(zip(*(words[at:] for at in range(_RUN)), strict=False)):
        if run in runs:
            covered += at + _RUN - max(end, at)
            end = at + _RUN
    return covered
