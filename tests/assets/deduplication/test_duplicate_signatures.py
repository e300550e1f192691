"""Words, exact keys, shingles, signatures, bands and candidates against slow references."""

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import ledger_of, normal_form, random_text, shingles_of, table_of, words_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headwater.assets.deduplication import bands
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_groups
from headwater.assets.deduplication.index import signature_schema
from headwater.assets.deduplication.minhash import minhash, permutations
from headwater.assets.deduplication.normalise import exact_keys, normalised
from headwater.assets.deduplication.options import DeduplicationOptions, ExactOptions, JaccardOptions, MinHashOptions
from headwater.assets.deduplication.order import document_order, instant
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.verify import pair_chunks, shingle_sets, verify_pairs

ALPHABET = "ab_9éÉßÄ \n\t.,-\u00a0Ωω\u0301\U0001d400\U0001f600"
TEXTS = st.lists(st.text(ALPHABET, max_size=40), max_size=8)


def _array(texts):
    return pa.array(texts, pa.large_string())


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(1, 3))
def test_shingle_sets_are_those_of_plain_python(texts, words):
    hashes, offsets = shingle_sets(_array(texts), words)
    names = {}
    for number, text in enumerate(texts):
        mine = hashes[offsets[number] : offsets[number + 1]].tolist()
        assert mine == sorted(set(mine))
        expected = shingles_of(text, words)
        assert len(mine) == len(expected)
        for shingle in expected:
            names.setdefault(shingle, set(mine)).intersection_update(mine)
    assert all(names.values()), "a shingle must have the same hash in every text"


def test_every_ideograph_is_a_word_and_numbers_stay():
    def count(text):
        return minhash(_array([text]), 1, 1, 0)[1][0]

    assert count("深度学习") == 4
    assert count("ภาษาไทย") == 7
    assert count("x = 3.14; foo_bar(7)") == 5
    assert count("\U00020000\U00020001") == 2
    assert count("naïve cafés नमस्ते") == len(words_of("naïve cafés नमस्ते")) == 3


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(ALPHABET.replace("ß", "") + "Ⱥ", max_size=30), max_size=6))
def test_normal_form_is_that_of_plain_python(texts):
    view, places = normalised(_array(texts), ExactOptions())
    assert [bytes(view[a:b]).decode() for a, b in pairwise(places)] == [normal_form(text) for text in texts]


def test_exact_keys_follow_the_options():
    texts = ["A  b\n", "a b", "a b c"]
    keys = exact_keys(_array(texts), ExactOptions()).to_pylist()
    assert keys[0] == keys[1] != keys[2]
    assert keys[1] == hashlib.blake2b(b"a b", digest_size=16).digest()
    raw = exact_keys(_array(texts), ExactOptions(fold_case=False, fold_whitespace=False)).to_pylist()
    assert raw[0] == hashlib.blake2b(b"A  b\n", digest_size=16).digest()


def test_signatures_are_the_minima_of_the_permutations():
    text = "one two three four five six one two three"
    near = MinHashOptions(words=3, permutations=12, seed=5)
    values, counts = minhash(_array([text, "one two"]), near.words, near.permutations, near.seed)
    hashes, _ = shingle_sets(_array([text]), 3)
    multipliers, addends = permutations(12, 5)
    low = (hashes >> np.uint64(32)).astype(np.uint32)[:, None]
    assert values[0].tolist() == (low * multipliers + addends).min(axis=0).tolist()
    assert counts.tolist() == [7, 0]
    assert set(values[1].tolist()) == {2**32 - 1}


def test_rows_do_not_depend_on_the_batch_and_memory_not_on_the_length():
    rng = np.random.default_rng(0)
    texts = [" ".join(random_text(rng, int(n))) for n in rng.integers(0, 6000, 12)]
    options = DeduplicationOptions(near=MinHashOptions())
    whole = compute_signatures(table_of(texts), options)
    assert whole.schema == signature_schema(options)
    parts = [compute_signatures(table_of(texts).slice(at, 5), options) for at in range(0, 12, 5)]
    assert pa.concat_tables(parts).equals(whole)


def test_estimates_are_unbiased_and_scatter_as_a_binomial():
    """Over seeds, the share of equal minima has mean J and variance J (1 - J) / K, within four standard errors."""
    rng = np.random.default_rng(1)
    words = [f"w{number}" for number in range(400)]
    changed = [f"x{at}" if rng.random() < 0.08 else word for at, word in enumerate(words)]
    texts = _array([" ".join(words), " ".join(changed)])
    one, two = shingles_of(texts[0].as_py(), 3), shingles_of(texts[1].as_py(), 3)
    jaccard, count, seeds = len(one & two) / len(one | two), 128, 400
    estimates = np.empty(seeds)
    for seed in range(seeds):
        values, _ = minhash(texts, 3, count, seed)
        estimates[seed] = np.mean(values[0] == values[1])
    spread = np.sqrt(jaccard * (1 - jaccard) / count)
    assert abs(estimates.mean() - jaccard) <= 4 * spread / np.sqrt(seeds)
    assert estimates.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * seeds))


@pytest.mark.parametrize(("threshold", "weight"), [(0.3, 0.5), (0.5, 0.9), (0.7, 0.9), (0.8, 0.5)])
def test_bands_err_least_of_all_that_fit(threshold, weight):
    permutations = 48
    chosen = bands.optimal_bands(threshold, permutations, weight)

    def error(b, r):
        grid = np.linspace(0, 1, 4001)
        curve = 1 - (1 - grid**r) ** b
        wrong = np.where(grid < threshold, (1 - weight) * curve, weight * (1 - curve))
        return np.trapezoid(wrong, grid)

    pairs = [(b, r) for r in range(1, permutations + 1) for b in range(1, permutations // r + 1)]
    assert error(*chosen) == pytest.approx(min(error(*pair) for pair in pairs), abs=2e-4)
    assert chosen[0] * chosen[1] <= permutations


def test_declared_bands_win_and_must_fit():
    assert bands.bands_and_rows(MinHashOptions(bands=4, rows=3)) == (4, 3)
    with pytest.raises(ValueError, match="need 200 permutations"):
        MinHashOptions(bands=20, rows=10)
    with pytest.raises(ValueError, match="belong together"):
        MinHashOptions(bands=20)


def test_the_s_curve_is_what_signatures_do():
    similarity, curve = bands.s_curve_points(MinHashOptions(bands=8, rows=3), 11)
    rng = np.random.default_rng(2)
    draws = 20_000
    agree = rng.random((draws, 8, 3)) < similarity[7]
    seen = agree.all(axis=2).any(axis=1).mean()
    assert (curve[0], curve[-1]) == (0.0, 1.0)
    assert seen == pytest.approx(curve[7], abs=4 * np.sqrt(0.25 / draws))


def _found(texts, options):
    arranged = arrange(compute_signatures(table_of(texts), options), ledger_of(len(texts)), {"web": 0})
    return candidate_pairs(arranged, exact_groups(arranged, options), options)


def test_a_crowded_bucket_is_compared_with_its_earliest_and_the_rest_is_counted():
    """Texts with the same set of shingles share every band, without being exact copies."""
    texts = ["a b c a b c" + " a b c" * number for number in range(10)]
    near = MinHashOptions(words=2, permutations=4, bands=2, rows=2, bucket_width=3)
    pairs, left_out = _found(texts, DeduplicationOptions(near=near))
    expected = [(later, earlier) for later in range(10) for earlier in range(min(later, 3))]
    assert list(zip(pairs["doc_id"].to_pylist(), pairs["other_id"].to_pylist(), strict=True)) == [
        (f"{later:04d}", f"{earlier:04d}") for later, earlier in expected
    ]
    assert left_out == 2 * (45 - len(expected))
    complete, none = _found(texts, DeduplicationOptions(near=near.model_copy(update={"bucket_width": 10})))
    assert (len(complete), none) == (45, 0)


def test_without_near_only_copies_are_looked_for():
    pairs, left_out = _found(["a b c d e f", "a b c d e f"], DeduplicationOptions(near=None))
    assert (len(pairs), left_out) == (0, 0)


def test_chunks_bound_the_shingles_of_distinct_documents_and_change_nothing():
    texts = [" ".join(f"w{number}" for number in range(start, start + 60)) for start in range(12)]
    options = DeduplicationOptions(near=MinHashOptions(bands=64, rows=1), verifier=JaccardOptions())
    pairs, _ = _found(texts, options)
    chunks = pair_chunks(pairs, budget=200)
    assert pa.concat_tables(chunks).equals(pairs)
    assert len(chunks) > 1
    for chunk in chunks:
        sizes = dict(zip(chunk["doc_id"].to_pylist(), chunk["doc_shingles"].to_pylist(), strict=True))
        sizes |= dict(zip(chunk["other_id"].to_pylist(), chunk["other_shingles"].to_pylist(), strict=True))
        assert sum(sizes.values()) <= 200
    mapping = dict(zip(table_of(texts)["doc_id"].to_pylist(), texts, strict=True))
    whole = verify_pairs(pairs, lambda ids: {doc_id: mapping[doc_id] for doc_id in ids}, options)
    parts = [verify_pairs(chunk, lambda _: table_of(texts), options) for chunk in chunks]
    assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())
    row = whole.to_pylist()[0]
    one, two = (shingles_of(mapping[row[name]], 5) for name in ("doc_id", "other_id"))
    assert row["similarity"] == len(one & two) / len(one | two)
    assert row["containment"] == len(one & two) / min(len(one), len(two))
    assert row["shared"] == len(one & two)


def test_missing_texts_and_signatures_are_named():
    texts = ["a b c d e f", "A b c d e g"]
    near = MinHashOptions(words=1, permutations=8, bands=8, rows=1)
    options = DeduplicationOptions(near=near, verifier=JaccardOptions())
    pairs, _ = _found(texts, options)
    with pytest.raises(ValueError, match=r"document 000. has a signature but no text"):
        verify_pairs(pairs, lambda _: {}, options)
    with pytest.raises(ValueError, match="1 documents have no signature, the first is 0002"):
        arrange(compute_signatures(table_of(texts), options), ledger_of(3), {"web": 0})
    with pytest.raises(ValueError, match="row 1 has no text"):
        compute_signatures(pa.table({"doc_id": ["a", "b"], "text": ["x", None]}), options)


def test_documents_are_ordered_by_instant_then_source_then_id():
    rows = [
        ("d", "b", None),
        ("c", "a", None),
        ("a", "b", "2021"),
        ("b", "a", "2021-01-01T00:00:00Z"),
        ("e", "b", "2020-12-31T23:30:00-01:00"),
        ("f", "a", "2020-12"),
    ]
    ledger = pa.table(dict(zip(("doc_id", "source", "date"), map(list, zip(*rows, strict=True)), strict=True)))
    order = document_order(ledger, {"a": 0, "b": 1})
    assert [rows[at][0] for at in order] == ["f", "b", "a", "e", "c", "d"]
    assert instant("1970-01-02") == 86_400_000_000


def test_unreadable_dates_and_unknown_sources_are_named():
    ledger = pa.table({"doc_id": ["a", "b"], "source": ["s", "s"], "date": ["2020", "May 5th"]})
    with pytest.raises(ValueError, match="document b has the date 'May 5th'"):
        document_order(ledger, {"s": 0})
    ledger = ledger_of(2)
    with pytest.raises(ValueError, match="no rank is given for the sources web"):
        document_order(ledger, {"t": 0})


def test_candidates_that_would_miss_what_the_verifier_accepts_are_refused():
    with pytest.raises(ValidationError, match=r"near.threshold is 0.9, above verifier.threshold 0.7.* Make it 0.7 or"):
        DeduplicationOptions(near={"kind": "minhash", "threshold": 0.9}, verifier={"kind": "jaccard", "threshold": 0.7})
    for verifier in ({"kind": "jaccard", "threshold": 0.9}, {"kind": "alignment", "threshold": 0.5}):  # another measure
        DeduplicationOptions(near={"kind": "minhash", "threshold": 0.9}, verifier=verifier)
    by_hand = {"kind": "minhash", "threshold": 0.9, "bands": 32, "rows": 2}
    DeduplicationOptions(near=by_hand, verifier={"kind": "jaccard", "threshold": 0.7})
