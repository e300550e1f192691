"""Which characters can make ftfy change a text: tables made from ftfy's own rules and from Unicode's.

ftfy looks for mojibake with one regular expression of many short alternatives, slow on every text that is not ASCII.
Each alternative needs some two characters next to each other: here the pattern is parsed, and of every alternative the
rarest such pair is kept. A text without any of the pairs is none that ftfy could take for mojibake. An alternative of
another form than expected (another version of ftfy) makes each character beyond ASCII suspicious: slow, never wrong.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import ftfy.chardata
import ftfy.fixes
import numpy as np
from ftfy.badness import BADNESS_RE

# What a character does to the line that it stands in; PAIR begins a suspicious pair.
PAIR, MOJIBAKE, REMOVED, LINE_BREAK, COMPOSED, MARK = 1, 2, 4, 8, 16, 32
# Characters from here on have one place together in the tables of pairs.
BEYOND = 0x10000
# From plane 3 on there are rare ideographs, tags and private use: always looked at by ftfy itself.
_EXAMINED = 0x30000


class Suspicions(NamedTuple):
    """Tables over code points.

    kinds: uint8[0x110000], bits of this module's names; `left` and `right`: uint64[BEYOND + 1], where the characters x
    and y next to each other are suspicious when left[x] & right[y]; `combining`: uint8[0x110000], canonical combining
    classes.
    """

    kinds: np.ndarray
    left: np.ndarray
    right: np.ndarray
    combining: np.ndarray


@lru_cache(maxsize=2)
def suspicions(typography: bool) -> Suspicions:
    """The tables for repair without HTML entities, with or without changes to quotes, ligatures and widths."""
    kinds, combining = np.zeros(0x110000, np.uint8), np.zeros(0x110000, np.uint8)
    kinds[_EXAMINED:] = MOJIBAKE
    combining[:_EXAMINED] = list(map(unicodedata.combining, _characters_below(_EXAMINED)))
    kinds[combining > 0] |= MARK
    kinds[_composing()] |= COMPOSED
    kinds[list(ftfy.chardata.CONTROL_CHARS)] |= REMOVED
    kinds[[0x0D, 0x2028, 0x2029]] |= LINE_BREAK
    kinds[0x80:0xA0] |= MOJIBAKE
    if typography:
        fixers: tuple[Callable[[str], str], ...] = (
            ftfy.fixes.fix_latin_ligatures, ftfy.fixes.fix_character_width, ftfy.fixes.uncurl_quotes,
        )  # fmt: skip
        kinds[_examined_where(lambda text: any(fix(text) != text for fix in fixers), BEYOND)] |= MOJIBAKE
    left, right = _pairs(kinds)
    kinds[:BEYOND][left[:BEYOND] > 0] |= PAIR
    kinds[BEYOND:] |= PAIR if left[BEYOND] else 0
    return Suspicions(kinds, left, right, combining)


def _examined_where(changes: Callable[[str], bool], stop: int = _EXAMINED) -> list[int]:
    """The characters that something changes, below `stop`: looked for in rows of 256 first, most of which stay."""
    characters = _characters_below(stop)
    rows = (characters[first : first + 256] for first in range(0, stop, 256))
    return [ord(character) for row in rows if changes(row) for character in row if changes(character)]


def _characters_below(stop: int) -> str:
    return np.arange(stop, dtype="<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _composing() -> list[int]:
    """Characters without which a text in canonical order is in form C: those it changes, and those it may compose.

    These are Unicode's values No and Maybe of NFC_Quick_Check (UAX #15, 9), from the decompositions of all characters.
    """
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul vowels and tails compose by arithmetic
    for code in _examined_where(lambda text: not unicodedata.is_normalized("NFD", text)):
        parts = unicodedata.decomposition(chr(code)).split()  # none of a Hangul syllable, which form C leaves
        if parts and unicodedata.normalize("NFC", chr(code)) != chr(code):
            found.add(code)
        elif len(parts) == 2:
            found.add(int(parts[1], 16))
    return sorted(found)


def _pairs(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`left` and `right` of BADNESS_RE, one bit for each alternative; a single character is marked in `kinds`."""
    left, right = np.zeros(BEYOND + 1, np.uint64), np.zeros(BEYOND + 1, np.uint64)
    try:
        needed = [_needed(items) for items in _alternatives(BADNESS_RE)]
        if len(needed) > 64:
            raise NotImplementedError(f"{len(needed)} alternatives")
    except (NotImplementedError, ImportError, IndexError):
        kinds[0x80:] |= MOJIBAKE
        return left, right
    for at, sets in enumerate(needed):
        if len(sets) == 1:
            kinds[:BEYOND][sets[0][:BEYOND]] |= MOJIBAKE
            continue
        left[sets[0]] |= np.uint64(1) << np.uint64(at)
        right[sets[1]] |= np.uint64(1) << np.uint64(at)
    return left, right


def _alternatives(pattern: re.Pattern[str]) -> list[list[np.ndarray | None]]:
    """For each alternative its characters as sets, bool[BEYOND + 1]; None where something is optional."""
    from re import _constants, _parser  # type: ignore[attr-defined]

    parsed = list(_parser.parse(pattern.pattern, pattern.flags))
    if len(parsed) != 1 or parsed[0][0] is not _constants.BRANCH:
        raise NotImplementedError("not a list of alternatives")
    return [
        [_characters(str(name), value) for name, value in branch if name is not _constants.AT]
        for branch in parsed[0][1][1]
    ]


def _characters(name: str, value: Any) -> np.ndarray | None:
    found = np.zeros(BEYOND + 1, np.bool_)
    if name == "LITERAL":
        found[min(value, BEYOND)] = True
    elif name == "RANGE":
        found[min(value[0], BEYOND) : min(value[1], BEYOND) + 1] = True
    elif name in ("ANY", "CATEGORY", "NOT_LITERAL"):  # more than they match, which is safe
        found[:] = True
    elif name == "IN":
        return _union(value)
    elif name == "MAX_REPEAT":
        return None
    else:
        raise NotImplementedError(name)
    return found


def _union(members: Iterable[tuple[Any, Any]]) -> np.ndarray:
    found, negated = np.zeros(BEYOND + 1, np.bool_), False
    for name, value in members:
        if str(name) == "NEGATE":
            negated = True
            continue
        part = _characters(str(name), value)
        if part is None or (negated and part.all()):
            raise NotImplementedError(f"{name} in a set")
        found |= part
    if negated:
        found = ~found
        found[BEYOND] = True
    return found


def _needed(items: list[np.ndarray | None]) -> list[np.ndarray]:
    """The pair of neighbours that an alternative needs and that has the fewest members, or its only character."""
    pairs = [[x, y] for x, y in pairwise(items) if x is not None and y is not None]
    singles = [[item] for item in items if item is not None][:1]
    chosen = min(pairs, key=lambda pair: int(pair[0].sum()) * int(pair[1].sum())) if pairs else singles[0]
    if all(item[:0x80].any() for item in chosen):
        raise NotImplementedError("an alternative that plain ASCII satisfies")
    return chosen
