import math
import random

import numpy as np
import pytest
from evaluation_cases import END, VOCABULARY, corpus, document, uniform
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.evaluation.bits_per_byte import describe, gain, score_documents, summarise
from headwater.assets.evaluation.documents import choose_documents, scored_row
from headwater.assets.evaluation.options import BitsPerByteOptions

OPTIONS = BitsPerByteOptions(resamples=200)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=8))
def test_a_uniform_model_costs_log2_of_the_vocabulary_for_each_token(texts):
    documents = [document(text, str(i)) for i, text in enumerate(texts)]
    result = summarise(score_documents(documents, END, uniform), None, OPTIONS)
    size = sum(len(text.encode()) for text in texts)
    assert result.bytes == size
    assert result.tokens == size + len(texts)  # the closing end-of-text of each document is coded too
    if size:
        assert result.bits_per_byte == pytest.approx(math.log2(VOCABULARY) * result.tokens / size)
        assert result.perplexity == pytest.approx(VOCABULARY)
    else:
        assert result.bits_per_byte is None


def test_the_cost_is_the_sum_over_exactly_the_scored_row():
    seen = []

    def score(rows):
        seen.extend(row.tolist() for row in rows)
        return [-np.arange(1, len(row), dtype=np.float64) for row in rows]

    scores = score_documents([document("ab"), document("é", "b")], END, score)
    assert seen == [[END, 97, 98, END], [END, 0xC3, 0xA9, END]]
    assert scores.bits.tolist() == pytest.approx([6 / math.log(2)] * 2)
    assert scores.bytes.tolist() == [2, 2]


def test_the_batch_split_changes_nothing_and_progress_counts_every_byte():
    documents = corpus(20, length=50)
    done = []
    calls = []

    def score(rows):
        calls.append(len(rows))
        return [-(row[1:] / 7.0) for row in rows]

    small = score_documents(documents, END, score, tokens_per_call=120, advance=done.append)
    whole = score_documents(documents, END, score)
    assert small.bits.tolist() == whole.bits.tolist()
    assert calls == [2] * 10 + [20]
    assert sum(done) == 1000


def test_sources_and_groups_are_counted_apart():
    documents = [*corpus(6, source="a", groups=2), *corpus(4, source="b", seed=1, groups=4)]
    scores = score_documents(documents, END, uniform)
    assert scores.source_names == ["a", "b"]
    assert [summarise(scores, name, OPTIONS).documents for name in ("a", "b", None)] == [6, 4, 10]
    assert [summarise(scores, name, OPTIONS).groups for name in ("a", "b")] == [2, 4]
    assert summarise(scores, None, OPTIONS).source == "all"


def test_an_infinite_cost_is_reported_as_such_and_gives_no_figure():
    documents = corpus(3)
    scores = score_documents(documents, END, uniform)
    broken = scores.with_bits(np.array([1.0, math.inf, math.nan]))
    assert broken.not_finite == [documents[1].doc_id, documents[2].doc_id]
    result = summarise(broken, None, OPTIONS)
    assert (result.bits_per_byte, result.interval, result.perplexity) == (None, None, None)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda rows: [np.zeros(len(row)) for row in rows], "document a: 3 log-probabilities are needed.*shape .4,."),
        (lambda rows: [], "given 1 documents and returned 0 rows"),
    ],
)
def test_a_scoring_function_of_the_wrong_shape_is_named(score, message):
    with pytest.raises(ValueError, match=message):
        score_documents([document("ab")], END, score)


def test_one_group_gives_no_interval_and_the_interval_holds_the_figure():
    scores = score_documents(corpus(10, groups=5), END, uniform)
    varied = scores.with_bits(scores.bits * np.linspace(0.5, 1.5, 10))
    result = summarise(varied, None, OPTIONS)
    assert result.interval.low < result.bits_per_byte < result.interval.high
    assert summarise(varied, None, OPTIONS) == result
    single = score_documents(corpus(10, groups=1), END, uniform)
    assert summarise(single, None, OPTIONS).interval is None


def test_gain_pairs_the_documents():
    scores = describe(corpus(10)).with_bits(np.arange(10.0) * 100)
    other = scores.with_bits(scores.bits + 200)  # one bit per byte worse on each: documents of 200 bytes
    value, interval = gain(scores, other, OPTIONS)
    assert value == pytest.approx(1.0)
    assert (interval.low, interval.high) == pytest.approx((1.0, 1.0))
    with pytest.raises(ValueError, match="same documents"):
        gain(scores, other.of_source("none"), OPTIONS)


def test_scored_row_opens_and_closes_with_end_of_text():
    assert scored_row(np.array([3, 4], dtype=np.uint16), 9).tolist() == [9, 3, 4, 9]
    assert scored_row(np.array([], dtype=np.int64), 9).tolist() == [9, 9]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 900_000), max_size=20), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_choice_of_documents_keeps_the_budget_and_ignores_their_order(sizes, seed, shuffler: random.Random):
    ids = [f"d{i}" for i in range(len(sizes))]
    sources = ["ab"[i % 2] for i in range(len(sizes))]
    chosen = [ids[row] for row in choose_documents(ids, sources, sizes, 1.0, seed)]
    for source in "ab":
        assert sum(sizes[int(name[1:])] for name in chosen if sources[int(name[1:])] == source) <= 1_000_000
    order = shuffler.sample(range(len(ids)), len(ids))
    again = choose_documents([ids[i] for i in order], [sources[i] for i in order], [sizes[i] for i in order], 1.0, seed)
    assert [ids[order[row]] for row in again] == chosen
    if sum(sizes) <= 1_000_000:
        assert sorted(chosen) == sorted(ids)


def test_a_document_larger_than_the_budget_does_not_end_the_choice():
    ids = [f"d{i}" for i in range(50)]
    sizes = [2_000_000 if i % 2 else 10_000 for i in range(50)]
    chosen = choose_documents(ids, ["a"] * 50, sizes, 1.0, 0)
    assert sorted(chosen) == list(range(0, 50, 2))


def test_another_seed_chooses_other_documents_and_a_new_document_displaces_at_most_a_few():
    ids = [f"d{i}" for i in range(200)]
    first = choose_documents(ids, ["a"] * 200, [10_000] * 200, 1.0, 0)
    assert len(first) == 100
    assert first != choose_documents(ids, ["a"] * 200, [10_000] * 200, 1.0, 1)
    more = choose_documents([*ids, "new"], ["a"] * 201, [10_000] * 201, 1.0, 0)
    assert len(set(first) - set(more)) <= 1
