"""Counts carried on equal counts told again, whatever goes, comes or is decided otherwise."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from headwater.assets.curation.counting import (
    Loss,
    Recounted,
    carried,
    count_decisions,
    decision_metrics,
    drop_reasons,
    lost_by_source,
)

OWN = "curated"
DECIDED = st.sampled_from([(True, None, None), (False, "length", OWN), (False, "words", OWN), (False, "utf8", "raw")])
ROWS = st.lists(st.tuples(DECIDED, st.sampled_from(["web", "code"])), max_size=12)


def table(rows):
    columns = list(zip(*(decided for decided, _ in rows), strict=True)) or [[], [], []]
    schema = pa.schema([("kept", pa.bool_()), ("rule", pa.string()), ("stage", pa.string())])
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)], schema=schema)


def sources(rows):
    return pa.chunked_array([[source for _, source in rows]], pa.string())


def test_what_a_stage_kept_and_dropped_is_told_by_source_and_rule():
    rows = [
        ((True, None, None), "web"),
        ((False, "length", OWN), "web"),
        ((False, "utf8", "raw"), "web"),
        ((False, "words", OWN), "code"),
        ((False, "length", OWN), "code"),
    ]
    counts = count_decisions(table(rows), OWN, sources(rows))
    assert counts == {"web": {"": 1, "length": 1}, "code": {"words": 1, "length": 1}}
    assert decision_metrics(counts) == {"documents_in": 4, "kept": 1, "dropped": 3}
    assert drop_reasons(counts) == [("length", 2), ("words", 1)]
    assert lost_by_source(counts) == [Loss("code", 2, 2), Loss("web", 2, 1)]
    assert count_decisions(table(rows), OWN) == {"": {"": 1, "length": 2, "words": 1}}


@given(stay=ROWS, go=ROWS, come=ROWS, again=st.lists(st.tuples(DECIDED, DECIDED), max_size=6))
def test_counts_carried_on_are_those_told_again(stay, go, come, again):
    old = [(one, "web") for one, _ in again]
    new = [(two, "web") for _, two in again]
    before = count_decisions(table(stay + old + go), OWN, sources(stay + old + go))
    after = count_decisions(table(stay + new + come), OWN, sources(stay + new + come))
    changed = Recounted(
        [(table(go), sources(go)), (table(old), sources(old))],
        [(table(come), sources(come)), (table(new), sources(new))],
    )
    assert carried(before, changed, OWN) == after
