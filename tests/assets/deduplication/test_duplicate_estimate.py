"""The estimate of deduplication's own quality: its measure against a slow one, its intervals, what it tells."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from headwater.assets.deduplication.edits import part_replaced, reordered, reworded
from headwater.assets.deduplication.estimate import COPIES, OTHERS, Share, estimate, planted
from headwater.assets.deduplication.estimate_options import EstimateOptions
from headwater.assets.deduplication.remeasure import common_lines, longest_common, shared_share
from headwater.assets.schemas import EDGES

VOCABULARY = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]


def prose(seed: int, words: int = 200) -> str:
    rng = random.Random(seed)
    return "\n".join(" ".join(rng.choices(VOCABULARY, k=10)) for _ in range(words // 10))


def longest_by_table(one, two):
    table = np.zeros((len(one) + 1, len(two) + 1), dtype=int)
    for a, x in enumerate(one):
        for b, y in enumerate(two):
            table[a + 1, b + 1] = table[a, b] + 1 if x == y else max(table[a, b + 1], table[a + 1, b])
    return table[-1, -1]


@given(st.lists(st.sampled_from("abcd"), max_size=90), st.lists(st.sampled_from("abcd"), max_size=90))
@settings(max_examples=40, deadline=None)
def test_longest_common_subsequence_is_that_of_the_table(one, two):
    assert longest_common(one, two) == longest_by_table(one, two)


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=30, deadline=None)
def test_intervals_are_wilsons(found, more):
    share = Share("", found + more, found)
    if found + more:
        known = binomtest(found, found + more).proportion_ci(method="wilson")
        assert share.interval == pytest.approx((known.low, known.high), abs=1e-6)
    else:
        assert share.interval == (0.0, 1.0)


def test_edited_copies_share_their_words_and_other_texts_do_not():
    rng, text, other = np.random.default_rng(0), prose(1, 600), prose(2, 600)
    assert shared_share(text, text) == 1.0
    assert 0.8 < shared_share(text, reworded(text, 0.2, ["x"], rng)) < 0.95
    assert shared_share(text, reordered(text, rng)) > 0.95
    assert 0.6 < shared_share(text, part_replaced(text, other, rng)) < 0.7
    assert shared_share(text, other) < 0.3
    assert shared_share("", "") == 0.0


def test_common_lines_are_left_out_unless_little_else_is_there():
    licence = "\n".join(f"the terms of licence number {line}" for line in range(20))
    pages = [f"{licence}\n{prose(seed, 60)}" for seed in range(4)]
    common = common_lines(pages)
    assert common == set(licence.splitlines())
    assert shared_share(pages[0], pages[1], common) < 0.3 < shared_share(pages[0], pages[1])
    assert shared_share(licence, f"{licence}\nmore", common) > 0.95


def test_scripts_without_spaces_are_compared_by_character():
    text = "日本語の文書を処理する方法について説明します" * 3
    assert shared_share(text, text.replace("方法", "手順")) > 0.8


def _ledger(count):
    ids = [f"{number * 7919 + 1:032x}" for number in range(count)]
    return pa.table({"doc_id": pa.array(ids, pa.string())})


def _edges(pairs):
    rows = [
        {field.name: {"doc_id": one, "other_id": two, "kind": "near"}.get(field.name, 0) for field in EDGES}
        for one, two in pairs
    ]
    return pa.Table.from_pylist(rows, schema=EDGES)


@pytest.fixture(scope="module")
def corpus():
    ledger = _ledger(400)
    return ledger, {doc_id: prose(at) for at, doc_id in enumerate(ledger["doc_id"].to_pylist())}


def _estimate(corpus, accepted, find_edges, **options):
    ledger, texts = corpus
    given = EstimateOptions(documents=60, max_share=0.5, **options)
    return estimate(ledger, _edges(accepted), lambda ids: {i: texts[i] for i in ids}, find_edges, given)


def test_recall_is_the_share_of_copies_that_get_an_edge(corpus):
    def all_but_reordered(copies):
        ids, edit_of = copies["doc_id"].to_pylist(), planted_edits
        return _edges([(i, "0" * 32) for i in ids if edit_of[i] not in ("other order", *OTHERS)])

    planted_edits = {}

    def remembering(copies):
        # Copies carry no label: which edit each has follows from planting the same documents again.
        ledger, texts = corpus
        from headwater.assets.deduplication.estimate import _originals

        options = EstimateOptions(documents=60, max_share=0.5)
        planted_edits.update(planted(_originals(ledger, lambda ids: {i: texts[i] for i in ids}, options))[1])
        return all_but_reordered(copies)

    found = _estimate(corpus, [], remembering)
    shares = {share.of: share.share for share in found.by_edit}
    assert shares == {edit: 0.0 if edit == "other order" else 1.0 for edit in COPIES}
    assert (found.recall.tried, found.recall.found) == (50, 40)
    assert (found.false_matches.tried, found.false_matches.found) == (10, 0)
    assert found.precision.tried == 0
    assert "estimated_precision" not in found.metrics()


def test_precision_is_the_share_of_accepted_pairs_that_are_alike(corpus):
    ledger, texts = corpus
    ids = ledger["doc_id"].to_pylist()
    alike = {**texts, **{f"{i}c": reworded(texts[i], 0.1, ["x"], np.random.default_rng(0)) for i in ids[:30]}}
    accepted = [(f"{i}c", i) for i in ids[:30]] + list(zip(ids[30:40], ids[40:50], strict=True))
    found = _estimate((ledger, alike), accepted, lambda _: EDGES.empty_table())
    assert (found.precision.tried, found.precision.found) == (40, 30)
    options = EstimateOptions()
    assert len(found.shortcomings(options)) == 2
    assert not found.shortcomings(EstimateOptions(min_precision=0.8, min_recall=0.0))


def test_samples_depend_on_ids_alone_and_are_bounded(corpus):
    ledger, texts = corpus
    asked = []

    def run(table):
        copies = []

        def find(found):
            copies.append(found)
            return EDGES.empty_table()

        estimate(
            table, _edges([]), lambda ids: asked.append(ids) or {i: texts[i] for i in ids}, find, EstimateOptions()
        )
        return copies[0]

    shuffled = ledger.take(np.random.default_rng(0).permutation(len(ledger)))
    assert run(ledger) == run(shuffled)
    assert len(run(ledger)) == 8  # 2 % of 400
    assert all(doc_id > max(texts) for doc_id in run(ledger)["doc_id"].to_pylist())


def test_an_empty_corpus_and_a_single_document_have_no_estimate():
    for count in (0, 1):
        ledger = _ledger(count)
        texts = {doc_id: prose(1) for doc_id in ledger["doc_id"].to_pylist()}
        found = estimate(
            ledger, EDGES.empty_table(), lambda ids, t=texts: {i: t[i] for i in ids}, lambda _: None, EstimateOptions()
        )
        assert found.recall.tried == found.precision.tried == 0
        assert found.metrics() == {}
        assert not found.shortcomings(EstimateOptions())
