"""Passages of documents, and which of them stand in earlier kept ones: lines, paragraphs, or long runs of words.

A row step gives every document its passages: a hash of the folded words of each, and where it lies. For runs of words
not every place can be kept: of each window of neighbouring runs the one with the least hash stays (winnowing:
Schleimer, Wilkerson and Aiken 2003, Winnowing: local algorithms for document fingerprinting). Whatever has `min_words`
words in common with another document has a run in common that both keep.

Decisions are made in the documents' order, together with those on near-duplicates (`decide`): a document stays if it
has no edge to an earlier kept one and not more than the declared share of its bytes is covered by passages of earlier
kept ones. Only who is kept passes passages on, so that what every dropped document repeats is still there.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.normalise import (
    Bytes,
    Hashes,
    Points,
    Rows,
    character_tables,
    mix,
    next_word,
    text_buffers,
)
from headwater.assets.deduplication.passages_options import PassageOptions
from headwater.assets.kernels import compiled

_BASE = np.uint64(0x9E3779B97F4A7C15)
RULE = "repeated_passages"

PASSAGES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),  # of the document's text
        pa.field("hashes", pa.list_(pa.uint64()), nullable=False),  # of its passages, in order
        pa.field("starts", pa.list_(pa.int32()), nullable=False),  # bytes of the text before each
        pa.field("ends", pa.list_(pa.int32()), nullable=False),  # and up to its end
    ]
)
REPEATED = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("other_id", pa.string(), nullable=False),  # the earliest kept document that has the passage
        pa.field("start", pa.int64(), nullable=False),  # bytes of doc_id's text
        pa.field("end", pa.int64(), nullable=False),
    ]
)


class Passages(NamedTuple):
    """Passages of documents, in the order of their ledger: those of document i lie from offsets[i] to offsets[i + 1].

    `codes` number the passages that occur in more than one document; all others have -1.
    """

    offsets: Rows
    codes: Rows
    starts: Rows
    ends: Rows
    sizes: Rows  # of the documents' texts, in bytes
    options: PassageOptions


@compiled()
def _unit_end(data: Bytes, at: int, end: int, paragraphs: bool) -> int:
    """Where the line, or the paragraph, that begins at `at` ends."""
    while at < end:
        if data[at] == 10:
            if not paragraphs:
                return at
            place = at + 1
            while place < end and (data[place] == 32 or data[place] == 9 or data[place] == 13):
                place += 1
            if place >= end or data[place] == 10:
                return at
        at += 1
    return end


@compiled()
def _units(
    data: Bytes,
    start: int,
    end: int,
    least: int,
    paragraphs: bool,
    classes: Bytes,
    folds: Points,
    hashes: Hashes,
    places: Rows,
) -> int:
    """Passages of one text by lines or paragraphs of at least `least` words; places has the start and end of each."""
    count, at = 0, start
    while at < end:
        stop = _unit_end(data, at, end, paragraphs)
        state, words = np.uint64(0), 0
        found, word, place = next_word(data, at, stop, classes, folds)
        while found:
            state = mix(state * _BASE + word)
            words += 1
            found, word, place = next_word(data, place, stop, classes, folds)
        if words >= least:
            hashes[count] = mix(state)
            places[count, 0], places[count, 1] = at - start, stop - start
            count += 1
        at = stop + 1
    return count


@compiled()
def _runs(
    data: Bytes, start: int, end: int, words: int, classes: Bytes, folds: Points, hashes: Hashes, places: Rows
) -> int:
    """Hashes of all runs of `words` words of one text, in order, with the start and end of each."""
    ring = np.zeros(words, dtype=np.uint64)
    begins = np.zeros(words, dtype=np.int64)
    leaving = np.uint64(1)
    for _ in range(words):
        leaving = leaving * _BASE
    state, seen, before = np.uint64(0), 0, start
    found, word, at = next_word(data, start, end, classes, folds)
    while found:
        slot = seen % words
        state = state * _BASE + word - ring[slot] * leaving
        ring[slot], begins[slot] = word, before
        seen += 1
        if seen >= words:
            hashes[seen - words] = mix(state)
            places[seen - words, 0], places[seen - words, 1] = begins[seen % words] - start, at - start
        before = at
        found, word, at = next_word(data, at, end, classes, folds)
    return max(seen - words + 1, 0)


@compiled()
def _winnow(hashes: Hashes, places: Rows, count: int, window: int) -> int:
    """Keep, at the front, the runs with the least hash of some window, the last of equal ones; give their number."""
    kept, least = 0, -1
    window = min(window, count)
    for last in range(max(window - 1, 0), count):
        first = last - window + 1
        if least < first:
            least = first
            for at in range(first, last + 1):
                if hashes[at] <= hashes[least]:
                    least = at
        elif hashes[last] <= hashes[least]:
            least = last
        else:
            continue
        # Kept ones move to places before `first`, which no later window looks at.
        hashes[kept], places[kept, 0], places[kept, 1] = hashes[least], places[least, 0], places[least, 1]
        kept += 1
    return kept


def lengths(min_words: int) -> tuple[int, int]:
    """(words of a run, runs of a window) so that common runs of `min_words` words are found, and kept ones touch."""
    words = max(2 * min_words // 3, min_words // 2 + 1)
    return words, min_words - words + 1


def compute_passages(documents: pa.Table, options: PassageOptions) -> pa.Table:
    """PASSAGES of documents (doc_id, text), a row for each."""
    data, offsets = text_buffers(documents["text"])
    sizes = np.diff(offsets)
    most = int(sizes.max(initial=0)) // 2 + 1  # a word takes two bytes, or the three of an ideograph
    hashes, places = np.empty(most, dtype=np.uint64), np.empty((most, 2), dtype=np.int64)
    words, window = lengths(options.min_words)
    found: list[tuple[Hashes, Rows]] = [(np.empty(0, dtype=np.uint64), np.empty((0, 2), dtype=np.int64))]
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        if options.unit == "words":
            count = _runs(data, start, end, words, *character_tables(), hashes, places)
            count = _winnow(hashes, places, count, window)
        else:
            paragraphs = options.unit == "paragraph"
            count = _units(data, start, end, options.min_words, paragraphs, *character_tables(), hashes, places)
        found.append((hashes[:count].copy(), places[:count].copy()))
    ends = pa.array(np.cumsum([len(part) for part, _ in found]), pa.int32())
    together = np.concatenate([part for part, _ in found]), np.concatenate([part for _, part in found])
    lists = [together[0], *together[1].astype(np.int32).T]
    columns = [pa.ListArray.from_arrays(ends, pa.array(np.ascontiguousarray(values))) for values in lists]
    doc_ids = documents["doc_id"].combine_chunks().cast(pa.string())
    return pa.Table.from_arrays([doc_ids, pa.array(sizes), *columns], schema=PASSAGES)


def passages_of(table: pa.Table, options: PassageOptions) -> Passages:
    """Passages (PASSAGES) of documents as decisions need them, in the order of the rows."""
    table = table.combine_chunks()
    lists = {name: table[name].combine_chunks() for name in ("hashes", "starts", "ends")}
    counts = lists["hashes"].value_lengths().to_numpy()
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    hashes, starts, ends = (values.flatten().to_numpy() for values in lists.values())
    codes = _shared_codes(hashes, np.repeat(np.arange(len(counts)), counts))
    sizes = table["bytes"].to_numpy()
    return Passages(offsets, codes, starts.astype(np.int64), ends.astype(np.int64), sizes, options)


def _shared_codes(hashes: Hashes, documents: Rows) -> Rows:
    """A number for each hash that more than one document has, -1 for the others."""
    codes = np.full(len(hashes), -1, dtype=np.int64)
    if len(hashes) == 0:
        return codes
    order = np.argsort(hashes, kind="stable")
    first = np.concatenate([[True], hashes[order[1:]] != hashes[order[:-1]]])
    group = np.cumsum(first) - 1
    owner = documents[order]
    starts = np.flatnonzero(first)
    shared = np.minimum.reduceat(owner, starts) != np.maximum.reduceat(owner, starts)
    numbers = np.where(shared, np.cumsum(shared) - 1, -1)
    codes[order] = numbers[group]
    return codes


@compiled()
def covered_by(
    document: int, offsets: Rows, codes: Rows, starts: Rows, ends: Rows, counts: Rows, owners: Rows, least: int
) -> tuple[int, int]:
    """(bytes of the document in passages that at least `least` kept documents have, the owner of the longest or -1)."""
    covered, reached, longest, source = 0, 0, 0, -1
    for at in range(offsets[document], offsets[document + 1]):
        code = codes[at]
        if code < 0 or counts[code] < least:
            continue
        covered += max(ends[at] - max(starts[at], reached), 0)
        reached = max(reached, ends[at])
        if ends[at] - starts[at] > longest:
            longest, source = ends[at] - starts[at], owners[code]
    return covered, source


@compiled()
def note_passages(document: int, offsets: Rows, codes: Rows, counts: Rows, owners: Rows, last: Rows) -> None:
    """Count a kept document's passages, once each."""
    for at in range(offsets[document], offsets[document + 1]):
        code = codes[at]
        if code >= 0 and last[code] != document:
            last[code] = document
            counts[code] += 1
            if owners[code] < 0:
                owners[code] = document


@compiled()
def greedy(
    search: tuple[Rows, Rows, Rows, Rows, npt.NDArray[np.bool_]],
    rows: Rows,
    texts: tuple[Rows, Rows, Rows, Rows, Rows],
    shares: npt.NDArray[np.float64],
    sources: Rows,
    least: int,
    max_share: float,
) -> None:
    """Keep each group, in order of first members, unless a kept neighbour has an earlier one, or too much of its text
    stands in earlier kept groups.

    `search` is (order, starts of the groups' edges, their targets, first members, kept: filled in); `texts` has the
    arrays of `Passages`, `rows` the document there that each group is judged by; shares and sources are of groups.
    """
    order, edge_starts, targets, first, kept = search
    offsets, codes, starts, ends, sizes = texts
    most = 0
    for at in range(len(codes)):
        most = max(most, codes[at] + 1)
    counts, owners = np.zeros(most, dtype=np.int64), np.full(most, -1, dtype=np.int64)
    last = np.full(most, -1, dtype=np.int64)
    for group in order:
        keep = True
        for edge in range(edge_starts[group], edge_starts[group + 1]):
            if kept[targets[edge]] and first[targets[edge]] < first[group]:
                keep = False
                break
        row = rows[group]
        if keep:
            covered, source = covered_by(row, offsets, codes, starts, ends, counts, owners, least)
            shares[group], sources[group] = covered / max(sizes[row], 1), source
            keep = shares[group] <= max_share
        if keep:
            note_passages(row, offsets, codes, counts, owners, last)
        kept[group] = keep


def repeated(ledger: pa.Table, decisions: pa.Table, passages: Passages, places: Rows, split: Rows) -> pa.Table:
    """REPEATED: where documents dropped for their passages repeat earlier kept ones; touching passages are joined.

    All are given in the ledger's order: `decisions` (DECISIONS), the place of each document in the order of precedence,
    and a number for its split.
    """
    owner = np.repeat(np.arange(len(ledger)), np.diff(passages.offsets))
    shared = passages.codes >= 0
    keys = passages.codes * (int(split.max(initial=0)) + 1) + split[owner]
    kept = shared & decisions["kept"].to_numpy()[owner]
    wanted = shared & pc.equal(decisions["rule"], RULE).fill_null(False).to_numpy()[owner]
    first, nth = _kept_places(keys[kept], places[owner[kept]], passages.options.min_count)
    at = np.flatnonzero(wanted)
    at = at[
        [nth.get(key, len(places)) < place for key, place in zip(keys[at].tolist(), places[owner[at]], strict=True)]
    ]
    documents = np.argsort(places, kind="stable")
    others = documents[np.array([first[key] for key in keys[at].tolist()], dtype=np.int64)]
    rows = _joined(owner[at], others, passages.starts[at], passages.ends[at])
    ids = ledger["doc_id"].combine_chunks().cast(pa.string())
    columns = [ids.take(pa.array(rows[0])), ids.take(pa.array(rows[1])), pa.array(rows[2]), pa.array(rows[3])]
    return pa.Table.from_arrays(columns, schema=REPEATED)


def _kept_places(keys: Rows, places: Rows, count: int) -> tuple[dict[int, int], dict[int, int]]:
    """For each key: the least place, and the `count`-th distinct one where there are as many."""
    pairs = np.unique(np.stack([keys, places], axis=1), axis=0)
    starts = np.flatnonzero(np.concatenate([[True], pairs[1:, 0] != pairs[:-1, 0]])) if len(pairs) else pairs[:0, 0]
    ends = np.append(starts[1:], len(pairs))
    enough = starts + count <= ends
    nth = starts[enough] + count - 1
    return dict(pairs[starts].tolist()), dict(zip(pairs[nth, 0].tolist(), pairs[nth, 1].tolist(), strict=True))


def _joined(owner: Rows, other: Rows, start: Rows, end: Rows) -> tuple[Rows, Rows, Rows, Rows]:
    """Neighbouring passages of one document from the same other one, as one where they touch or overlap."""
    begins = np.ones(len(owner), dtype=np.bool_)
    begins[1:] = (owner[1:] != owner[:-1]) | (other[1:] != other[:-1]) | (start[1:] > end[:-1] + 1)
    at = np.flatnonzero(begins)
    last = np.append(at[1:], len(owner))[: len(at)] - 1
    return owner[at], other[at], start[at], end[last]
