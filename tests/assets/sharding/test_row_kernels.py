"""Samples copied out of memory by address, their documents and their masks, against plain NumPy and Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.sharding.packing import segments_of
from headwater.assets.sharding.row_kernels import copy_rows, mask_rows, unpack_rows

KINDS = [np.uint8, np.uint16, np.uint32]
LENGTHS = st.one_of(st.integers(1, 8), st.sampled_from([63, 64, 65, 128, 130, 200]))


def _placed(kind, length, seed, ends):
    """(tokens as one flat array, starts of some samples in any order, the end-of-text token), which comes by chance."""
    rng = np.random.default_rng(seed)
    flat = rng.integers(1, 200, 6 * length + 3).astype(kind)
    flat[rng.random(len(flat)) < ends] = 0
    return flat, rng.integers(0, len(flat) - length + 1, 5), np.zeros(1, dtype=kind)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 99), ends=st.sampled_from([0.0, 0.004, 0.3, 1.0]))
def test_rows_are_those_at_the_addresses(kind, length, seed, ends):
    flat, starts, end_of_text = _placed(kind, length, seed, ends)
    addresses = flat.ctypes.data + starts * flat.itemsize
    expected = np.stack([flat[start : start + length] for start in starts])
    copied = np.empty((5, length), dtype=kind)
    copy_rows(addresses, copied)
    assert np.array_equal(copied, expected)
    rows = np.random.default_rng(seed).permutation(5)
    tokens, segments = np.full((6, length), -1, dtype=np.int64), np.full((6, length), -1, dtype=np.int32)
    unpack_rows(addresses, end_of_text, rows, tokens, segments)
    assert np.array_equal(tokens[rows], expected)
    assert np.array_equal(segments[rows], segments_of(expected, 0))
    assert (tokens[5] == -1).all(), "a row that was not asked for"
    assert (segments[5] == -1).all()


@settings(max_examples=200, deadline=None)
@given(data=st.data(), length=st.integers(1, 70), samples=st.integers(1, 6))
def test_empty_places_are_masked(data, length, samples):
    total = length * samples
    cuts = data.draw(st.lists(st.integers(0, total), unique=True, max_size=8).map(sorted))
    spans = np.array(cuts[: len(cuts) // 2 * 2], dtype=np.int64).reshape(-1, 2)
    ids = np.array(data.draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=6)), dtype=np.int64)
    rows = np.array(data.draw(st.permutations(range(len(ids)))), dtype=np.int64)
    empty = {place for begin, end in spans.tolist() for place in range(begin, end)}
    mask = np.zeros((len(ids), length), dtype=np.bool_)
    mask_rows(ids, rows, spans, mask)
    for number, row in zip(ids.tolist(), rows.tolist(), strict=True):
        assert mask[row].tolist() == [place not in empty for place in range(number * length, (number + 1) * length)]
