"""What a refresh leaves out of its view cannot change what it plans."""

from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication import nearby as module
from headwater.assets.deduplication.incremental import Plan, plan_refresh
from headwater.assets.deduplication.index import band_columns, signature_schema
from headwater.assets.deduplication.nearby import nearby
from headwater.assets.deduplication.options import DeduplicationOptions, ExactOptions, RareWordsOptions
from headwater.assets.deduplication.population import Documents
from headwater.assets.schemas import EDGES

BANDS, ROWS = 3, 2
LEDGER = pa.schema([(name, pa.string()) for name in ("doc_id", "split", "source", "date")])


def options(width: int, agreement: float, exact: bool) -> DeduplicationOptions:
    near = RareWordsOptions(bands=BANDS, rows=ROWS, bucket_width=width, least_agreement=agreement)
    return DeduplicationOptions(near=near, exact=ExactOptions(enabled=exact))


def documents(sketches: list[tuple[int, ...]], first: int, declared: DeduplicationOptions) -> Documents:
    """Documents whose minima are small numbers, so that many agree in some; equal sketches are exact copies."""
    ids = [f"{first + number:032x}" for number in range(len(sketches))]
    minima = np.array(sketches, dtype=np.uint64).reshape(-1, BANDS * ROWS)
    columns = {
        "doc_id": pa.array(ids, pa.string()),
        "exact_key": pa.array([bytes(sketch).ljust(16) for sketch in sketches], pa.binary(16)),
        "shingles": pa.array([0 if sketch[0] == 0 else 9 for sketch in sketches], pa.int64()),
    }
    for band, name in enumerate(band_columns(declared.near)):
        one, two = minima[:, 2 * band], minima[:, 2 * band + 1]
        columns[name] = pa.array((one << np.uint64(32)) | two, pa.uint64())
    rows = {"doc_id": ids, "split": ["train"] * len(ids), "source": ["web"] * len(ids), "date": [None] * len(ids)}
    return Documents(pa.table(columns, schema=signature_schema(declared)), pa.table(rows, schema=LEDGER))


def seen(plan: Plan) -> tuple[object, ...]:
    pairs = sorted(zip(plan.pairs["doc_id"].to_pylist(), plan.pairs["other_id"].to_pylist(), strict=True))
    return pairs, plan.removed.tolist(), sorted(map(str, plan.added.to_pylist())), plan.left_out


def earlier_edges(before: Documents, declared: DeduplicationOptions) -> pa.Table:
    """The edges of a run over the earlier documents of which the verifier took every pair."""
    nothing = Documents(before.signatures.slice(0, 0), before.ledger.slice(0, 0))
    plan = plan_refresh(nothing, EDGES.empty_table(), np.empty(0, np.int64), before, declared, {"web": 0})
    rows = [
        {"doc_id": one, "other_id": two, "kind": "near", "similarity": 0.9, "containment": 0.9, "shared": 5}
        for one, two in zip(plan.pairs["doc_id"].to_pylist(), plan.pairs["other_id"].to_pylist(), strict=True)
    ]
    return pa.concat_tables([plan.added, pa.Table.from_pylist(rows, schema=EDGES)])


SKETCH = st.tuples(*[st.integers(0, 2)] * (BANDS * ROWS))


@settings(max_examples=150, deadline=None)
@given(
    sketches=st.lists(SKETCH, min_size=1, max_size=25),
    new=st.lists(SKETCH, max_size=6),
    leaves=st.sets(st.integers(0, 24), max_size=4),
    width=st.integers(1, 4),
    agreement=st.sampled_from([0.2, 0.5, 0.8]),
    exact=st.booleans(),
)
def test_what_agrees_with_nothing_that_moves_changes_no_plan(sketches, new, leaves, width, agreement, exact):
    declared = options(width, agreement, exact)
    before, arrived = documents(sketches, 0, declared), documents(new, 100, declared)
    gone = np.array(sorted(row for row in leaves if row < len(sketches)), dtype=np.int64)
    edges = earlier_edges(before, declared)
    given_ = (before, edges, gone, arrived, declared, {"web": 0})
    plan = plan_refresh(*given_)
    with mock.patch.object(module, "_matters", lambda index, *_: np.ones(len(index), dtype=np.bool_)):
        assert seen(plan) == seen(plan_refresh(*given_))
    with mock.patch.object(module, "_touched", lambda batch, *_: np.ones(batch.num_rows, dtype=np.bool_)):
        assert seen(plan) == seen(plan_refresh(*given_))


def test_what_shares_no_key_with_anything_that_moves_is_not_looked_at():
    declared = options(64, 0.5, True)
    before = documents([(1, 1, 1, 1, 1, 1), (2, 2, 2, 2, 2, 2), (1, 1, 2, 2, 2, 2), (1, 1, 1, 1, 2, 2)], 0, declared)
    near, gone = nearby(before, np.array([1]), documents([(1, 1, 1, 1, 1, 1)], 100, declared), declared)
    # Row 2 shares one band of three with the arrival and two with what goes; row 3 two and one.
    assert near.ledger["doc_id"].to_pylist() == [f"{row:032x}" for row in (0, 1, 2, 3)]
    assert gone.tolist() == [1]
    near, gone = nearby(before, np.array([], dtype=np.int64), documents([(1, 1, 1, 1, 1, 1)], 100, declared), declared)
    assert near.ledger["doc_id"].to_pylist() == [f"{row:032x}" for row in (0, 3)]
    assert gone.tolist() == []
