"""Where personal data can be: one scan over a batch that leaves the patterns only the few places that may match.

Text falls into pieces at characters that no pattern of a single line can contain or look at (line feeds, quotes,
commas and the like), so that the patterns find in the pieces what they find in the whole. A piece is suspicious when
it has what a kind needs: an @ between word characters, enough digits in groups, a key's prefix. These are necessary
conditions of the patterns in `pii`, not the patterns: they may be wider, never narrower.
"""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation import pii
from headwater.assets.curation.signals.compiled import DECIMAL, character_classes, decode, texts_of
from headwater.assets.curation.spans import ROW, VERDICT, grown, joined, replace_spans, strings
from headwater.assets.kernels import compiled

# Kinds whose patterns stay within a piece, as bits; private keys span lines.
SOUGHT = {kind: 1 << at for at, kind in enumerate(("email", "ip", "phone", "credit_card", "iban", "api_key"))}
_EMAIL, _IP, _PHONE, _CARD, _IBAN, _API_KEY = SOUGHT.values()
_SHORTEST_KEY = 15  # characters of xoxb-0123456789
_KEY_STARTS = np.zeros(1 << 16, np.bool_)  # over the first two bytes of a token: those of the keys' prefixes
for _prefix in ("AK", "AS", "gh", "gi", "gl", "xo", "AI", "sk", "rk", "py", "np", "hf"):
    _KEY_STARTS[ord(_prefix[0]) << 8 | ord(_prefix[1])] = True

_KEY = "private_key"

_CUT, _DIGIT, _HEX, _UPPER, _TOKEN, _NAME, _WORD, _LETTER, _BETWEEN, _JOINING, _BARRING = (
    1 << bit for bit in range(11)
)
_CUTS = "\n\t\r\f\v\"',;=<>{}[]/\\|&#*!?^~`$"
_SPACE, _RIGHT, _PLUS, _DOT, _COLON, _AT = (ord(character) for character in " )+.:@")
# State within a piece: digits in this group, in that before and in the one before that; digits behind a plus; digits of
# a card's number; dots between numbers; colons behind hexadecimal digits.
_RUN, _GROUP, _FIRST, _PLUSSED, _CARDED, _DOTS, _COLONS = range(7)


def _byte_kinds() -> np.ndarray:
    kinds = np.zeros(256, np.uint16)
    for code in range(128):
        character = chr(code)
        alphanumeric = character.isalnum()
        kinds[code] |= _CUT if character in _CUTS else 0
        kinds[code] |= _DIGIT if character.isdigit() else 0
        kinds[code] |= _HEX if character in "0123456789abcdefABCDEF" else 0
        kinds[code] |= _UPPER if character.isupper() else 0
        kinds[code] |= _TOKEN if alphanumeric or character in "_-" else 0
        kinds[code] |= _NAME if alphanumeric or character in "._%+-" else 0
        kinds[code] |= _WORD if alphanumeric or character == "_" else 0
        kinds[code] |= _BETWEEN if character in " .-()" else 0  # groups of digits
        kinds[code] |= _JOINING if character in " -" else 0  # digits of a card
        kinds[code] |= _BARRING if alphanumeric or character in "_.-" else 0  # no card begins behind them
        kinds[code] |= _LETTER if character.isalpha() or character == "_" else 0
    return kinds


_KINDS = _byte_kinds()


def find_pii(texts: pa.Array, kinds: tuple[str, ...], redact: bool) -> tuple[pa.Array, dict[str, np.ndarray]]:
    """Find kinds of personal data in a column of texts.

    Args:
        texts: large_string; a null has nothing and stays null.
        kinds: names of `pii.FINDERS`, in the order in which they are looked for.
        redact: whether what is found is replaced by placeholders.

    Returns:
        The column, the same object where nothing changed, and for each kind how many were found, int64[texts].
    """
    if _KEY not in kinds:
        return _find_in_pieces(texts, kinds, redact)
    at = kinds.index(_KEY)  # its pattern looks at whole texts, after the kinds before it and before those behind it
    texts, counts = _find_in_pieces(texts, kinds[:at], redact)
    texts, keys = _find_keys(texts, redact)
    texts, others = _find_in_pieces(texts, kinds[at + 1 :], redact)
    return texts, counts | keys | others


def _find_keys(texts: pa.Array, redact: bool) -> tuple[pa.Array, dict[str, np.ndarray]]:
    counts = np.zeros(len(texts), np.int64)
    hinted = pc.fill_null(pc.match_substring(texts, pii.FINDERS[_KEY].hints[0]), False)
    rows = np.flatnonzero(hinted.to_numpy(zero_copy_only=False))
    if not len(rows):
        return texts, {_KEY: counts}
    offsets = texts_of(texts).offsets
    spans = np.stack([rows, offsets[rows], offsets[rows + 1], rows], axis=1)
    changed = [pii.redact(text, (_KEY,)) for text in strings(texts_of(texts), spans)]
    counts[rows] = [found[_KEY] for _, found in changed]
    new, places = joined([text for text, _ in changed])
    return (replace_spans(texts, spans, new, places) if redact and counts.any() else texts), {_KEY: counts}


def _find_in_pieces(texts: pa.Array, kinds: tuple[str, ...], redact: bool) -> tuple[pa.Array, dict[str, np.ndarray]]:
    view, counts = texts_of(texts), {kind: np.zeros(len(texts), np.int64) for kind in kinds}
    if not kinds:
        return texts, counts
    wanted = sum(SOUGHT[kind] for kind in kinds)
    spans = _survey(view.data, view.offsets, wanted, _KINDS, character_classes(), _KEY_STARTS)
    before = strings(view, spans)
    after = list(before)
    for at, (row, possible, text) in enumerate(zip(*spans[:, [ROW, VERDICT]].T.tolist(), before, strict=True)):
        looked_for = _kinds_of(possible, kinds)
        if redact:
            after[at], found = pii.redact(text, kinds, looked_for)
        else:
            found = {kind: pii.count(text, kind) for kind in looked_for}
        for kind, number in found.items():
            counts[kind][row] += number
    changed = np.array([old != new for old, new in zip(before, after, strict=True)], np.bool_)
    new, places = joined([after[at] for at in np.flatnonzero(changed)])
    return replace_spans(texts, spans[changed], new, places), counts


@lru_cache(maxsize=1024)
def _kinds_of(possible: int, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The kinds of a verdict, in the given order."""
    return tuple(kind for kind in kinds if possible & SOUGHT[kind])


@compiled()
def _is_account(data: np.ndarray, at: int, stop: int, kinds: np.ndarray) -> bool:
    """Whether eight capitals or digits follow, single spaces between them allowed; what is not ASCII counts as one."""
    found, spaced = 0, False
    while at < stop and found < 8:
        if data[at] == _SPACE and not spaced:
            spaced = True
        elif kinds[data[at]] & (_DIGIT | _UPPER) or data[at] >= 128:
            found, spaced = found + 1, False
        else:
            return False
        at += 1
    return found == 8


@compiled()
def _clear(state: np.ndarray) -> None:
    for at in range(7):
        state[at] = 0


@compiled()
def _digit(data: np.ndarray, start: int, at: int, stop: int, kinds: np.ndarray, state: np.ndarray) -> int:
    """Count a digit in all groups that it continues; the kinds that are complete with it."""
    found, before = 0, data[at - 1] if at > start else _SPACE
    state[_RUN] += 1
    if state[_RUN] == 4 and state[_GROUP] == 3 and state[_FIRST] == 3:  # as in North America
        found |= _PHONE
    state[_PLUSSED] = 1 if before == _PLUS else state[_PLUSSED] + (state[_PLUSSED] > 0)
    if state[_PLUSSED] == 8:
        found |= _PHONE
    if state[_CARDED] or not kinds[before] & _BARRING:
        state[_CARDED] += 1
        found |= _CARD if state[_CARDED] == 13 else 0
    found |= _IP if state[_DOTS] == 3 else 0
    if kinds[before] & _DIGIT and at - start >= 3 and kinds[data[at - 2]] & kinds[data[at - 3]] & _UPPER:
        found |= _IBAN if _is_account(data, at + 1, stop, kinds) else 0
    return found


@compiled()
def _punctuation(data: np.ndarray, start: int, at: int, stop: int, kinds: np.ndarray, state: np.ndarray) -> int:
    """What a character between words and numbers ends or goes on with; the kinds that it completes."""
    byte, before = data[at], data[at - 1] if at > start else _SPACE
    dots, colons, carded = state[_DOTS], state[_COLONS], state[_CARDED]
    if kinds[byte] & _BETWEEN:
        if not (byte == _SPACE and before == _RIGHT):
            state[_FIRST], state[_GROUP], state[_RUN] = state[_GROUP], state[_RUN], 0
        state[_CARDED] = carded if kinds[before] & _DIGIT and kinds[byte] & _JOINING else 0
        state[_DOTS] = dots + 1 if byte == _DOT and kinds[before] & _DIGIT else 0
        state[_COLONS] = 0
        return 0
    _clear(state)
    if byte == _COLON and (kinds[before] & _HEX or before == _COLON):
        # An address has seven colons, or two next to each other for the zeros left out; a time of day has neither.
        state[_COLONS] = colons + 1
        return _IP if colons >= 6 or (before == _COLON and colons >= 2) else 0
    is_address = byte == _AT and kinds[before] & _NAME and at + 1 < stop and kinds[data[at + 1]] & _WORD
    return _EMAIL if is_address else 0


@compiled()
def _follows_country(data: np.ndarray, start: int, at: int, kinds: np.ndarray) -> bool:
    """Whether a digit at `at` is the first or second behind two capitals, as in an IBAN."""
    if at - start < 2 or not kinds[data[at - 2]] & _UPPER:
        return False
    return kinds[data[at - 1]] & (_UPPER | _DIGIT) != 0


@compiled()
def _with_strange_digits(data: np.ndarray, start: int, stop: int, strange: int, kinds: np.ndarray) -> int:
    """The kinds that a piece with digits of other scripts may have: the patterns take those digits too."""
    digits, dots = strange, 0
    for at in range(start, stop):
        digits += kinds[data[at]] & _DIGIT != 0
        dots += data[at] == _DOT
    return (_PHONE | _CARD if digits >= 8 else 0) | (_IP if dots >= 3 else 0)


@compiled()
def _next_piece(data: np.ndarray, at: int, stop: int, wanted: int, kinds: np.ndarray, classes: np.ndarray,
                key_starts: np.ndarray, state: np.ndarray) -> tuple[int, int, int]:  # fmt: skip
    """The next piece that may have one of the kinds: start, end, kinds; no kinds where there is none."""
    found, start, token, counting, strange = 0, at, at, False, 0
    _clear(state)
    while at < stop:
        kind = kinds[data[at]]
        if kind & _LETTER:
            hexadecimal = kind
            at += 1
            while at < stop and kinds[data[at]] & _LETTER:
                hexadecimal &= kinds[data[at]]
                at += 1
            if counting:
                colons = state[_COLONS] if hexadecimal & _HEX else 0
                _clear(state)
                state[_COLONS], counting = colons, colons > 0
            continue
        if not kind & _TOKEN:
            if at - token >= _SHORTEST_KEY:
                found |= _key(data, token, key_starts)
            token = at + 1
        if kind & _CUT or data[at] >= 128:
            if counting:
                _clear(state)
                counting = False
            if data[at] >= 128:
                code, width = decode(data, at)
                if classes[code] & DECIMAL:
                    strange += 1
                    found |= _IBAN if _follows_country(data, start, at, kinds) else 0
                at += width - 1
            else:
                found |= _with_strange_digits(data, start, at, strange, kinds) if strange else 0
                if found & wanted:
                    break
                found, start, strange = 0, at + 1, 0
        elif kind & _DIGIT:
            found |= _digit(data, start, at, stop, kinds, state)
            counting = True
        elif counting or not kind & _BETWEEN:
            found |= _punctuation(data, start, at, stop, kinds, state)
            counting = True
        at += 1
    if at - token >= _SHORTEST_KEY:
        found |= _key(data, token, key_starts)
    found |= _with_strange_digits(data, start, at, strange, kinds) if strange else 0
    return start, at, found & wanted


@compiled()
def _key(data: np.ndarray, start: int, key_starts: np.ndarray) -> int:
    """Whether a token begins as a key."""
    return _API_KEY if key_starts[np.int64(data[start]) << 8 | np.int64(data[start + 1])] else 0


@compiled()
def _survey(data: np.ndarray, offsets: np.ndarray, wanted: int, kinds: np.ndarray, classes: np.ndarray,
            key_starts: np.ndarray) -> np.ndarray:  # fmt: skip
    """The pieces that may have one of the kinds: int64[pieces, 4] (row, start, stop, kinds)."""
    spans, count, state = np.empty((1024, 4), np.int64), 0, np.zeros(7, np.int64)
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            start, at, found = _next_piece(data, at, stop, wanted, kinds, classes, key_starts, state)
            if found:
                if count == len(spans):
                    spans = grown(spans)
                spans[count, 0], spans[count, 1], spans[count, 2], spans[count, 3] = row, start, at, found
                count += 1
            at += 1
    return spans[:count].copy()
