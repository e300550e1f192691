"""Near-duplicates by vectors: the measure against a plain one, candidates as the angle says, the same ledger."""

import math
import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import ledger_of, random_text, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.driver import deduplicate, deduplicate_again
from headwater.assets.deduplication.edits import part_replaced, reordered, reworded
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.semantic import CosineVerifier, embedding_keys
from headwater.assets.deduplication.semantic_options import AngleOptions, HyperplaneOptions

OPTIONS = DeduplicationOptions(near={"kind": "embedding"}, verifier={"kind": "cosine"})


def _cosine(one: str, two: str) -> float:
    vectors = [
        {word: math.log1p(count) for word, count in Counter(re.findall(r"\w+", text.casefold())).items()}
        for text in (one, two)
    ]
    product = sum(value * vectors[1].get(word, 0.0) for word, value in vectors[0].items())
    norms = [math.sqrt(sum(value**2 for value in vector.values())) for vector in vectors]
    return product / max(math.prod(norms), 1e-12)


_TEXT = st.lists(st.sampled_from(["a", "B", "c1", "dd", "E", "é", "ff", "g_g"]), max_size=30).map(" ".join)


@given(st.lists(_TEXT, min_size=2, max_size=6))
@settings(max_examples=50, deadline=None)
def test_the_measure_is_the_cosine_of_logarithms_of_counts(texts):
    left, right = (np.array(side) for side in zip(*((i, j) for i in range(len(texts)) for j in range(i)), strict=True))
    found = CosineVerifier(AngleOptions()).measure(pa.array(texts, pa.large_string()), left, right)
    wanted = [_cosine(texts[i], texts[j]) for i, j in zip(left, right, strict=True)]
    assert found.similarity == pytest.approx(wanted, abs=1e-9)


def test_texts_share_a_band_as_often_as_their_angle_says():
    rng = np.random.default_rng(0)
    words = random_text(rng, 400)
    texts = [" ".join(words), reworded(" ".join(words), 0.2, random_text(rng, 500), rng)]
    options = HyperplaneOptions(bands=2000, rows=8)
    keys, counts = embedding_keys(pa.array(texts, pa.large_string()), options)
    angle = math.acos(_cosine(*texts))
    wanted = (1 - angle / math.pi) ** 8
    assert np.mean(keys[0] == keys[1]) == pytest.approx(wanted, abs=4 * math.sqrt(wanted / 2000))
    assert counts[0] == 400


def test_short_texts_are_not_compared():
    keys, counts = embedding_keys(pa.array(["a few words only", ""], pa.large_string()), HyperplaneOptions())
    assert counts.tolist() == [0, 0]
    assert keys.shape == (2, 32)


def _planted(edit, count=40):
    rng = np.random.default_rng(1)
    texts = [" ".join(random_text(rng, 300)) for _ in range(count)]
    lines = ["\n".join(" ".join(text.split()[at : at + 10]) for at in range(0, 300, 10)) for text in texts]
    copies = [edit(text, lines[at - 1], rng) for at, text in enumerate(lines)]
    done = deduplicate(table_of(lines + copies), ledger_of(2 * count), OPTIONS, {"web": 0})
    return done.decisions["kept"].to_pylist().count(False) / count


def test_copies_are_found_and_others_are_not():
    assert _planted(lambda text, _, rng: reworded(text, 0.05, ["x"], rng)) > 0.95
    assert _planted(lambda text, _, rng: reordered(text, rng)) == 1.0
    assert _planted(lambda text, other, rng: part_replaced(text, other, rng)) == 0.0


def test_a_refresh_equals_a_full_run():
    rng = np.random.default_rng(2)
    base = [" ".join(random_text(rng, 60)) for _ in range(12)]
    texts = base + [reworded(text, 0.08, ["x"], rng) for text in base] + base[:3]
    documents, ledger = table_of(texts), ledger_of(len(texts))
    earlier = np.arange(20)
    before = deduplicate(documents.take(earlier), ledger.take(earlier), OPTIONS, {"web": 0})
    gone = np.array([0, 5, 14])
    stays = np.setdiff1d(np.arange(len(texts)), gone)
    again = deduplicate_again(
        before,
        ledger.take(earlier),
        gone,
        (documents.slice(20), ledger.slice(20)),
        lambda _: documents,
        OPTIONS,
        {"web": 0},
    )
    full = deduplicate(documents.take(stays), ledger.take(stays), OPTIONS, {"web": 0})
    assert again.decisions.to_pylist() == full.decisions.to_pylist()
    key = lambda row: (row["doc_id"], row["other_id"])  # noqa: E731
    assert sorted(again.edges.to_pylist(), key=key) == sorted(full.edges.to_pylist(), key=key)


def test_candidates_by_vectors_may_be_verified_otherwise():
    words = [f"w{n}" for n in range(80)]
    documents, ledger = table_of([" ".join(words), " ".join(reversed(words))]), ledger_of(2)
    by_cosine = deduplicate(documents, ledger, OPTIONS, {"web": 0})
    by_shingles = DeduplicationOptions(near={"kind": "embedding"}, verifier={"kind": "jaccard"})
    assert by_cosine.decisions["kept"].to_pylist().count(True) == 1
    assert deduplicate(documents, ledger, by_shingles, {"web": 0}).decisions["kept"].to_pylist() == [True, True]


def _strings(texts):
    return pa.array(texts, pa.large_string())


def test_what_is_measured_depends_on_the_pair_alone():
    """To the last bit: a refresh verifies a pair in other company, and in another order, than a full run."""
    rng = np.random.default_rng(0)
    texts = [" ".join(random_text(rng, int(size), 300)) for size in rng.integers(20, 120, 30)]
    left, right = np.triu_indices(30, 1)
    measure = CosineVerifier(AngleOptions()).measure
    together = measure(_strings(texts), left, right).similarity
    for pair, (one, two) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        alone, swapped = _strings([texts[one], texts[two]]), _strings([texts[two], texts[one]])
        first, second = np.array([0]), np.array([1])
        assert measure(alone, first, second).similarity[0] == together[pair]
        assert measure(swapped, second, first).similarity[0] == together[pair]
