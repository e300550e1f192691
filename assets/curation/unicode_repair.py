"""Unicode repair: what ftfy would do, at the speed of a scan wherever ftfy would do nothing or little.

ftfy works on one segment at a time: a line, or 10^6 code points of a longer one. A kernel examines each segment by
tables (`mojibake`). Line ends and control characters are mended there; what may have to be composed is normalised by
Python and examined again; only segments with characters of possible mojibake go to ftfy. The result is ftfy's own,
because a segment that is examined without a finding is one that no step of ftfy changes.
"""

import unicodedata
from functools import lru_cache

import ftfy
import numpy as np
import pyarrow as pa

from headwater.assets.curation.mojibake import (
    BEYOND,
    COMPOSED,
    LINE_BREAK,
    MARK,
    MOJIBAKE,
    PAIR,
    REMOVED,
    Suspicions,
    suspicions,
)
from headwater.assets.curation.options import UnicodeRepair
from headwater.assets.curation.signals.compiled import Texts, decode, texts_of
from headwater.assets.curation.spans import ROW, START, STOP, VERDICT, grown, joined, replace_spans, strings
from headwater.assets.kernels import compiled

SEGMENT = 1_000_000  # code points; ftfy's max_decode_length
_MENDED = REMOVED | LINE_BREAK
_LINE_FEED, _RETURN, _ESCAPE = 10, 13, 27

# What no repair touches: printable ASCII, tab, line feed, form feed.
_SOUND = np.zeros(256, np.bool_)
_SOUND[[9, 10, 12, *range(32, 127)]] = True


@lru_cache(maxsize=8)
def repair_config(options: UnicodeRepair) -> ftfy.TextFixerConfig:
    """ftfy's settings for the declared repair."""
    return ftfy.TextFixerConfig(
        explain=False,
        normalization="NFC",
        unescape_html="auto" if options.entities else False,
        uncurl_quotes=options.typography,
        fix_latin_ligatures=options.typography,
        fix_character_width=options.typography,
        max_decode_length=SEGMENT,
    )


def repair(texts: pa.Array, options: UnicodeRepair) -> tuple[pa.Array, np.ndarray]:
    """Mend a column of texts.

    Args:
        texts: large_string; a null stays null.
        options: the declared repair.

    Returns:
        The column, the same object where nothing changed, and bool[texts]: which texts changed.
    """
    view = texts_of(texts)
    rows = np.flatnonzero(_find_unsound(view.data, view.offsets, _SOUND))
    if options.entities:
        return _repair_whole(texts, view, options)
    if not len(rows):
        return texts, np.zeros(len(texts), np.bool_)
    tables = suspicions(options.typography)
    spans = _survey(view.data, view.offsets, rows, _SOUND, *tables)
    new, places, changed = _replacements(view, spans, tables, options)
    spans = spans[changed]
    repaired = np.zeros(len(texts), np.bool_)
    repaired[spans[:, ROW]] = True
    return replace_spans(texts, spans, new, places[changed]), repaired


def _repair_whole(texts: pa.Array, view: Texts, options: UnicodeRepair) -> tuple[pa.Array, np.ndarray]:
    """Repair with HTML entities: a tag in one line decides for all that follow, so ftfy gets whole texts."""
    doubtful = np.flatnonzero(_find_unsound(view.data, view.offsets, _SOUND & (np.arange(256) != ord("&"))))
    bounds = np.stack([doubtful, view.offsets[doubtful], view.offsets[doubtful + 1], doubtful * 0], axis=1)
    before = strings(view, bounds)
    after = [ftfy.fix_text(text, repair_config(options)) for text in before]
    changed = np.array([old != new for old, new in zip(before, after, strict=True)], np.bool_)
    new, places = joined(after)
    repaired = np.zeros(len(texts), np.bool_)
    repaired[doubtful[changed]] = True
    return replace_spans(texts, bounds[changed], new, places[changed]), repaired


def _replacements(
    view: Texts, spans: np.ndarray, tables: Suspicions, options: UnicodeRepair
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What comes instead of each suspicious segment: bytes, int64[spans, 2] places in them, and which differ."""
    mended, places = _mend_all(view.data, spans, tables.kinds)
    hand_over = (spans[:, VERDICT] & MOJIBAKE > 0) | (places[:, 1] < places[:, 0])
    composed = np.flatnonzero((spans[:, VERDICT] & COMPOSED > 0) & ~hand_over)
    mended, places = _normalised(mended, places, composed)
    left_over = _examine_all(mended, places, hand_over, _SOUND, *tables)
    left_over[composed] &= ~COMPOSED
    hand_over |= left_over > 0
    changed = spans[:, VERDICT] & _MENDED > 0
    changed[composed] |= _differ(view.data, spans[composed], mended, places[composed])
    handed = np.flatnonzero(hand_over)
    before = strings(view, spans[handed])
    known = {text: ftfy.fix_text(text, repair_config(options)) for text in set(before)}
    fixed, fixed_places = joined([known[text] for text in before])
    changed[handed] = [known[text] != text for text in before]
    places[handed] = fixed_places + len(mended)
    return np.concatenate([mended, fixed]), places, changed


def _normalised(mended: np.ndarray, places: np.ndarray, composed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mended segments with some of them in form C, written behind the others."""
    if not len(composed):
        return mended, places
    parts = [mended[start:stop].tobytes().decode() for start, stop in places[composed].tolist()]
    new, new_places = joined([unicodedata.normalize("NFC", part) for part in parts])
    places[composed] = new_places + len(mended)
    return np.concatenate([mended, new]), places


@compiled()
def _find_unsound(data: np.ndarray, offsets: np.ndarray, sound: np.ndarray) -> np.ndarray:
    found = np.zeros(len(offsets) - 1, np.bool_)
    for text in range(len(found)):
        for at in range(offsets[text], offsets[text + 1]):
            if not sound[data[at]]:
                found[text] = True
                break
    return found


@compiled()
def _segment_end(data: np.ndarray, start: int, stop: int) -> int:
    """Where ftfy ends the segment that begins at `start`: behind a line feed, or after so many code points."""
    end = start
    while end < stop and data[end] != _LINE_FEED and end - start <= 4 * SEGMENT:
        end += 1
    end = min(end + 1, stop)
    if end - start <= SEGMENT:
        return end
    characters, at = 0, start
    while at < end:
        characters += data[at] & 0xC0 != 0x80
        if characters > SEGMENT:
            return at
        at += 1
    return end


@compiled()
def _examine(data: np.ndarray, start: int, stop: int, sound: np.ndarray, kinds: np.ndarray, left: np.ndarray,
             right: np.ndarray, combining: np.ndarray) -> int:  # fmt: skip
    """What a segment may need: bits of MOJIBAKE, REMOVED, LINE_BREAK and COMPOSED; 0 when ftfy would change nothing."""
    verdict, order, at, waiting = 0, np.int64(0), start, np.uint64(0)
    while at < stop:
        if sound[data[at]]:
            if waiting and waiting & right[data[at]]:
                return MOJIBAKE
            waiting, order, at = np.uint64(0), np.int64(0), at + 1
            continue
        code, width = decode(data, at)
        kind, place = kinds[code], code if code < BEYOND else BEYOND
        if at > start and sound[data[at - 1]]:
            waiting = left[data[at - 1]]
        if kind & MOJIBAKE or (waiting and waiting & right[place]):
            return MOJIBAKE
        verdict |= kind & (_MENDED | COMPOSED)
        if kind & MARK and order > combining[code]:
            verdict |= COMPOSED
        order = np.int64(combining[code])
        waiting = left[place] if kind & PAIR else np.uint64(0)
        at += width
    return verdict


@compiled()
def _survey(data: np.ndarray, offsets: np.ndarray, rows: np.ndarray, sound: np.ndarray, kinds: np.ndarray,
            left: np.ndarray, right: np.ndarray, combining: np.ndarray) -> np.ndarray:  # fmt: skip
    """The segments of some texts that may need something: int64[segments, 4] (row, start, stop, verdict)."""
    spans, found = np.empty((1024, 4), np.int64), 0
    for row in rows:
        at = offsets[row]
        while at < offsets[row + 1]:
            end = _segment_end(data, at, offsets[row + 1])
            verdict = _examine(data, at, end, sound, kinds, left, right, combining)
            if verdict:
                if found == len(spans):
                    spans = grown(spans)
                spans[found, 0], spans[found, 1], spans[found, 2], spans[found, 3] = row, at, end, verdict
                found += 1
            at = end
    return spans[:found].copy()


@compiled()
def _examine_all(data: np.ndarray, places: np.ndarray, skipped: np.ndarray, sound: np.ndarray, kinds: np.ndarray,
                 left: np.ndarray, right: np.ndarray, combining: np.ndarray) -> np.ndarray:  # fmt: skip
    """The verdict on each segment after mending; 0 for those skipped."""
    verdicts = np.zeros(len(places), np.int64)
    for span in range(len(places)):
        if not skipped[span]:
            start, stop = places[span, 0], places[span, 1]
            verdicts[span] = _examine(data, start, stop, sound, kinds, left, right, combining)
    return verdicts


@compiled()
def _behind_escape(data: np.ndarray, at: int, stop: int) -> int:
    """Where the text goes on behind an escape character at `at`: behind a terminal's sequence, or the next byte.

    -1 where a byte that is not ASCII ends what looks like a sequence: ftfy also takes other scripts' digits.
    """
    if at + 1 >= stop or data[at + 1] != 91:  # [
        return at + 1
    end = at + 2
    while end < stop and (48 <= data[end] <= 57 or data[end] == 59):
        end += 1
    if end < stop and data[end] >= 128:
        return -1
    letter = end < stop and (65 <= data[end] <= 90 or 97 <= data[end] <= 122)
    return end + 1 if letter else at + 1


@compiled()
def _mend(data: np.ndarray, start: int, stop: int, kinds: np.ndarray, out: np.ndarray, written: int) -> int:
    """Write a segment with line feeds as its line ends and without control characters; the end in `out`, or -1."""
    at = start
    while at < stop:
        code, width = decode(data, at)
        if code == _ESCAPE:
            at = _behind_escape(data, at, stop)
            if at < 0:
                return -1
            continue
        if kinds[code] & LINE_BREAK:
            if not (code == _RETURN and at + 1 < stop and data[at + 1] == _LINE_FEED):
                out[written] = _LINE_FEED
                written += 1
        elif not kinds[code] & REMOVED:
            for byte in range(width):
                out[written + byte] = data[at + byte]
            written += width
        at += width
    return written


@compiled()
def _mend_all(data: np.ndarray, spans: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All segments but those of mojibake, mended: bytes and int64[spans, 2]; (0, -1) where ftfy has to do it."""
    total = 0
    for span in range(len(spans)):
        total += 0 if spans[span, VERDICT] & MOJIBAKE else spans[span, STOP] - spans[span, START]
    out, places, written = np.empty(total, np.uint8), np.zeros((len(spans), 2), np.int64), 0
    for span in range(len(spans)):
        if spans[span, VERDICT] & MOJIBAKE:
            continue
        end = _mend(data, spans[span, START], spans[span, STOP], kinds, out, written)
        places[span, 0], places[span, 1] = (0, -1) if end < 0 else (written, end)
        written = max(written, end)
    return out[:written].copy(), places


@compiled()
def _differ(data: np.ndarray, spans: np.ndarray, new: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which parts differ from what comes instead of them."""
    found = np.zeros(len(spans), np.bool_)
    for span in range(len(spans)):
        start, first = spans[span, START], places[span, 0]
        width = spans[span, STOP] - start
        found[span] = width != places[span, 1] - first
        at = 0
        while at < width and not found[span]:
            found[span] = data[start + at] != new[first + at]
            at += 1
    return found
