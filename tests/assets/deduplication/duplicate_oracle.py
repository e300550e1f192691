"""The rule of deduplication written down as it is said: all pairs, plain Python, nothing hashed but the signatures."""

import unicodedata
from itertools import combinations

import numpy as np
import pyarrow as pa

from headwater.assets.deduplication.bands import bands_and_rows
from headwater.assets.deduplication.minhash import minhash
from headwater.assets.deduplication.options import DeduplicationOptions


def words_of(text: str) -> list[str]:
    """Maximal runs of letters, digits, marks and underscores, case folded one to one (Latin, Greek and digits only)."""
    words, run = [], ""
    for character in text + " ":
        if character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M":
            folded = character.casefold()
            run += folded if len(folded) == 1 else character
        elif run:
            words.append(run)
            run = ""
    return words


def shingles_of(text: str, words: int) -> set[tuple[str, ...]]:
    found = words_of(text)
    return {tuple(found[at : at + words]) for at in range(len(found) - words + 1)}


def normal_form(text: str) -> str:
    return " ".join(text.split()).casefold()


def bands_of(documents: pa.Table, options: DeduplicationOptions) -> dict[str, list[bytes]]:
    """Bands as the bytes of their minima; none for a document without a shingle."""
    near = options.near
    bands, rows = bands_and_rows(near)
    minima, shingles = minhash(documents["text"], near.words, near.permutations, near.seed)
    result = {}
    for doc_id, signature, count in zip(documents["doc_id"].to_pylist(), minima, shingles, strict=True):
        cut = [signature[band * rows : (band + 1) * rows].tobytes() for band in range(bands)]
        result[doc_id] = cut if count else []
    return result


def verified_edges(documents: pa.Table, options: DeduplicationOptions) -> dict[frozenset, tuple[str, float]]:
    """(kind, similarity) of every pair that shares the normalised text, or a band and enough shingles."""
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    bands = bands_of(documents, options)
    shingles = {doc_id: shingles_of(text, options.near.words) for doc_id, text in texts.items()}
    edges = {}
    for one, two in combinations(texts, 2):
        if options.exact.enabled and normal_form(texts[one]) == normal_form(texts[two]):
            edges[frozenset((one, two))] = ("exact", 1.0)
        elif any(a == b for a, b in zip(bands[one], bands[two], strict=False)):
            jaccard = len(shingles[one] & shingles[two]) / len(shingles[one] | shingles[two])
            if jaccard >= options.verifier.threshold:
                edges[frozenset((one, two))] = ("near", jaccard)
    return edges


def precedence(row: dict, source_rank: dict[str, int]) -> tuple:
    return (row["date"] is None, row["date"] or "", source_rank[row["source"]], row["doc_id"])


def decide_by_rule(
    ledger: list[dict], edges: dict, source_rank: dict[str, int], tainted: set[str] = frozenset()
) -> dict:
    """doc_id → rule (None when kept)."""
    rules = {}
    held = {row["doc_id"] for row in ledger if row["split"] == "held_out"}
    for row in ledger:
        if row["doc_id"] in held:
            continue
        if any(frozenset((row["doc_id"], other)) in edges for other in held):
            rules[row["doc_id"]] = "near_held_out"
        elif row["doc_id"] in tainted:
            rules[row["doc_id"]] = "contaminated"
    for split in ("train", "held_out"):
        kept = []
        for row in sorted(ledger, key=lambda row: precedence(row, source_rank)):
            doc_id = row["doc_id"]
            if row["split"] != split or doc_id in rules:
                continue
            kinds = [edges[pair][0] for other in kept if (pair := frozenset((doc_id, other))) in edges]
            rules[doc_id] = None if not kinds else "exact_duplicate" if "exact" in kinds else "near_duplicate"
            if not kinds:
                kept.append(doc_id)
    return rules


def edges_by_rule(
    documents: pa.Table, ledger: list[dict], options: DeduplicationOptions, source_rank: dict[str, int]
) -> tuple[list[tuple], int]:
    """All edges (doc_id, other_id, kind, similarity), sorted, and the comparisons left out, bucket by bucket.

    Plain Python over lists: copies of the earliest document of the same text, and the pairs of such earliest ones that
    some bucket compares, its earliest `bucket_width` with everyone.
    """
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    bands, width = bands_of(documents, options), options.near.bucket_width
    roots: dict[str, str] = {}
    edges, compared, left_out = [], set(), 0
    buckets: dict[tuple, list[str]] = {}
    for row in sorted(ledger, key=lambda row: precedence(row, source_rank)):
        doc_id = row["doc_id"]
        root = roots.setdefault(normal_form(texts[doc_id]) if options.exact.enabled else doc_id, doc_id)
        if root != doc_id:
            edges.append((doc_id, root, "exact", 1.0))
            continue
        for band, minima in enumerate(bands[doc_id]):
            bucket = buckets.setdefault((band, minima), [])
            compared.update((doc_id, other) for other in bucket[:width])
            left_out += max(len(bucket) - width, 0)
            bucket.append(doc_id)
    for later, earlier in compared:
        one, two = (shingles_of(texts[doc_id], options.near.words) for doc_id in (later, earlier))
        similarity = len(one & two) / len(one | two)
        if similarity >= options.verifier.threshold:
            edges.append((later, earlier, "near", similarity))
    return sorted(edges), left_out


def all_pairs(edges: list[tuple], doc_ids: list[str]) -> dict[frozenset, tuple[str, float]]:
    """Edges between any two documents, for `decide_by_rule`: what holds of roots holds of their copies."""
    root = {doc_id: doc_id for doc_id in doc_ids} | {one: two for one, two, kind, _ in edges if kind == "exact"}
    near = {frozenset((one, two)): ("near", value) for one, two, kind, value in edges if kind == "near"}
    found = {}
    for one, two in combinations(doc_ids, 2):
        if root[one] == root[two]:
            found[frozenset((one, two))] = ("exact", 1.0)
        elif (pair := frozenset((root[one], root[two]))) in near:
            found[frozenset((one, two))] = near[pair]
    return found


def table_of(texts: list[str]) -> pa.Table:
    """Documents named by their number."""
    ids = [f"{number:04d}" for number in range(len(texts))]
    return pa.table({"doc_id": ids, "text": pa.array(texts, pa.large_string())})


def ledger_of(count: int, split: str = "train") -> pa.Table:
    """A ledger for `table_of`: one source, no dates."""
    ids = [f"{number:04d}" for number in range(count)]
    dates = pa.array([None] * count, pa.string())
    return pa.table({"doc_id": ids, "split": [split] * count, "source": ["web"] * count, "date": dates})


def random_text(rng: np.random.Generator, words: int, vocabulary: int = 5000) -> list[str]:
    return [f"w{number}" for number in rng.integers(0, vocabulary, words)]
