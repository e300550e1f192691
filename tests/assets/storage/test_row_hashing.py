"""Row hashes are those of the library, however many values come at once."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.storage import content
from headwater.assets.storage.content import row_hashes
from headwater.assets.storage.hashing_kernels import hash_short

ANY_LENGTH = st.lists(st.integers(0, 270), min_size=1, max_size=60)


@given(ANY_LENGTH, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_kernel_gives_the_values_of_the_library(lengths: list[int], seed: int) -> None:
    data = np.random.default_rng(seed).integers(0, 256, sum(lengths)).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    hashes = np.full(len(lengths), 7, dtype=np.uint64)
    short = hash_short(data, offsets, hashes)
    expected = [
        xxhash.xxh3_64_intdigest(data[start:end].tobytes()) if end - start <= 240 else 7
        for start, end in pairwise(offsets)
    ]
    assert hashes.tolist() == expected
    assert short == sum(length <= 240 for length in lengths)


COLUMNS = {
    "text": pa.array([None, "", "héadwater", "漢" * 90] * 40),
    "large": pa.array(["x" * n for n in range(160)], pa.large_string()),
    "lists": pa.array([None, [], [1, 2, 3], [2**31 - 1] * 99] * 40, pa.list_(pa.int32())),
    "floats": pa.array([[0.5] * (n % 50) for n in range(160)], pa.large_list(pa.float64())),
    "lists with gaps": pa.array([[None, 1], [2]] * 80, pa.list_(pa.int32())),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_many_values_hash_as_each_by_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({name: COLUMNS[name]}).slice(1, 150).slice(2)
    one_by_one = [int(row_hashes(table.slice(row, 1))[0]) for row in range(table.num_rows)]
    monkeypatch.setattr(content, "_ENOUGH", 1)
    assert row_hashes(table).tolist() == one_by_one


def test_values_stay_what_stored_versions_were_summed_from() -> None:
    table = pa.table({"doc_id": ["a", "b" * 32, None], "tokens": pa.array([[1], [], [2, 3]], pa.list_(pa.int32()))})
    assert content.content_of(table).hex() == "089b6693ec1a5946b22d1f93a08fdfa0"
