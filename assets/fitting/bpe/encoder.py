"""Ids of texts: words are looked up in a table of those met before, and merged by the rules where they are new.

The ids equal Hugging Face's for the tokenizers of which `pattern_of` and `merges_of` know the pattern and the merges. A
word's symbols are its bytes; of all pairs of neighbours that have a merge, the one of lowest rank is merged first, the
leftmost of equal ones. A long word is merged window by window. That is exact: a sequence of tokens in which every two
neighbours, encoded together, come out as themselves is the encoding of the whole (no merge can cross a boundary that
none crosses between the neighbours alone), and each window must begin with the token that the window before, which saw
further, put there.
"""

# mypy: disable-error-code="arg-type, assignment, return-value, call-arg, var-annotated"
# (numba mixes Python's and NumPy's integers, and calls intrinsics without their first argument)

import json
import threading
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from headwater.assets.fitting.bpe.machine import store
from headwater.assets.fitting.bpe.patterns import PATTERNS, symbols_of_bytes
from headwater.assets.fitting.bpe.table import (
    AHEAD,
    add_word,
    empty_table,
    in_more_rows,
    look_ahead,
    mixed,
    row_of,
)
from headwater.assets.fitting.bpe.words import Cut, cut_of, learn_class
from headwater.assets.kernels import compiled

_WINDOW = 128  # bytes of a long word that are merged at once
_KEPT = 128  # bytes of a word that is worth keeping
_WORDS = 1 << 20  # rows of the table, 32 bytes each; it is emptied when half of them are taken
_LETTERS = _IDS = 1 << 24
_PACKED = 4  # ids in eight bytes, at most
_DONE, _TABLE_FULL, _UNKNOWN, _NARROW = range(4)
_NO_MERGE = np.int32(2**31 - 1)
_ORDINARY_MODEL: dict[str, Any] = {
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "byte_fallback": False,
    "fuse_unk": False,
}


class Merges(NamedTuple):
    """`bytes` int32[256]: each byte's id; `lengths` int32[ids]: bytes of each id; `merged` int32[merges]: rank → id.

    In open addressing, `pairs` uint64[size] (first id << 32 | second id, all ones where free) → `ranks` int32[size].
    """

    bytes: np.ndarray
    pairs: np.ndarray
    ranks: np.ndarray
    merged: np.ndarray
    lengths: np.ndarray


class Progress(NamedTuple):
    """Where the kernel stands: the text, the byte (-1: before its lead), ids written; what stopped it, and a number."""

    text: int
    at: int
    written: int
    status: int
    number: int


@lru_cache(maxsize=8)
def pattern_of(tokenizer_json: str) -> str | None:
    """Which of PATTERNS cuts texts into words before the bytes are taken; None for any other way.

    A normalizer, a leading space of the tokenizer's own, or added words that are not special are another way.
    """
    content = json.loads(tokenizer_json)
    if content["normalizer"] is not None or any(not token["special"] for token in content["added_tokens"]):
        return None
    step = content["pre_tokenizer"] or {}
    if step.get("type") == "ByteLevel":
        return "gpt2" if not step["add_prefix_space"] and step["use_regex"] else None
    steps = step.get("pretokenizers", [])
    if [s["type"] for s in steps] != ["Split", "ByteLevel"]:
        return None
    split, bytes_ = steps
    plain = split["behavior"] == "Isolated" and not split["invert"]
    if not plain or bytes_["add_prefix_space"] or bytes_["use_regex"]:
        return None
    return {expression: name for name, expression in PATTERNS.items()}.get(split["pattern"].get("Regex"))


def merges_of(tokenizer_json: str) -> Merges | None:
    """The merges of a tokenizer; None where its model is not an ordinary byte-level encoding with ordered merges."""
    model = json.loads(tokenizer_json)["model"]
    if model["type"] != "BPE" or any(model.get(name) not in (value, "") for name, value in _ORDINARY_MODEL.items()):
        return None
    vocabulary: dict[str, int] = model["vocab"]
    symbols = symbols_of_bytes()
    if len(set(vocabulary.values())) != len(vocabulary) or not all(symbol in vocabulary for symbol in symbols):
        return None
    pairs = [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    if len(set(pairs)) != len(pairs) or any(a + b not in vocabulary for a, b in pairs):
        return None
    ids = np.array([(vocabulary[a], vocabulary[b], vocabulary[a + b]) for a, b in pairs], np.int64).reshape(-1, 3)
    if not _are_ordered(ids):
        return None
    lengths = np.zeros(max(vocabulary.values()) + 1, np.int32)
    lengths[list(vocabulary.values())] = [len(word) for word in vocabulary]
    found = _tabulated(np.array([vocabulary[symbol] for symbol in symbols], np.int32), ids, lengths)
    return found if not model.get("ignore_merges") or _spells_all(found, vocabulary, symbols) else None


def _are_ordered(ids: np.ndarray) -> bool:
    """Whether each token is made by merges that come before all merges that use it."""
    size = int(ids.max(initial=255)) + 1
    made, used = np.full(size, -1), np.full(size, len(ids))
    ranks = np.arange(len(ids))
    np.maximum.at(made, ids[:, 2], ranks)
    np.minimum.at(used, ids[:, 0], ranks)
    np.minimum.at(used, ids[:, 1], ranks)
    return bool((made < used).all())


def _tabulated(byte_ids: np.ndarray, ids: np.ndarray, lengths: np.ndarray) -> Merges:
    size = 1 << max(4 * len(ids), 16).bit_length() - 1
    pairs, ranks = np.full(size, 2**64 - 1, np.uint64), np.full(size, _NO_MERGE, np.int32)
    _fill(pairs, ranks, ids[:, 0].astype(np.uint64) << np.uint64(32) | ids[:, 1].astype(np.uint64))
    return Merges(byte_ids, pairs, ranks, ids[:, 2].astype(np.int32), lengths)


def _spells_all(merges: Merges, vocabulary: dict[str, int], symbols: list[str]) -> bool:
    """Whether the merges make every word of the vocabulary that bytes can spell into its own token."""
    bytes_of = {symbol: byte for byte, symbol in enumerate(symbols)}
    longest = max(map(len, vocabulary))
    out, scratch = np.empty(longest, np.uint32), np.empty((2, 2 * max(longest, _WINDOW)), np.int32)
    for word, number in vocabulary.items():
        if all(symbol in bytes_of for symbol in word):
            data = np.array([bytes_of[symbol] for symbol in word], np.uint8)
            if len(data) and (_merge_word(data, 0, len(data), *merges, scratch, out, 0) != 1 or out[0] != number):
                return False
    return True


class CompiledEncoder:
    """Encodes bytes of UTF-8 by merges and a cut. It keeps the words it met, 70 MB of them at most."""

    def __init__(self, merges: Merges, cut: Cut) -> None:
        self._merges, self._cut = merges, cut
        self._table = empty_table(1 << 12, _LETTERS)
        self._ids = np.empty(_IDS, np.uint32)
        self._used_ids = np.zeros(1, np.int64)
        self._kind: np.dtype | None = None
        self._lock = threading.Lock()

    def encode(self, data: np.ndarray, offsets: np.ndarray, lead: int, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """(ids of all texts one after the other, each led by `lead`; where each begins, int64[texts + 1]).

        Text n is `data[offsets[n]:offsets[n + 1]]`, whole UTF-8. `kind` is uint16 or uint32, and holds every id.
        """
        with self._lock:
            if kind != self._kind:  # words are kept with their ids as they are written
                self._kind = kind
                self._forget()
            return self._encode(data, offsets, lead, kind)

    def _encode(
        self, data: np.ndarray, offsets: np.ndarray, lead: int, kind: np.dtype
    ) -> tuple[np.ndarray, np.ndarray]:
        starts = np.zeros(len(offsets), np.int64)
        # There are never more ids than bytes and leads; what is not written of this takes no memory.
        out = np.empty(int(offsets[-1] - offsets[0]) + len(offsets) + _PACKED, kind)
        scratch = np.empty((2, _WINDOW), np.int32)
        ahead = np.empty(AHEAD, np.int64), np.empty((AHEAD, 3), np.uint64)
        state = Progress(0, -1, 0, -1, 0)
        while state.status != _DONE:
            known = (*self._cut, *self._table, self._ids, self._used_ids, *self._merges)
            place = (state.text, state.at, out, state.written, starts)
            state = Progress(*_encode_words(data, offsets, lead, *known, *place, scratch, *ahead))
            if state.status == _TABLE_FULL:
                self._make_room()
            elif state.status == _UNKNOWN:
                learn_class(self._cut, state.number)
            elif state.status == _NARROW:
                scratch = np.empty((2, 2 * scratch.shape[1]), np.int32)
        starts[-1] = state.written
        return out[: state.written], starts

    def _make_room(self) -> None:
        """A larger table, or the same one emptied: which words are frequent changes from text to text."""
        rows = self._table.rows
        if self._table.is_full and len(rows) < 4 * _WORDS:
            self._table = self._table._replace(rows=in_more_rows(rows, 4 * len(rows)))
        else:
            self._forget()

    def _forget(self) -> None:
        self._table = empty_table(len(self._table.rows) // 4, 0)._replace(letters=self._table.letters)
        self._used_ids[0] = 0


def compiled_encoder(tokenizer_json: str) -> CompiledEncoder | None:
    """The encoder of a tokenizer; None where its words or its merges are not of the kinds known here."""
    pattern, merges = pattern_of(tokenizer_json), merges_of(tokenizer_json)
    return None if pattern is None or merges is None else CompiledEncoder(merges, cut_of(pattern))


@compiled(allocates=False)
def _fill(pairs: np.ndarray, ranks: np.ndarray, keys: np.ndarray) -> None:
    mask = len(pairs) - 1
    for rank in range(len(keys)):
        slot = np.int64(mixed(keys[rank])) & mask
        while ranks[slot] != _NO_MERGE:
            slot = (slot + 1) & mask
        pairs[slot], ranks[slot] = keys[rank], rank


@compiled(allocates=False)
def _rank(pairs: np.ndarray, ranks: np.ndarray, first: int, second: int) -> np.int32:
    """The rank of the merge of two ids, or `_NO_MERGE`."""
    key = np.uint64(first) << np.uint64(32) | np.uint64(second)
    mask = np.int64(len(pairs) - 1)
    slot = np.int64(mixed(key)) & mask
    while pairs[slot] != key and ranks[slot] != _NO_MERGE:
        slot = (slot + 1) & mask
    return ranks[slot]


@compiled(allocates=False)
def _merge_window(
    data: np.ndarray,
    start: int,
    stop: int,
    byte_ids: np.ndarray,
    pairs: np.ndarray,
    ranks: np.ndarray,
    merged: np.ndarray,
    scratch: np.ndarray,
) -> np.int64:
    """Merge some bytes to `scratch[0, :returned]`; its other row holds the rank of each symbol with the next."""
    symbols, waiting = scratch[0], scratch[1]
    count = np.int64(stop - start)
    for place in range(count):
        symbols[place] = byte_ids[data[start + place]]
    for place in range(count - 1):
        waiting[place] = _rank(pairs, ranks, symbols[place], symbols[place + 1])
    while count > 1:
        best, lowest = 0, waiting[0]
        for place in range(1, count - 1):
            if waiting[place] < lowest:
                best, lowest = place, waiting[place]
        if lowest == _NO_MERGE:
            break
        symbols[best] = merged[lowest]
        count -= 1
        for place in range(best + 1, count):
            symbols[place] = symbols[place + 1]
        for place in range(best, count - 1):
            waiting[place] = waiting[place + 1]
        if best > 0:
            waiting[best - 1] = _rank(pairs, ranks, symbols[best - 1], symbols[best])
        if best < count - 1:
            waiting[best] = _rank(pairs, ranks, symbols[best], symbols[best + 1])
    return count


@compiled(allocates=False)
def _merge_word(
    data: np.ndarray,
    at: int,
    end: int,
    byte_ids: np.ndarray,
    pairs: np.ndarray,
    ranks: np.ndarray,
    merged: np.ndarray,
    lengths: np.ndarray,
    scratch: np.ndarray,
    out: np.ndarray,
    written: int,
) -> np.int64:
    """Write the ids of a word from `out[written]` on and return where they end; -1 where `scratch` is too narrow."""
    start, expected, limit, filled = at, np.int32(-1), _WINDOW, np.int64(written)
    while True:
        stop = min(start + limit, end)
        count = _merge_window(data, start, stop, byte_ids, pairs, ranks, merged, scratch)
        symbols = scratch[0]
        fits = expected < 0 or symbols[0] == expected
        if fits and stop == end:
            for place in range(count):
                out[filled + place] = symbols[place]
            return filled + count
        if not fits or count == 1:  # the window saw too little: begin again with a larger one
            limit *= 2
            if limit > scratch.shape[1]:
                return np.int64(-1)
            start, expected, filled = at, np.int32(-1), np.int64(written)
            continue
        kept, seen = 0, 0
        while kept < count - 1 and (kept == 0 or seen + lengths[symbols[kept]] <= limit // 2):
            out[filled + kept] = symbols[kept]
            seen += lengths[symbols[kept]]
            kept += 1
        start, expected, filled = start + seen, symbols[kept], filled + kept


@compiled(allocates=False)
def _encode_words(
    data: np.ndarray,
    offsets: np.ndarray,
    lead: int,
    classes: np.ndarray,
    digits: int,
    rows: np.ndarray,
    letters: np.ndarray,
    used: np.ndarray,
    ids: np.ndarray,
    used_ids: np.ndarray,
    byte_ids: np.ndarray,
    pairs: np.ndarray,
    ranks: np.ndarray,
    merged: np.ndarray,
    lengths: np.ndarray,
    text: int,
    at: int,
    out: np.ndarray,
    written: int,
    starts: np.ndarray,
    scratch: np.ndarray,
    ends: np.ndarray,
    keys: np.ndarray,
) -> tuple[int, int, int, int, int]:
    """Encode from where an earlier call stopped, until all is done or the caller must act: a `Progress`."""
    while text < len(offsets) - 1:
        if at < 0:
            starts[text] = written
            out[written] = lead
            written, at = written + 1, offsets[text]
        stop = offsets[text + 1]
        while at < stop:
            ahead = look_ahead(data, at, stop, classes, digits, rows, ends, keys)
            if ahead < 0:
                return text, at, written, _UNKNOWN, -1 - ahead
            for word in range(ahead):
                end = ends[word]
                length = end - at
                if length > _KEPT:
                    after = _merge_word(data, at, end, byte_ids, pairs, ranks, merged, lengths, scratch, out, written)
                    if after < 0:
                        return text, at, written, _NARROW, 0
                    written, at = after, end
                    continue
                key = (keys[word, 0], keys[word, 1], keys[word, 2])
                row = row_of(rows, letters, data, at, length, key)
                if rows[row + 2] == 0:
                    if 8 * used[0] >= len(rows) or used[1] + length > len(letters) or used_ids[0] + length > len(ids):
                        return text, at, written, _TABLE_FULL, 0
                    add_word(rows, letters, used, row, data, at, length, key)
                    after = _merge_word(data, at, end, byte_ids, pairs, ranks, merged, lengths, scratch, out, written)
                    _keep(rows, row, ids, used_ids, out, written, after)
                    written = after
                else:
                    written = _recall(rows, row, ids, out, written)
                at = end
        text, at = text + 1, -1
    return text, at, written, _DONE, 0


@compiled(allocates=False)
def _keep(
    rows: np.ndarray, row: int, ids: np.ndarray, used_ids: np.ndarray, out: np.ndarray, start: int, stop: int
) -> None:
    """Note a word's ids in its row: themselves if they fit into eight bytes, else the place where they lie."""
    count = stop - start
    rows[row + 2] |= np.uint64(count) << np.uint64(32)
    if count * out.itemsize > 8:
        rows[row + 3] = np.uint64(used_ids[0])
        for place in range(count):
            ids[used_ids[0] + place] = out[start + place]
        used_ids[0] += count
    else:
        rows[row + 3] = 0
        for place in range(count):
            rows[row + 3] |= np.uint64(out[start + place]) << np.uint64(8 * out.itemsize * place)


@compiled(allocates=False, forceinline=True)
def _recall(rows: np.ndarray, row: int, ids: np.ndarray, out: np.ndarray, written: int) -> np.int64:
    """Write the ids of a word met before; returns where they end. At least eight bytes are written."""
    count, value = np.int64(rows[row + 2] >> np.uint64(32)), rows[row + 3]
    if count * out.itemsize > 8:
        for place in range(count):
            out[written + place] = ids[np.int64(value) + place]
    else:
        store(out, written, value)
    return np.int64(written + count)
