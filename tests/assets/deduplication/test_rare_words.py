"""Sketches by rare words: keys, agreement and candidates against plain Python, and what the weights are for."""

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import ledger_of, random_text, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_alignment import (
    boilerplate,
    features_of,
    fit_with,
    hashes_of,
    minima,
    mixed,
    parts_of,
    phrases_of,
    slow_keys,
    strings,
    word_slot,
)

from headwater.assets.deduplication import candidates
from headwater.assets.deduplication.bands import band_names
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_groups
from headwater.assets.deduplication.fit import Fit, fit_documents, fit_of
from headwater.assets.deduplication.options import DeduplicationOptions, RareWordsOptions
from headwater.assets.deduplication.rare_words import agreeing, sketch_keys
from headwater.assets.deduplication.signatures import compute_signatures

VOCABULARY = ["a", "b", "B", "cc", "é", "深", "度学", "ไทย", "dd", "x1"]
TEXT = st.lists(st.sampled_from(VOCABULARY), max_size=20).map(" ".join)
TEXTS = st.lists(TEXT, max_size=5)
NOTHING_COMMON = fit_with({}, [], 5)
SMALL = RareWordsOptions(bands=2, rows=3, min_words=1)


def _drawn_fit(draw: st.DrawFn, texts: list[str]) -> Fit:
    words = [hashes_of(text) for text in texts]
    features = sorted({feature for text in words for at in range(len(text)) for feature in features_of(text, at)})
    kinds = draw(st.lists(st.integers(0, 4), min_size=len(features), max_size=len(features)))
    phrases = sorted({phrase for text in words for phrase in phrases_of(text, 2)})
    common = draw(st.lists(st.sampled_from(phrases), max_size=12)) if phrases else []
    return fit_with(dict(zip(map(word_slot, features), kinds, strict=True)), common, 2)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(TEXTS, st.integers(1, 3), st.sampled_from([2, 3, 4]), st.integers(0, 5), st.data())
def test_keys_are_weighted_minima_side_by_side(texts, bands, rows, seed, data):
    fit = _drawn_fit(data.draw, texts)
    options = RareWordsOptions(bands=bands, rows=rows, seed=seed, min_words=3, max_words=9)
    counts, keys = sketch_keys(strings(texts), fit, options)
    lengths = [len(hashes_of(text)) for text in texts]
    assert counts.tolist() == [length if 3 <= length <= 9 else 0 for length in lengths]
    assert keys.T.tolist() == [slow_keys(text, fit, options) for text in texts]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TEXTS, st.integers(0, 5), st.data())
def test_sketches_depend_on_nothing_else_in_the_batch(texts, start, data):
    fit = _drawn_fit(data.draw, texts)
    counts, keys = sketch_keys(strings(texts), fit, SMALL)
    part_counts, part_keys = sketch_keys(strings([*texts, "z"]).slice(start, len(texts)), fit, SMALL)
    assert part_counts[: len(texts) - start].tolist() == counts[start:].tolist()
    assert part_keys[:, : max(len(texts) - start, 0)].tolist() == keys[:, start:].tolist()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["a", "b", "é", "cc", "dd", "x1"]), min_size=1), st.randoms(use_true_random=False))
def test_order_and_repeats_of_words_change_nothing(words, random):
    other = words + words[:3]
    random.shuffle(other)
    _, keys = sketch_keys(strings([" ".join(words), " ".join(other), " ".join([*words, "y"])]), NOTHING_COMMON, SMALL)
    assert keys[:, 0].tolist() == keys[:, 1].tolist()
    _, many = sketch_keys(strings([" ".join(words), " ".join([*words, "y"])]), NOTHING_COMMON, RareWordsOptions())
    assert many[:, 0].tolist() != many[:, 1].tolist(), "another word lowers some of 96 minima"


def test_the_order_of_ideographs_counts():
    _, keys = sketch_keys(strings(["深度学习", "习学度深", "深度学习"]), NOTHING_COMMON, RareWordsOptions())
    assert keys[:, 0].tolist() == keys[:, 2].tolist()
    assert keys[:, 0].tolist() != keys[:, 1].tolist()


def test_long_texts_are_sketched_as_short_ones_are():
    """More words of one weight than are minimised together, more than are remembered, and rarer ones that come again:
    within a common phrase first, then outside."""
    rng = np.random.default_rng(0)
    licence = random_text(rng, 60, 10**6)
    words = [*licence, *random_text(rng, 9000, 10**6), *licence[::-1], *random_text(rng, 1500, 3)]
    text = " ".join(words)
    slots = [word_slot(word) for word in hashes_of(" ".join(words[60:9060]))]
    kinds = dict(zip(slots, rng.choice([0, 0, 0, 1, 4], len(slots)).tolist(), strict=True))
    fit = fit_with(kinds, phrases_of(hashes_of(" ".join(licence)), 5), 5)
    assert sum(boilerplate(hashes_of(text), fit)) == 60
    counts, keys = sketch_keys(strings(["", text, "a b", text]), fit, SMALL)
    assert counts.tolist() == [0, 10_620, 2, 10_620]
    assert keys[:, 1].tolist() == keys[:, 3].tolist() == slow_keys(text, fit, SMALL)


def test_a_word_within_boilerplate_and_outside_weighs_as_outside():
    licence = [f"w{number}" for number in range(12)]
    fit = fit_with({}, phrases_of(hashes_of(" ".join(licence)), 5), 5)
    texts = [" ".join(licence), " ".join(licence[::-1]), " ".join(licence + licence[::-1]), " ".join([*licence, "w3"])]
    options = RareWordsOptions()
    _, keys = sketch_keys(strings(texts), fit, options)
    assert keys.T.tolist() == [slow_keys(text, fit, options) for text in texts]
    assert keys[:, 0].tolist() != keys[:, 1].tolist() == keys[:, 2].tolist()


def test_the_fewest_and_the_most_words_that_are_compared():
    options = RareWordsOptions(min_words=3, max_words=5)
    counts, _ = sketch_keys(strings([" ".join("abcdef"[:count]) for count in range(7)]), NOTHING_COMMON, options)
    assert counts.tolist() == [0, 0, 0, 3, 4, 5, 0]


def _chance_to_agree(shared: list[int], different: list[int]) -> float:
    """The chance that the least of h / weight is that of a shared word, for h spread evenly over [0, 1]."""
    weights = np.array([*shared, *different])
    at = (np.arange(20_000) + 0.5) / 20_000 / weights.min()
    others = np.log(np.maximum(1 - np.outer(np.unique(weights), at), 1e-300))
    counts = np.array([np.sum(weights == weight) for weight in np.unique(weights)])
    none_so_far = np.exp(counts @ others)
    hazards = np.unique(weights)[:, None] / np.maximum(1 - np.outer(np.unique(weights), at), 1e-300)
    of_shared = np.array([np.sum(np.array(shared) == weight) for weight in np.unique(weights)])
    return float(np.sum(none_so_far * (of_shared @ hazards)) * (at[1] - at[0]))


def test_two_sketches_agree_as_often_as_the_weighted_words_do():
    """Over 40 seeds of 256 minima; within four standard errors of a binomial about the chance, which is J up to 1 %."""
    words = [f"w{number}" for number in range(300)]
    kinds = {word_slot(hashes_of(word)[0]): at % 5 for at, word in enumerate(words)}
    assert len(kinds) == 300
    fit = fit_with(kinds, [], 5)
    weights = [16 >> at % 5 for at in range(300)]
    one, two = words[:240], words[:60] + words[120:]
    shared = weights[:60] + weights[120:240]
    different = weights[60:120] + weights[240:]
    texts = strings([" ".join(one), " ".join(two)])
    agreed, seeds = 0, 40
    for seed in range(seeds):
        _, keys = sketch_keys(texts, fit, RareWordsOptions(bands=64, rows=4, seed=seed))
        agreed += sum(np.equal(parts_of(a, 4), parts_of(b, 4)).sum() for a, b in keys.tolist())
    tries = seeds * 256
    jaccard, chance = sum(shared) / (sum(shared) + sum(different)), _chance_to_agree(shared, different)
    assert chance == pytest.approx(jaccard, rel=0.01)
    assert agreed / tries == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / tries))


def test_a_shared_rare_word_counts_for_more_than_a_shared_common_one():
    left, right, shared = ([f"{letter}{number}" for number in range(30)] for letter in "abs")
    texts = strings([" ".join(left + shared), " ".join(right + shared)])

    def agreement(common: list[str]) -> float:
        fit = fit_with({word_slot(hashes_of(word)[0]): 4 for word in common}, [], 5)
        _, keys = sketch_keys(texts, fit, RareWordsOptions(bands=100, rows=4))
        return float(np.mean([np.equal(parts_of(a, 4), parts_of(b, 4)).mean() for a, b in keys.tolist()]))

    assert agreement(shared) == pytest.approx(30 / (30 + 16 * 60), abs=0.05)
    assert agreement([]) == pytest.approx(1 / 3, abs=0.1)
    assert agreement(left + right) == pytest.approx(16 * 30 / (16 * 30 + 60), abs=0.08)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(TEXT, min_size=2, max_size=6), st.sampled_from([2, 3, 4]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
def test_pairs_agree_when_enough_of_what_is_kept_of_their_minima_does(texts, rows, least):
    options = RareWordsOptions(bands=4, rows=rows, least_agreement=least)
    _, keys = sketch_keys(strings(texts), NOTHING_COMMON, options)
    columns = dict(zip(band_names(4), keys, strict=True))
    one, two = (np.array(side) for side in zip(*((a, b) for a in range(len(texts)) for b in range(a)), strict=True))
    found = agreeing(lambda name: columns[name], one, two, options).tolist()
    for a, b, is_agreeing in zip(one.tolist(), two.tolist(), found, strict=True):
        left, right = (minima(texts[at], NOTHING_COMMON, 4 * rows, 0) for at in (a, b))
        assert is_agreeing == (sum(x == y for x, y in zip(left, right, strict=True)) >= least * 4 * rows)


def test_parts_are_the_leading_bits_of_mixed_minima():
    """Of a text with the same least word in all: what is kept differs by the place in the band alone."""
    text = "only"
    for rows in (2, 3, 4):
        options = RareWordsOptions(bands=1, rows=rows, min_words=1)
        _, keys = sketch_keys(strings([text]), NOTHING_COMMON, options)
        found = minima(text, NOTHING_COMMON, rows, 0)
        kept = [mixed(value + row + 1) >> 64 - 64 // rows for row, value in enumerate(found)]
        assert parts_of(int(keys[0, 0]), rows)[::-1] == kept


def _found(texts: list[str], options: DeduplicationOptions, fit: Fit) -> set[tuple[str, str]]:
    arranged = arrange(compute_signatures(table_of(texts), options, fit), ledger_of(len(texts)), {"web": 0})
    pairs, _ = candidate_pairs(arranged, exact_groups(arranged, options), options)
    return set(zip(pairs["doc_id"].to_pylist(), pairs["other_id"].to_pylist(), strict=True))


@pytest.mark.parametrize(("rows", "least"), [(2, 0.2), (3, 0.4), (4, 0.0)])
def test_candidates_share_a_band_and_agree_enough(rows, least):
    rng = np.random.default_rng(1)
    base = random_text(rng, 40)
    texts = [" ".join(base[: 40 - cut] + random_text(rng, cut)) for cut in range(0, 40, 3)] + ["few words"]
    near = RareWordsOptions(bands=6, rows=rows, least_agreement=least)
    keys = [slow_keys(text, NOTHING_COMMON, near) for text in texts[:-1]]
    expected = set()
    for later, one in enumerate(keys):
        for earlier, two in enumerate(keys[:later]):
            agreed = sum(np.equal(parts_of(a, rows), parts_of(b, rows)).sum() for a, b in zip(one, two, strict=True))
            if agreed >= least * 6 * rows and any(a == b for a, b in zip(one, two, strict=True)):
                expected.add((f"{later:04d}", f"{earlier:04d}"))
    assert 0 < len(expected) < len(keys) * (len(keys) - 1) // 2
    assert _found(texts, DeduplicationOptions(near=near), NOTHING_COMMON) == expected


def test_rows_of_the_index_do_not_depend_on_the_batch():
    rng = np.random.default_rng(2)
    texts = [" ".join(random_text(rng, int(size), 200)) for size in rng.integers(0, 900, 10)]
    options = DeduplicationOptions()
    whole = compute_signatures(table_of(texts), options, NOTHING_COMMON)
    parts = [compute_signatures(table_of(texts).slice(at, 3), options, NOTHING_COMMON) for at in range(0, 10, 3)]
    assert pa.concat_tables(parts).combine_chunks().equals(whole.combine_chunks())


def test_pairs_may_be_looked_at_in_many_turns(monkeypatch):
    """Whenever sketches are compared, and however often for one pair, the candidates are the same."""
    rng = np.random.default_rng(5)
    words = [f"w{number}" for number in range(60)]
    texts = [" ".join(rng.choice(words, 40)) for _ in range(60)]
    options = DeduplicationOptions(near=RareWordsOptions(bands=20, rows=2, least_agreement=0.3))
    documents, ledger = table_of(texts), ledger_of(len(texts))
    fit = fit_of(fit_documents(documents, options.fit), options.fit)
    arranged = arrange(compute_signatures(documents, options, fit), ledger, {"web": 0})
    roots = exact_groups(arranged, options)
    at_once = candidate_pairs(arranged, roots, options)
    for pending in (1, 7, 100):
        monkeypatch.setattr(candidates, "PENDING_PAIRS", pending)
        in_turns = candidate_pairs(arranged, roots, options)
        assert in_turns[0].equals(at_once[0])
        assert in_turns[1] == at_once[1]
    assert 0 < len(at_once[0]) < len(texts) * (len(texts) - 1) / 2
