"""Repeated passages: found as a plain search finds them, decided in order, with evidence for every drop."""

import random

import numpy as np
import pyarrow as pa
import pytest
from duplicate_oracle import ledger_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.passages import compute_passages, lengths, passages_of, repeated
from headwater.assets.deduplication.passages_options import PassageOptions
from headwater.assets.schemas import EDGES

RANK = {"web": 0}


def _decided(texts, options, edges=None):
    """(decisions, evidence) of texts in their order, without edges unless some are given."""
    ledger, passages = ledger_of(len(texts)), passages_of(compute_passages(table_of(texts), options), options)
    decisions = decide(ledger, edges or EDGES.empty_table(), DeduplicationOptions(), RANK, repeats=passages)
    split = np.zeros(len(texts), dtype=np.int64)
    return decisions, repeated(ledger, decisions, passages, np.arange(len(texts)), split)


def _lines_by_rule(texts, options):
    """Plain Python: which documents stay when lines of enough words count, document by document."""
    counts, kept = {}, []
    for text in texts:
        lines = [(line, len(line.encode())) for line in text.split("\n")]
        long = [(line.lower(), size) for line, size in lines if len(line.split()) >= options.min_words]
        again = sum(size for line, size in long if counts.get(line, 0) >= options.min_count)
        stays = again <= options.max_share * max(len(text.encode()), 1)
        kept.append(stays)
        if stays:
            for line in {line for line, _ in long}:
                counts[line] = counts.get(line, 0) + 1
    return kept


_LINE = st.integers(0, 12).map(lambda n: " ".join(f"{chr(97 + n)}{i}" for i in range(1 + n % 4)))


@given(
    st.lists(st.lists(_LINE, max_size=6).map("\n".join), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from([0.0, 0.3, 0.6]),
)
@settings(max_examples=60, deadline=None)
def test_lines_are_decided_as_a_plain_search_decides(texts, min_words, min_count, max_share):
    options = PassageOptions(unit="line", min_words=min_words, min_count=min_count, max_share=max_share)
    decisions, _ = _decided(texts, options)
    assert decisions["kept"].to_pylist() == _lines_by_rule(texts, options)


def _words(rng, count):
    return [f"w{rng.randrange(10**6)}" for _ in range(count)]


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_every_common_run_of_the_declared_length_is_found(seed, min_words, longer):
    rng = random.Random(seed)
    run = _words(rng, min_words + longer)
    one, two = (_words(rng, rng.randrange(50)) + run + _words(rng, rng.randrange(50)) for _ in range(2))
    options = PassageOptions(min_words=min_words, max_share=0.0)
    decisions, evidence = _decided([" ".join(one), ", ".join(two)], options)
    assert decisions["kept"].to_pylist() == [True, False]
    (row,) = evidence.to_pylist()
    assert (row["doc_id"], row["other_id"]) == ("0001", "0000")
    found = ", ".join(two).encode()[row["start"] : row["end"]].decode().replace(",", " ").split()
    assert set(found) <= set(run)
    assert len(found) >= len(run) - 2 * (lengths(min_words)[1] - 1)


def test_shorter_runs_and_unlike_texts_are_left_alone():
    rng = random.Random(1)
    run = _words(rng, 32)
    texts = [" ".join(_words(rng, 60) + run + _words(rng, 60)) for _ in range(3)]
    decisions, evidence = _decided(texts, PassageOptions(min_words=50, max_share=0.0))
    assert decisions["kept"].to_pylist() == [True] * 3
    assert len(evidence) == 0


def test_a_document_pieced_together_from_earlier_ones_is_dropped_with_its_sources():
    rng = random.Random(2)
    one, two, own = _words(rng, 200), _words(rng, 200), _words(rng, 100)
    pieced = " ".join(one[20:140] + own + two[50:150])
    decisions, evidence = _decided([" ".join(one), " ".join(two), pieced], PassageOptions())
    row = decisions.to_pylist()[2]
    assert (row["kept"], row["rule"], row["detail"], row["threshold"]) == (False, "repeated_passages", "0000", 0.5)
    assert row["value"] == pytest.approx(220 / 320, abs=0.08)
    assert evidence["other_id"].to_pylist() == ["0000", "0001"]


def test_what_only_dropped_documents_have_is_not_repeated():
    rng = random.Random(3)
    one, own = _words(rng, 200), _words(rng, 120)
    second = " ".join(one + own)  # dropped: most of it stands in the first
    third = " ".join(own)
    decisions, _ = _decided([" ".join(one), second, third], PassageOptions())
    assert decisions["kept"].to_pylist() == [True, False, True]


def test_near_duplicates_and_passages_are_decided_together():
    rng = random.Random(4)
    one, two = _words(rng, 200), _words(rng, 200)
    texts = [" ".join(one), " ".join(one[:150] + two[:20]), " ".join(two)]
    ids = {"doc_id": "0002", "other_id": "0001", "kind": "near", "similarity": 0.9}
    values = ids | {"containment": 0.9, "shared": 9}
    edge = {field.name: values.get(field.name, 0) for field in EDGES}
    decisions, _ = _decided(texts, PassageOptions(), pa.Table.from_pylist([edge], schema=EDGES))
    # The second is gone for its passages, so its near-duplicate stays.
    assert decisions["rule"].to_pylist() == [None, "repeated_passages", None]


def test_copies_of_a_dropped_document_go_with_it():
    rng = random.Random(5)
    one = _words(rng, 200)
    texts = [" ".join(one), " ".join(one[:150]), " ".join(one[:150])]
    ids = {"doc_id": "0002", "other_id": "0001", "kind": "exact", "similarity": 1.0}
    edge = {field.name: (ids | {"containment": 1.0, "shared": 9}).get(field.name, 0) for field in EDGES}
    decisions, _ = _decided(texts, PassageOptions(), pa.Table.from_pylist([edge], schema=EDGES))
    assert decisions["rule"].to_pylist() == [None, "repeated_passages", "repeated_passages"]
    assert decisions["detail"].to_pylist() == [None, "0000", "0000"]


def test_paragraphs_end_at_empty_lines():
    first = "one two three\nfour five\n \nsix seven eight nine"
    options = PassageOptions(unit="paragraph", min_words=4, max_share=0.4)
    table = compute_passages(table_of([first]), options)
    assert table["starts"].to_pylist() == [[0, 24]]
    decisions, _ = _decided([first, "other words\n\nSix, seven; eight. Nine\n\nlast", "four five six seven"], options)
    assert decisions["kept"].to_pylist() == [True, False, True]


def test_passages_depend_on_no_batch():
    rng = random.Random(6)
    documents = table_of([" ".join(_words(rng, rng.randrange(300))) for _ in range(20)] + [""])
    options = PassageOptions(min_words=10)
    parts = [compute_passages(documents.slice(at, 4), options) for at in range(0, len(documents), 4)]
    assert pa.concat_tables(parts).to_pylist() == compute_passages(documents, options).to_pylist()
