"""The whole of deduplication against the rule applied to all pairs, and its fine points one by one."""

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import decide_by_rule, ledger_of, precedence, random_text, shingles_of, table_of, verified_edges
from duplicate_strategies import OPTIONS, RANKS, ROWS
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.bands import bands_and_rows, candidate_probability
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.driver import deduplicate
from headwater.assets.deduplication.options import (
    DeduplicationOptions,
    ExactOptions,
    JaccardOptions,
    MinHashOptions,
)
from headwater.assets.schemas import DECISIONS, EDGES


def _tables(rows):
    ledger = pa.Table.from_pylist(
        [{"doc_id": row["doc_id"], **{name: row[name] for name in ("split", "source", "date")}} for row in rows],
        schema=pa.schema([(name, pa.string()) for name in ("doc_id", "split", "source", "date")]),
    )
    documents = pa.table(
        {"doc_id": ledger["doc_id"], "text": pa.array([row["text"] for row in rows], pa.large_string())}
    )
    return documents, ledger


def _check_evidence(decisions, rows, edges):
    """Every drop names a document that really stands against it."""
    rules = {row["doc_id"]: row for row in decisions}
    splits = {row["doc_id"]: row["split"] for row in rows}
    order = {row["doc_id"]: precedence(row, RANKS) for row in rows}
    for doc_id, row in rules.items():
        if row["kept"]:
            assert row["detail"] is None
            continue
        kind, similarity = edges[frozenset((doc_id, row["detail"]))]
        assert row["value"] == pytest.approx(similarity)
        assert row["value"] >= row["threshold"]
        if row["rule"] == "near_held_out":
            assert splits[row["detail"]] == "held_out"
        else:
            assert rules[row["detail"]]["kept"]
            assert order[row["detail"]] < order[doc_id]
            assert splits[row["detail"]] == splits[doc_id]
            assert kind == row["rule"].removesuffix("_duplicate")


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS, max_size=14), st.randoms(use_true_random=False), st.booleans())
def test_equals_the_rule_over_all_pairs_in_any_order_of_rows(rows, random, exact):
    options = OPTIONS.model_copy(update={"exact": ExactOptions(enabled=exact)})
    for number, row in enumerate(rows):
        row["doc_id"] = f"{number * 7 % 16:02d}"
    documents, ledger = _tables(rows)
    edges = verified_edges(documents, options)
    expected = decide_by_rule(rows, edges, RANKS)

    result = deduplicate(documents, ledger, options, RANKS)
    decisions = result.decisions.to_pylist()
    assert {row["doc_id"]: row["rule"] for row in decisions} == expected
    assert [row["kept"] for row in decisions] == [row["rule"] is None for row in decisions]
    assert result.decisions["doc_id"].to_pylist() == ledger["doc_id"].to_pylist()
    _check_evidence(decisions, rows, edges)

    numbers = list(range(len(rows)))
    random.shuffle(numbers)
    order = pa.array(numbers, pa.int64())
    again = deduplicate(documents.take(order[::-1]), ledger.take(order), options, RANKS)
    assert again.decisions.sort_by("doc_id").equals(result.decisions.sort_by("doc_id"))
    assert again.edges.equals(result.edges)


def _edges(*pairs):
    rows = [
        {"doc_id": a, "other_id": b, "kind": kind, "similarity": s, "containment": 1.0, "shared": 5}
        for a, b, kind, s in pairs
    ]
    return pa.Table.from_pylist(rows, schema=EDGES)


def _ledger(*rows):
    return pa.Table.from_pylist(
        [{"doc_id": doc_id, "split": split, "source": "web", "date": None} for doc_id, split in rows],
        schema=pa.schema([(name, pa.string()) for name in ("doc_id", "split", "source", "date")]),
    )


def _rules(ledger, edges, hits=None):
    decisions = decide(ledger, edges, OPTIONS, RANKS, hits)
    assert decisions.schema == DECISIONS
    return dict(zip(decisions["doc_id"].to_pylist(), decisions["rule"].to_pylist(), strict=True))


def test_no_cluster_grows_by_a_chain():
    ledger = _ledger(("a", "train"), ("b", "train"), ("c", "train"))
    edges = _edges(("b", "a", "near", 0.8), ("c", "b", "near", 0.8))
    assert _rules(ledger, edges) == {"a": None, "b": "near_duplicate", "c": None}


def test_a_later_document_never_stands_against_an_earlier_one():
    """b resembles the kept c more than the kept a, but only a comes before it."""
    ledger = _ledger(("a", "train"), ("b", "train"), ("c", "train"))
    edges = _edges(("b", "a", "near", 0.8), ("c", "b", "near", 0.95))
    row = decide(ledger, edges, OPTIONS, RANKS).to_pylist()[1]
    assert (row["rule"], row["detail"], row["value"], row["threshold"]) == ("near_duplicate", "a", 0.8, 0.5)


def test_what_is_near_held_out_represents_nothing():
    ledger = _ledger(("a", "train"), ("b", "train"), ("h", "held_out"))
    edges = _edges(("b", "a", "near", 0.8), ("h", "a", "near", 0.8))
    assert _rules(ledger, edges) == {"a": "near_held_out", "b": None, "h": None}


def test_a_dropped_held_out_document_still_guards():
    ledger = _ledger(("g", "held_out"), ("h", "held_out"), ("t", "train"))
    edges = _edges(("h", "g", "near", 0.9), ("t", "h", "near", 0.6))
    assert _rules(ledger, edges) == {"g": None, "h": "near_duplicate", "t": "near_held_out"}


def test_copies_share_the_near_edges_of_their_root():
    ledger = _ledger(("a", "held_out"), ("b", "train"), ("c", "train"), ("d", "train"))
    edges = _edges(("c", "b", "exact", 1.0), ("b", "a", "near", 0.7))
    assert _rules(ledger, edges) == {"a": None, "b": "near_held_out", "c": "near_held_out", "d": None}


def test_contaminated_is_dropped_in_training_only_and_represents_nothing():
    ledger = _ledger(("a", "train"), ("b", "train"), ("h", "held_out"))
    hits = pa.table({"doc_id": ["a", "h"], "set": ["quiz", "quiz"], "item": [3, 4], "shared": [2, 2], "needed": [1, 1]})
    decisions = decide(ledger, _edges(("b", "a", "near", 0.9)), OPTIONS, RANKS, hits).to_pylist()
    assert [row["rule"] for row in decisions] == ["contaminated", None, None]
    assert decisions[0]["detail"] == "quiz item 3"
    assert (decisions[0]["value"], decisions[0]["threshold"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("ledger", "edges", "said"),
    [
        (_ledger(("a", "test")), _edges(), "document a has the split test"),
        (_ledger(("a", "train")), _edges(("z", "a", "near", 0.9)), "an edge names document z"),
        (_ledger(("a", "train"), ("b", "train")), _edges(("a", "b", "exact", 1.0)), "calls document b earlier than a"),
        (_ledger(("a", "train"), ("a", "train")), _edges(), "document a occurs more than once"),
    ],
)
def test_bad_input_is_named(ledger, edges, said):
    with pytest.raises(ValueError, match=said):
        decide(ledger, edges, OPTIONS, RANKS)


def test_a_crowd_of_copies_costs_no_more_than_its_size():
    count = 20_000
    documents = table_of(["the same words again and again and again"] * count)
    result = deduplicate(documents, ledger_of(count), DeduplicationOptions(), RANKS)
    assert len(result.edges) == count - 1
    assert result.decisions["kept"].to_pylist() == [True] + [False] * (count - 1)


def test_a_crowd_of_near_copies_is_compared_with_few():
    """1,500 texts that differ in one word: each meets at most the bucket width of others in a bucket, and all go."""
    count, width = 1500, 8
    body = " ".join(f"w{number}" for number in range(200))
    documents = table_of([f"{body} unique{number}" for number in range(count)])
    options = DeduplicationOptions(near=MinHashOptions(bucket_width=width), verifier=JaccardOptions())
    result = deduplicate(documents, ledger_of(count), options, RANKS)
    assert result.decisions["rule"].to_pylist() == [None] + ["near_duplicate"] * (count - 1)
    bands, _ = bands_and_rows(options.near)
    assert len(result.edges) <= bands * width * count
    assert result.left_out > 0


def test_planted_copies_are_found_as_often_as_the_s_curve_says():
    rng = np.random.default_rng(3)
    texts = []
    for _ in range(300):
        words = random_text(rng, 300)
        texts.append(" ".join(words))
        edited = [f"e{rng.integers(1 << 30)}" if rng.random() < 0.03 else word for word in words]
        texts.append(" ".join(edited))
    count, rows = bands_and_rows(MinHashOptions())  # around 0.7, said by hand: the verifier accepts what they miss
    options = DeduplicationOptions(near=MinHashOptions(bands=count, rows=rows), verifier=JaccardOptions(threshold=0.4))
    result = deduplicate(table_of(texts), ledger_of(len(texts)), options, RANKS)
    sets = [shingles_of(text, 5) for text in texts]
    jaccard = [len(a & b) / len(a | b) for a, b in zip(sets[::2], sets[1::2], strict=True)]
    expected = candidate_probability(jaccard, *bands_and_rows(options.near))
    found = len(result.edges)
    assert set(result.edges["other_id"].to_pylist()) <= {f"{n:04d}" for n in range(0, 600, 2)}
    assert abs(found - expected.sum()) <= 4 * np.sqrt((expected * (1 - expected)).sum()) + 1
