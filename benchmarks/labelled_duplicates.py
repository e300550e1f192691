"""Labelled sets of duplicates and of what only looks like one, made by code from real texts.

Documents of 150 to 900 words are cut from real files at line ends; those that share more than a little with another
are left out, so that what is planted is all there is. Each document then takes part in one experiment: a copy with 1,
5, 10 or 20 % of its words dropped or replaced all over, with its blocks of lines in another order, or under another
licence header is a *duplicate*; one with 35 % of its body replaced by a block of another document ("hard 35"), a page
of the same template, a table of the same layout is *none*. A seed draws documents, edits and partners anew.

In scripts written without spaces, two ideographs or up to three letters of a syllabary are a word here.
"""

import argparse
import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from real_texts import KINDS, installed_files, read, texts_of

from headwater.assets.deduplication.edits import CJK, WORD, part_replaced, reordered, reworded
from headwater.assets.markdown import markdown_table

SHARES = {"1 %": 0.01, "5 %": 0.05, "10 %": 0.10, "20 %": 0.20}
DUPLICATES = (*SHARES, "reorder", "header")
NEGATIVES = ("hard 35", "template", "table")
FEWEST, MOST = 150, 900  # words of a document

_LETTERS = re.compile(r"[^\W\d_]{2}")
_COMPARED = re.compile(rf"[{CJK}]|[^\W{CJK}]+")
_GRAM = 5
_MOST_SHARED = 0.2  # of a document's 5-grams may stand in any one of the documents before it
_TEMPLATE_PAGES = 50  # that share a boilerplate
_HEADERS = 16

Random = np.random.Generator


class Labelled(NamedTuple):
    """Documents (doc_id, text), sorted by doc_id, and the planted pairs (doc_id, other_id, duplicate, edit).

    No document is in two pairs; documents of different pairs are no duplicates of each other.
    """

    documents: pa.Table
    pairs: pa.Table


def labelled(seed: int, kind_of_text: str, per_level: int = 2000) -> Labelled:
    """A labelled set of one kind of text: of each edit `per_level` pairs, fewer where the texts do not suffice.

    Tables are not of any language; they are in every set.
    """
    rng = np.random.default_rng([seed, int.from_bytes(blake2b(kind_of_text.encode(), digest_size=4).digest())])
    pool = _pool(kind_of_text, rng, (len(DUPLICATES) + 3) * per_level)
    size = min(per_level, len(pool) // (len(DUPLICATES) + 3))
    parts = [pool[at : at + size] for at in range(0, len(pool) - size + 1, size)]
    originals, (bodies, donors) = dict(zip((*DUPLICATES, "hard 35"), parts, strict=False)), parts[-2:]
    pairs: dict[str, list[tuple[str, str]]] = {}
    for edit, share in SHARES.items():
        vocabulary = [word for text in donors for word in WORD.findall(text)[::17]]
        pairs[edit] = [(text, reworded(text, share, vocabulary, rng)) for text in originals[edit]]
    pairs["reorder"] = [(text, reordered(text, rng)) for text in originals["reorder"]]
    pairs["header"] = [_two_headers(text, licence_headers(), rng) for text in originals["header"]]
    pairs["hard 35"] = [
        (text, part_replaced(text, donor, rng)) for text, donor in zip(originals["hard 35"], donors, strict=True)
    ]
    pairs["template"] = _template_pages(bodies, donors, rng)
    pairs["table"] = [_two_tables(rng, page // _TEMPLATE_PAGES + 1000 * seed) for page in range(size)]
    return _with_ids(pairs, f"{seed} {kind_of_text}")


def _with_ids(pairs: dict[str, list[tuple[str, str]]], name: str) -> Labelled:
    """Ids are hashes, so that copies stand before or behind their originals by chance."""
    rows: list[tuple[str, str]] = []
    labels: list[tuple[str, str, bool, str]] = []
    for edit, texts in pairs.items():
        for number, both in enumerate(texts):
            ids = [blake2b(f"{name} {edit} {number} {side}".encode(), digest_size=16).hexdigest() for side in (0, 1)]
            rows += zip(ids, both, strict=True)
            labels.append((ids[0], ids[1], edit in DUPLICATES, edit))
    doc_ids, texts_ = zip(*sorted(rows), strict=True)
    columns = zip(*labels, strict=True)
    names = ("doc_id", "other_id", "duplicate", "edit")
    return Labelled(
        pa.table({"doc_id": doc_ids, "text": pa.array(texts_, pa.large_string())}),
        pa.table({name: list(column) for name, column in zip(names, columns, strict=True)}),
    )


def _pool(kind: str, rng: Random, most: int) -> list[str]:
    """Documents of a kind in random order, none of which shares much with an earlier one."""
    cut = _documents(kind)
    chosen = [cut[place] for place in rng.permutation(len(cut))[: 2 * most]]
    return _unlike(chosen)[:most]


@lru_cache(maxsize=2)
def _documents(kind: str) -> list[str]:
    rng = np.random.default_rng(0)
    return [document for text in texts_of(kind) for document in _windows(_body(text, kind), rng)]


def _body(text: str, kind: str) -> str:
    """A source file without the comment at its head, which is a licence more often than not."""
    return re.sub(r"\A(?:\s*#.*\n)+", "", text) if kind == "code" else text


def _windows(text: str, rng: Random) -> list[str]:
    """Consecutive pieces of a text, cut at line ends, of 150 to 900 words by chance; tables are passed over."""
    found: list[str] = []
    lines: list[str] = []
    words, wanted = 0, int(rng.integers(FEWEST, MOST))
    for line in text.splitlines():
        words += sum(1 for _ in WORD.finditer(line))
        lines.append(line)
        if words >= wanted:
            piece = "\n".join(lines)
            if words <= MOST and len(_LETTERS.findall(piece)) + len(re.findall(rf"[{CJK}]", piece)) > words:
                found.append(piece)
            lines, words, wanted = [], 0, int(rng.integers(FEWEST, MOST))
    return found


def _unlike(texts: Sequence[str]) -> list[str]:
    """The texts that share at most a fifth of their distinct word 5-grams with any one before them.

    A 5-gram counts for the first text that has it, which is enough: what two texts have in common with a third, they
    have been compared with there.
    """
    hashes = [np.unique(_gram_hashes(text)) for text in texts]
    sizes = np.array([len(part) for part in hashes])
    owner, grams = np.repeat(np.arange(len(texts)), sizes), np.concatenate(hashes)
    order = np.argsort(grams, kind="stable")
    fresh = np.concatenate([[True], grams[order[1:]] != grams[order[:-1]]])
    first = owner[order][np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
    both, counts = np.unique(owner[order][~fresh] * len(texts) + first[~fresh], return_counts=True)
    most = np.zeros(len(texts), dtype=np.int64)
    np.maximum.at(most, both // len(texts), counts)
    return [text for text, shared, size in zip(texts, most, sizes, strict=True) if shared <= _MOST_SHARED * size]


def _gram_hashes(text: str) -> npt.NDArray[np.uint64]:
    words = np.array([crc32(word.encode()) for word in _COMPARED.findall(text.lower())], dtype=np.uint64)
    count = max(len(words) - _GRAM + 1, 1)
    grams = np.zeros(count, dtype=np.uint64)
    for at in range(_GRAM):
        part = words[at : at + count]
        grams[: len(part)] = grams[: len(part)] * np.uint64(0x9E3779B97F4A7C15) + part
    return grams


@lru_cache(maxsize=1)
def licence_headers() -> tuple[str, ...]:
    """Comments that open installed source files and state a licence, the commonest unlike ones, 60 to 260 words."""
    counted: dict[str, int] = {}
    for path in installed_files(".py"):
        head = re.match(r"(?:#.*\n)+", read(path)[:8000])
        if head and re.search(r"licen[sc]e|redistribut", head[0], re.IGNORECASE):
            text = re.sub(r"\A#!.*\n", "", head[0])
            if 60 <= len(WORD.findall(text)) <= 260:
                counted[text] = counted.get(text, 0) + 1
    commonest = sorted(counted, key=lambda text: (-counted[text], text))
    return tuple(_unlike(commonest)[:_HEADERS])


def _two_headers(body: str, headers: Sequence[str], rng: Random) -> tuple[str, str]:
    one, two = rng.permutation(len(headers))[:2]
    return f"{headers[one]}\n{body}", f"{headers[two]}\n{body}"


def _template_pages(bodies: Sequence[str], donors: Sequence[str], rng: Random) -> list[tuple[str, str]]:
    """Pairs of pages with the same 30 to 60 % of boilerplate above and below two unrelated bodies.

    Fifty pages share one template, as the pages of a site do.
    """
    pages = []
    for number, body in enumerate(bodies):
        template = number // _TEMPLATE_PAGES
        share = np.random.default_rng([template, 77]).uniform(0.3, 0.6)
        spans = [match.span() for match in WORD.finditer(body)][: MOST // 2]
        boilerplate = [match.span() for match in WORD.finditer(donors[template])]
        size = min(int(len(spans) * share / (1 - share)), len(boilerplate))
        keep = int(size * (1 - share) / share)  # a short boilerplate gets short bodies
        text, frame = body[: spans[min(keep, len(spans)) - 1][1]], donors[template]
        middle, end = boilerplate[size // 2][0], boilerplate[size - 1][1]
        pages.append(f"{frame[:middle]}\n{text}\n{frame[middle:end]}")
    return list(zip(pages[0::2], pages[1::2], strict=False))


def _two_tables(rng: Random, layout: int) -> tuple[str, str]:
    return _table(rng, layout), _table(rng, layout)


@lru_cache(maxsize=1)
def _real_columns() -> tuple[tuple[str, npt.NDArray[np.float64]], ...]:
    """Named columns of real share prices, from the sample data that matplotlib ships."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "sample_data" / "Stocks.csv"
    _, header, *rows = path.read_text().splitlines()
    cells = np.array([[cell or "nan" for cell in row.split(",")[1:]] for row in rows], dtype=np.float64)
    return tuple((name, column[~np.isnan(column)]) for name, column in zip(header.split(",")[1:], cells.T, strict=True))


def _table(rng: Random, layout: int) -> str:
    """A table of values drawn from real columns and scaled at random; `layout` fixes all but the numbers."""
    form = np.random.default_rng([layout, 5])
    columns = [_real_columns()[place] for place in form.permutation(len(_real_columns()))[: int(form.integers(3, 8))]]
    rows, digits, style = int(form.integers(25, 60)), int(form.integers(1, 4)), int(form.integers(3))
    names = ["month", *(name for name, _ in columns)]
    numbers = [rng.choice(values, rows) * rng.uniform(0.5, 1.5, rows) for _, values in columns]
    cells = [
        [f"{1990 + row // 12}-{row % 12 + 1:02}-01", *(f"{c[row]:.{digits}f}" for c in numbers)] for row in range(rows)
    ]
    if style == 2:
        return markdown_table(names, cells)
    if style == 1:
        return "\n".join(",".join(line) for line in [names, *cells])
    return "\n".join("".join(f"{cell:>14}" for cell in line) for line in [names, ["-" * 12] * len(names), *cells])


def jaccard(one: str, two: str) -> float:
    """Similarity of the sets of word 5-grams, where an ideograph or a kana is a word."""
    sets = [set(_gram_hashes(text).tolist()) for text in (one, two)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def similarities(found: Labelled) -> dict[str, tuple[int, float]]:
    """(pairs, mean Jaccard similarity of word 5-grams) of each edit."""
    text_of = dict(zip(*found.documents.to_pydict().values(), strict=True))
    measured: dict[str, list[float]] = {}
    for pair in found.pairs.to_pylist():
        measured.setdefault(pair["edit"], []).append(jaccard(text_of[pair["doc_id"]], text_of[pair["other_id"]]))
    return {edit: (len(values), float(np.mean(values))) for edit, values in measured.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tells how alike the pairs of each labelled set are.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--per-level", type=int, default=2000)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    given = parser.parse_args()
    lines = []
    for kind in given.kinds:
        cells = similarities(labelled(given.seed, kind, given.per_level))
        lines.append([kind, *(f"{cells[edit][1]:.2f} ({cells[edit][0]:,})" for edit in (*DUPLICATES, *NEGATIVES))])
    print(markdown_table(["true similarity (pairs)", *DUPLICATES, *NEGATIVES], lines))
