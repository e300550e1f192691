"""fastText's compressed classifiers, read from their files and evaluated over batches.

The same sums in the same order and precision as in fastText's own code, so that probabilities are equal to the last
bit; what is saved is a Python call for each text, strings for each n-gram, and a search tree for each n-gram's row.
Models: supervised, hierarchical softmax, product-quantised with norms (Joulin et al. 2016, arXiv:1612.03651).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headwater.assets.curation.signals.compiled import SPACE, decode
from headwater.assets.kernels import compiled

_MAGIC, _VERSION = 793712314, 12
_HIERARCHICAL_SOFTMAX, _SUPERVISED = 1, 3
_CENTROIDS = 256
_LABEL = b"__label__"
_PREFIX = np.frombuffer(_LABEL, np.uint8)


class ModelError(ValueError):
    """A file is no fastText model of the kind that is evaluated here."""


@dataclass(frozen=True)
class FastTextModel:
    """What prediction needs.

    rows: float32[inputs, width], words then n-grams; outputs: float32[labels, width]; buckets: int32[number of
    buckets], the input of an n-gram's hash or -1; known: uint8, a bit for each bucket that has one; children:
    int32[2 labels - 1, 2], the tree whose leaves are the labels, -1 for none; spelled: uint8, all words one after the
    other; spelling: int64[words + 1]; slots: int32[power of two], words by hash, -1 where empty; lengths: (shortest,
    longest) n-gram in code points.
    """

    labels: tuple[str, ...]
    rows: np.ndarray
    outputs: np.ndarray
    buckets: np.ndarray
    known: np.ndarray
    children: np.ndarray
    spelled: np.ndarray
    spelling: np.ndarray
    slots: np.ndarray
    lengths: tuple[int, int]

    def predict(self, data: np.ndarray, spans: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The likeliest label of each text.

        Args:
            data: uint8, valid UTF-8.
            spans: int64[texts, 2], start and stop of each text in `data`; line feeds count as spaces.
            classes: of `character_classes`: what is SPACE divides words.

        Returns:
            Indices of labels, int64[texts], -1 where a text has no word and no n-gram that the model knows; their
            probabilities, float32[texts], at most 1.
        """
        return _predict(data, spans, classes, self.rows, self.outputs, self.buckets, self.known, self.children,
                        self.spelled, self.spelling, self.slots, *self.lengths)  # fmt: skip


class _Reader:
    """Values one after the other."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, form: str) -> tuple[Any, ...]:
        """Values by a format of `struct`, little-endian."""
        values = struct.unpack_from(f"<{form}", self.content, self.at)
        self.at += struct.calcsize(f"<{form}")
        return values

    def array(self, kind: Any, count: int) -> np.ndarray:
        """So many values of a NumPy type."""
        values = np.frombuffer(self.content, np.dtype(kind).newbyteorder("<"), count, self.at)
        self.at += values.nbytes
        return values.astype(kind)

    def name(self) -> bytes:
        """Bytes up to a zero."""
        stop = self.content.index(b"\0", self.at)
        start, self.at = self.at, stop + 1
        return self.content[start:stop]


def read_model(path: Path) -> FastTextModel:
    """Read a compressed model.

    Raises:
        ModelError: the file cannot be read, or the model is of another kind.
    """
    try:
        return _read(_Reader(path.read_bytes()))
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise ModelError(f"{path} is no compressed fastText classifier: {error}") from error


def _read(reader: _Reader) -> FastTextModel:
    magic, version, width, *_, words_in_a_row, loss, kind, buckets, shortest, longest, _ = reader.take("2i12i")
    if (magic, version, words_in_a_row, loss, kind) != (_MAGIC, _VERSION, 1, _HIERARCHICAL_SOFTMAX, _SUPERVISED):
        raise ModelError(f"another kind of model ({magic}, {version}, {words_in_a_row}, {loss}, {kind})")
    _, entries, words, _, _, pruned = reader.take("d3i2q")
    names, counts = [], []
    for _ in range(entries):
        names.append(reader.name())
        counts.append(reader.take("qb")[0])
    kept = reader.array(np.int32, 2 * pruned).reshape(-1, 2)
    by_bucket = np.full(buckets, -1, np.int32)
    by_bucket[kept[:, 0]] = kept[:, 1] + words
    known = np.packbits(by_bucket >= 0, bitorder="little")
    rows = _quantised(reader)
    if reader.take("?")[0]:
        raise ModelError("its output is quantised too")
    count, _ = reader.take("2q")
    outputs = reader.array(np.float32, count * width).reshape(count, width)
    if names[0] != b"</s>":
        raise ModelError("its first word is not the end of a line")
    spelled, spelling, slots = _vocabulary(names[:words])
    return FastTextModel(
        tuple(name.removeprefix(_LABEL).decode() for name in names[words:]),
        rows, outputs, by_bucket, known, _tree(counts[words:]), spelled, spelling, slots, (shortest, longest),
    )  # fmt: skip


def _quantised(reader: _Reader) -> np.ndarray:
    """Rows of the input, from codes for parts of rows, centroids of the parts, and coded norms."""
    is_quantised, has_norms, count, _, size = reader.take("??2qi")
    if not (is_quantised and has_norms):
        raise ModelError("its input is not quantised with norms")
    codes = reader.array(np.uint8, size).reshape(count, -1)
    rows = _decoded(codes, reader)
    return rows * _decoded(reader.array(np.uint8, count).reshape(count, 1), reader)


def _decoded(codes: np.ndarray, reader: _Reader) -> np.ndarray:
    width, parts, part_width, last_width = reader.take("4i")
    if last_width != part_width or parts * part_width != width or codes.shape[1] != parts:
        raise ModelError("parts of unequal width")
    centroids = reader.array(np.float32, width * _CENTROIDS).reshape(parts, _CENTROIDS, part_width)
    return np.concatenate([centroids[part][codes[:, part]] for part in range(parts)], axis=1)


def _vocabulary(words: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    spelling = np.concatenate([[0], np.cumsum([len(word) for word in words])]).astype(np.int64)
    slots = np.full(1 << (2 * len(words)).bit_length(), -1, np.int32)
    for index, word in enumerate(words):
        slot = _hash_of(word) & (len(slots) - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = index
    return np.frombuffer(b"".join(words), np.uint8), spelling, slots


def _hash_of(word: bytes) -> int:
    value = _SEED
    for byte in word:
        value = ((value ^ (byte if byte < 128 else byte | 0xFFFFFF00)) * _PRIME) & 0xFFFFFFFF
    return value


def _tree(counts: Sequence[int]) -> np.ndarray:
    """Huffman's tree over the labels as fastText builds it: from counts in descending order, ties to inner nodes."""
    labels = len(counts)
    weights = [*counts, *[10**15] * (labels - 1)]
    children = np.full((2 * labels - 1, 2), -1, np.int32)
    leaf, node = labels - 1, labels
    for parent in range(labels, 2 * labels - 1):
        for side in (0, 1):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children[parent, side], leaf = leaf, leaf - 1
            else:
                children[parent, side], node = node, node + 1
        weights[parent] = weights[children[parent, 0]] + weights[children[parent, 1]]
    return children


_SEED, _PRIME = 2166136261, 16777619  # FNV-1a; fastText extends the sign of each byte


@compiled()
def _hashed(value: np.uint32, byte: np.uint8) -> np.uint32:
    extended = np.uint64(byte) if byte < 128 else np.uint64(byte) | np.uint64(0xFFFFFF00)
    return np.uint32((np.uint64(value) ^ extended) * np.uint64(_PRIME))


@compiled()
def _find(data: np.ndarray, start: int, stop: int, spelled: np.ndarray, spelling: np.ndarray,
          slots: np.ndarray) -> int:  # fmt: skip
    """The index of a word, or -1."""
    value = np.uint32(_SEED)
    for at in range(start, stop):
        value = _hashed(value, data[at])
    slot = np.int64(value) & (len(slots) - 1)
    while slots[slot] >= 0:
        first, last = spelling[slots[slot]], spelling[slots[slot] + 1]
        same, at = last - first == stop - start, 0
        while same and at < stop - start:
            same = data[start + at] == spelled[first + at]
            at += 1
        if same:
            return slots[slot]
        slot = (slot + 1) & (len(slots) - 1)
    return -1


@compiled()
def _add(hidden: np.ndarray, row: int, rows: np.ndarray) -> None:
    for at in range(len(hidden)):
        hidden[at] += rows[row, at]


@compiled()
def _add_grams(word: np.ndarray, length: int, buckets: np.ndarray, known: np.ndarray, shortest: int, longest: int,
               rows: np.ndarray, hidden: np.ndarray) -> int:  # fmt: skip
    """Add the rows of all n-grams of a word that stands between < and >; how many there are."""
    added = 0
    for start in range(length):
        if word[start] & 0xC0 == 0x80:
            continue
        value, at = np.uint32(_SEED), start
        for n in range(1, longest + 1):
            if at >= length:
                break
            value = _hashed(value, word[at])
            at += 1
            while at < length and word[at] & 0xC0 == 0x80:
                value = _hashed(value, word[at])
                at += 1
            if n >= shortest and not (n == 1 and (start == 0 or at == length)):
                bucket = np.int64(value) % len(buckets)
                if known[bucket >> 3] >> (bucket & 7) & 1:
                    _add(hidden, buckets[bucket], rows)
                    added += 1
    return added


@compiled()
def _logarithm(value: np.float32) -> np.float32:
    return np.float32(np.log(np.float64(value) + 1e-5))


@compiled()
def _likeliest(hidden: np.ndarray, outputs: np.ndarray, children: np.ndarray, nodes: np.ndarray,
               scores: np.ndarray) -> tuple[int, np.float32]:  # fmt: skip
    """The best leaf of the tree and its logarithmic probability, left branches first."""
    best, best_score, left = -1, np.float32(0), 1
    nodes[0], scores[0] = len(children) - 1, np.float32(0)
    while left:
        left -= 1
        node, score = nodes[left], scores[left]
        if score < _logarithm(np.float32(0)) or (best >= 0 and score < best_score):
            continue
        if children[node, 0] < 0:
            if best < 0 or score > best_score:
                best, best_score = node, score
            continue
        product = np.float32(0)
        for at in range(len(hidden)):
            product += outputs[node - (len(children) + 1) // 2, at] * hidden[at]
        share = np.float32(1.0 / np.float64(np.float32(1) + np.exp(-product)))
        nodes[left], scores[left] = children[node, 1], score + _logarithm(share)
        nodes[left + 1], scores[left + 1] = children[node, 0], score + _logarithm(np.float32(1.0 - np.float64(share)))
        left += 2
    return best, best_score


@compiled()
def _begins_as_label(data: np.ndarray, start: int, stop: int) -> bool:
    same, at = stop - start >= len(_PREFIX), 0
    while same and at < len(_PREFIX):
        same = data[start + at] == _PREFIX[at]
        at += 1
    return same


@compiled()
def _sum_text(data: np.ndarray, at: int, stop: int, classes: np.ndarray, rows: np.ndarray, buckets: np.ndarray,
              known: np.ndarray, spelled: np.ndarray, spelling: np.ndarray, slots: np.ndarray, shortest: int,
              longest: int, word: np.ndarray, hidden: np.ndarray) -> int:  # fmt: skip
    """Add the rows of all words and n-grams of a text; how many there are.

    The word of index 0 says that a line ends; what looks like a label is no word.
    """
    added = 0
    while at < stop:
        code, width = decode(data, at)
        if classes[code] & SPACE or code == 0:
            at += width
            continue
        start = at
        while at < stop and not (classes[code] & SPACE or code == 0):
            at += width
            if at < stop:
                code, width = decode(data, at)
        index, length = _find(data, start, at, spelled, spelling, slots), at - start
        if index == 0:
            break
        if index < 0 and _begins_as_label(data, start, at):
            continue
        if index >= 0:
            _add(hidden, index, rows)
            added += 1
        word[0], word[length + 1] = 60, 62
        word[1 : length + 1] = data[start:at]
        added += _add_grams(word, length + 2, buckets, known, shortest, longest, rows, hidden)
    return added


@compiled()
def _predict(data: np.ndarray, spans: np.ndarray, classes: np.ndarray, rows: np.ndarray,
             outputs: np.ndarray, buckets: np.ndarray, known: np.ndarray, children: np.ndarray, spelled: np.ndarray,
             spelling: np.ndarray, slots: np.ndarray, shortest: int,
             longest: int) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    labels, confidences = np.full(len(spans), -1), np.zeros(len(spans), np.float32)
    hidden = np.empty(outputs.shape[1], np.float32)
    nodes, scores = np.empty(len(children), np.int64), np.empty(len(children), np.float32)
    longest_text = 0
    for text in range(len(spans)):
        longest_text = max(longest_text, spans[text, 1] - spans[text, 0])
    word = np.empty(longest_text + 2, np.uint8)
    for text in range(len(spans)):
        hidden[:] = 0
        added = _sum_text(data, spans[text, 0], spans[text, 1], classes, rows, buckets, known, spelled, spelling, slots,
                          shortest, longest, word, hidden)  # fmt: skip
        _add(hidden, 0, rows)  # the end of the line is a word of its own, the first
        added += 1
        for at in range(len(hidden)):
            hidden[at] *= np.float32(1.0 / added)
        label, score = _likeliest(hidden, outputs, children, nodes, scores)
        labels[text], confidences[text] = label, np.exp(score)
    return labels, confidences
