"""Spans lie one after the other, and sample ↔ document agrees with counting tokens one by one."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.schemas import SPANS
from headwater.assets.tokenization.encoding import tokens_schema
from headwater.assets.tokenization.spans import assign_spans, documents_of_sample, samples_of_span, token_count


def token_table(lengths, first=0):
    rows = [{"doc_id": f"d{first + i}", "tokens": [0] * n, "bytes": n * 3} for i, n in enumerate(lengths)]
    return pa.Table.from_pylist(rows, schema=tokens_schema(10))


def spans_of(lengths):
    return assign_spans(token_table(lengths), pa.array(["s"] * len(lengths)), "c-train")


def test_batches_join_into_one_stream():
    lengths = [3, 1, 7, 2]
    first, second = token_table(lengths[:2]), token_table(lengths[2:], 2)
    source = pa.array(["s", "s"])
    parts = [assign_spans(first, source, "c-train"), assign_spans(second, source, "c-train", token_count(first))]
    joined = pa.concat_tables(parts)
    assert joined.schema == SPANS
    assert joined.equals(spans_of(lengths))
    assert joined.column("start").to_pylist() == [0, 3, 4, 11]
    assert assign_spans(token_table([]), pa.array([], pa.string()), "c-train").num_rows == 0


def test_sources_must_fit():
    with pytest.raises(ValueError, match="2 token rows but 1 sources"):
        assign_spans(token_table([1, 2]), pa.array(["s"]), "c-train")


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    length=st.integers(1, 8),
    gone=st.sets(st.integers(0, 11)),
)
def test_both_directions_agree_with_counting(lengths, length, gone):
    owner = [i for i, n in enumerate(lengths) for _ in range(n)]
    spans = spans_of(lengths).filter(pa.array([i not in gone for i in range(len(lengths))]))
    for sample in range(-(-len(owner) // length) + 1):
        inside = sorted(set(owner[sample * length : (sample + 1) * length]) - gone)
        assert documents_of_sample(spans, sample, length).column("doc_id").to_pylist() == [f"d{i}" for i in inside]
    for row in spans.to_pylist():
        held = {place // length for place in range(row["start"], row["start"] + row["length"])}
        assert set(samples_of_span(row["start"], row["length"], length)) == held


def test_an_empty_span_is_in_no_sample():
    assert len(samples_of_span(5, 0, 4)) == 0
