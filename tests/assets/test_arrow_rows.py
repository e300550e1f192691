"""Rows of tables in many pieces are those of the same tables in one."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.assets import arrow_rows
from headwater.assets.arrow_rows import put_together, rows_at, without

PIECES = st.lists(st.integers(0, 9), min_size=1, max_size=5)


def in_pieces(sizes: list[int]) -> pa.Table:
    table = pa.table({"n": range(sum(sizes)), "text": [f"row {n}" for n in range(sum(sizes))]})
    ends = np.cumsum([0, *sizes]).tolist()
    return pa.concat_tables([table.slice(a, b - a) for a, b in pairwise(ends)])


@given(sizes=PIECES, data=st.data())
def test_rows_are_those_of_the_whole(sizes, data):
    table, count = in_pieces(sizes), sum(sizes)
    whole = table.combine_chunks()
    places = np.array(data.draw(st.lists(st.integers(0, count - 1), max_size=12)) if count else [], dtype=np.int64)
    assert rows_at(table, places).equals(whole.take(pa.array(places)))
    removed = np.unique(places)
    assert without(table, removed).to_pylist() == [r for n, r in enumerate(whole.to_pylist()) if n not in removed]
    assert put_together(table).equals(table)


def test_small_pieces_become_one_and_others_stay(monkeypatch):
    assert put_together(in_pieces([3, 4, 5]))["n"].num_chunks == 1
    assert put_together(pa.table({})).num_columns == 0
    monkeypatch.setattr(arrow_rows, "_SMALL_PIECE", 4)
    assert put_together(in_pieces([3, 4, 5]))["n"].num_chunks == 3
    monkeypatch.setattr(arrow_rows, "_SMALL_PIECE", 100)
    monkeypatch.setattr(arrow_rows, "_FEW_ROWS", 11)
    assert put_together(in_pieces([3, 4, 5]))["n"].num_chunks == 3


@pytest.mark.parametrize("places", [[11, 0, 3], []])
def test_places_may_be_in_any_order(places):
    found = rows_at(in_pieces([3, 4, 5]), np.array(places, dtype=np.int64))
    assert found["n"].to_pylist() == places
