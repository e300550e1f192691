"""Content versions: sums of row hashes that see every cell and nothing else."""

import json
import random

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.storage.content import ContentSum, content_of, digest_of, total

SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("size", pa.int64()),
        ("score", pa.float64()),
        ("kept", pa.bool_()),
        ("tokens", pa.large_list(pa.uint16())),
        ("words", pa.list_(pa.string())),
    ]
)
CELLS = {
    "name": st.none() | st.text(max_size=6),
    "size": st.none() | st.integers(-(2**63), 2**63 - 1),
    "score": st.none() | st.floats(allow_nan=True, width=64),
    "kept": st.none() | st.booleans(),
    "tokens": st.none() | st.lists(st.integers(0, 65535), max_size=4),
    "words": st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), max_size=8)
MASK = 2**64 - 1


def table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def slow_cell(value, kind):
    if value is None:
        return 0x9E3779B97F4A7C15
    if pa.types.is_floating(kind):
        value = float("nan") if value != value else value + 0.0
        return mix(int(np.float64(value).view(np.uint64)))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return mix(int(value) & MASK)
    if isinstance(value, list) and pa.types.is_primitive(kind.value_type):
        return xxhash.xxh3_64_intdigest(np.array(value, dtype=np.uint16).tobytes())
    if isinstance(value, list):
        return xxhash.xxh3_64_intdigest(json.dumps(value, sort_keys=True).encode())
    return xxhash.xxh3_64_intdigest(value.encode())


def slow_content(rows):
    low = high = 0
    for row in rows:
        cells = (slow_cell(row[f.name], f.type) ^ xxhash.xxh3_64_intdigest(f.name.encode()) for f in SCHEMA)
        digest = mix(sum(mix(cell) for cell in cells) & MASK)
        low, high = (low + digest) & MASK, (high + mix(digest ^ 0xD1B54A32D192ED03)) & MASK
    return ContentSum(len(rows), low, high)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_content_equals_a_slow_reference_in_plain_integers(rows):
    assert content_of(table(rows)) == slow_content(rows)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_neither_order_nor_split_nor_column_order_counts(rows, cut, chance):
    whole = content_of(table(rows))
    shuffled = list(rows)
    chance.shuffle(shuffled)
    parts = [content_of(table(shuffled[:cut])), content_of(table(shuffled[cut:]))]
    assert total(parts) == whole
    assert content_of(table(rows).select(SCHEMA.names[::-1])) == whole
    assert content_of(pa.concat_tables([table(rows[:cut]), table(rows[cut:])])) == whole
    assert content_of(table([*rows, *rows]).slice(len(rows))) == whole


@settings(max_examples=60, deadline=None)
@given(ROWS.filter(bool), st.data())
def test_one_changed_cell_changes_the_version(rows, data):
    row, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(SCHEMA.names))
    value = data.draw(CELLS[column])
    before = content_of(table(rows)).hex()
    old = rows[row][column]
    same = old == value or (old is not None and value is not None and old != old and value != value)
    changed = [dict(r) for r in rows]
    changed[row][column] = value
    assert (content_of(table(changed)).hex() == before) == same


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (pa.int64(), None, 0),
        (pa.float64(), None, 0.0),
        (pa.float64(), None, float("nan")),
        (pa.bool_(), None, False),
        (pa.string(), None, ""),
        (pa.string(), "", '""'),
        (pa.string(), None, "null"),
        (pa.list_(pa.int64()), None, []),
        (pa.list_(pa.int64()), [], [0]),
        (pa.list_(pa.int64()), [1, None], [1, 0]),
        (pa.list_(pa.string()), ["a", "b"], ["ab"]),
        (pa.binary(), b"", None),
        (pa.dictionary(pa.int32(), pa.string()), "a", "b"),
        (pa.timestamp("us"), 0, 1),
    ],
)
def test_values_that_look_alike_are_told_apart(kind, one, other):
    versions = {content_of(pa.table({"x": pa.array([value], kind)})).hex() for value in (one, other)}
    assert len(versions) == 2


def test_zeros_are_equal_and_nans_are_equal():
    def version(value):
        return content_of(pa.table({"x": pa.array([value], pa.float64())}))

    assert version(-0.0) == version(0.0)
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype=np.uint64).view(np.float64)
    assert version(odd[0]) == version(odd[1]) == version(float("nan"))


def test_a_value_in_another_column_is_another_content():
    one = pa.table({"a": ["x"], "b": ["y"]})
    other = pa.table({"a": ["y"], "b": ["x"]})
    assert content_of(one) != content_of(other)


def test_repeated_rows_count():
    row = pa.table({"a": ["x"]})
    versions = {content_of(pa.concat_tables([row] * n)).hex() for n in range(1, 6)}
    assert len(versions) == 5
    assert content_of(row.slice(1)) == ContentSum()


def test_sliced_lists_do_not_see_their_neighbours():
    lists = pa.table({"a": pa.array([[1, 2], [3], [4, 5]], pa.list_(pa.int32()))})
    parts = [content_of(lists.slice(n, 1)) for n in range(3)]
    assert total(parts) == content_of(lists)
    assert content_of(lists.slice(1, 1)) == content_of(pa.table({"a": pa.array([[3]], pa.list_(pa.int32()))}))


def test_text_is_represented_by_its_content_id():
    one = pa.table({"content_id": ["c"], "text": ["long"]})
    other = pa.table({"content_id": ["c"], "text": ["never read"]})
    assert content_of(one) == content_of(other)
    assert content_of(one.select(["text"])) != content_of(other.select(["text"]))


def test_digests_do_not_depend_on_the_order_of_keys_and_refuse_what_has_no_fixed_form():
    keys = list("abcdef")
    random.Random(0).shuffle(keys)
    assert digest_of(dict.fromkeys(keys, 1)) == digest_of(dict.fromkeys(sorted(keys), 1))
    assert digest_of([1, 2]) != digest_of([2, 1])
    for value in ({1, 2}, object(), b"x"):
        with pytest.raises(TypeError):
            digest_of(value)
    with pytest.raises(ValueError, match="JSON"):
        digest_of(float("nan"))
