"""Tables: fragments become visible by one commit, and a version stays what it was."""

import shutil
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from headwater.assets.storage.content import content_of
from headwater.assets.storage.refreshing import refresh_parts
from headwater.assets.storage.tables import (
    commit_parts,
    open_table,
    read_table,
    scan_batches,
    spread_rows,
    table_exists,
    take_positions,
    take_rows,
    write_part,
)

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.large_string())])


def fragments_of(url, version):
    return [(fragment.fragment_id, fragment.count_rows()) for fragment in open_table(url, version).get_fragments()]


def rows(*numbers):
    return pa.record_batch({"n": list(numbers), "text": [f"row {n}" for n in numbers]}, schema=SCHEMA)


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "t.lance")


def test_fragments_are_invisible_until_they_are_committed_in_the_order_given(url):
    second, _ = write_part(url, SCHEMA, [rows(3, 4)])
    first, content = write_part(url, SCHEMA, [rows(0, 1), rows(2)])
    assert not table_exists(url)
    assert content == content_of(pa.Table.from_batches([rows(0, 1, 2)]))
    version = commit_parts(url, SCHEMA, [*first, *second])
    assert read_table(url, version)["n"].to_pylist() == [0, 1, 2, 3, 4]


def test_an_earlier_version_keeps_its_rows(url):
    one = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(1)])[0])
    two = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(2, 3)])[0])
    empty = commit_parts(url, SCHEMA, [])
    assert [read_table(url, v)["n"].to_pylist() for v in (one, two, empty)] == [[1], [2, 3], []]
    with pytest.raises(FileNotFoundError, match="no version 99"):
        open_table(url, 99)


def test_a_table_may_get_other_columns_and_earlier_versions_keep_theirs(url):
    one = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(1, 2)])[0])
    other = pa.schema([("text", pa.large_string()), ("places", pa.list_(pa.uint16()))])
    batch = pa.record_batch({"text": ["a"], "places": [[7, 8]]}, schema=other)
    two = commit_parts(url, other, write_part(url, other, [batch])[0])
    three = refresh_parts(url, two, np.array([], dtype=np.int64), write_part(url, other, [batch])[0])
    back = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(3)])[0])
    assert read_table(url, one).to_pylist() == [{"n": 1, "text": "row 1"}, {"n": 2, "text": "row 2"}]
    assert read_table(url, three).to_pylist() == [{"text": "a", "places": [7, 8]}] * 2
    last = refresh_parts(url, back, np.array([0]), write_part(url, SCHEMA, [rows(4)])[0])
    assert read_table(url, last).to_pylist() == [{"n": 4, "text": "row 4"}]


def test_a_table_made_anew_in_the_same_folder_is_not_taken_for_the_one_before(url):
    for numbers in ([1, 2], [3, 4], [5]):
        version = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(*numbers)])[0])
        assert version == 1
        assert read_table(url, version)["n"].to_pylist() == numbers
        shutil.rmtree(url)
    with pytest.raises(FileNotFoundError, match="no version 1"):
        open_table(url, 1)


def test_a_version_that_was_cleaned_away_is_not_remembered(url):
    old = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(1)])[0])
    new = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(2)])[0])
    assert open_table(url, old).count_rows() == 1
    next(path for path in Path(url, "_versions").iterdir() if path.name == f"{2**64 - 1 - old:020d}.manifest").unlink()
    with pytest.raises(FileNotFoundError, match=f"no version {old}"):
        open_table(url, old)
    assert read_table(url, new)["n"].to_pylist() == [2]


def test_an_opened_version_changes_for_none_but_its_holder(url):
    version = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(1, 2, 3)])[0])
    mine = open_table(url, version)
    mine.delete("n = 2")
    assert mine.count_rows() == 2
    assert mine.version == open_table(url, version).latest_version == version + 1
    assert open_table(url, version).count_rows() == 3
    open_table(url, version).restore()
    assert [read_table(url, v)["n"].to_pylist() for v in (1, 2, 3)] == [[1, 2, 3], [1, 3], [1, 2, 3]]


def test_an_empty_table_has_its_schema(url):
    version = commit_parts(url, SCHEMA, [])
    assert read_table(url, version).schema.names == SCHEMA.names
    assert write_part(url, SCHEMA, [])[0] == []


def test_the_same_fragments_may_be_committed_again(url):
    parts, _ = write_part(url, SCHEMA, [rows(1, 2)])
    one, two = commit_parts(url, SCHEMA, parts), commit_parts(url, SCHEMA, parts)
    assert read_table(url, one) == read_table(url, two)


def test_ranges_scans_and_conditions_agree_with_the_whole(url):
    parts = [text for start in (0, 5, 7) for text in write_part(url, SCHEMA, [rows(*range(start, start + 5))])[0]]
    version = commit_parts(url, SCHEMA, parts)
    whole = read_table(url, version)
    assert pa.Table.from_batches(scan_batches(url, version, rows=4)) == whole
    for start in range(15):
        for count in (0, 1, 4, 15):
            assert (
                take_rows(url, version, start, count, ["n"])["n"].to_pylist() == whole["n"].to_pylist()[start:][:count]
            )
    numbers = [number for number, _ in fragments_of(url, version)]
    some = pa.Table.from_batches(scan_batches(url, version, ["n"], fragments=numbers[1:2]))
    assert some["n"].to_pylist() == list(range(5, 10))
    assert read_table(url, version, ["text"], "n = 9")["text"].to_pylist() == ["row 9", "row 9"]


def test_rows_at_positions_come_in_their_order_whatever_was_deleted(url):
    first = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(*range(20))])[0])
    added = write_part(url, SCHEMA, [rows(*range(20, 25))])[0]
    version = refresh_parts(url, first, np.array([0, 3, 4, 19]), added)
    left = [n for n in range(25) if n not in (0, 3, 4, 19)]
    assert read_table(url, version)["n"].to_pylist() == left
    for wanted in ([], [0], [20, 2, 2, 15], list(range(21))):
        table = take_positions(url, version, np.array(wanted, dtype=np.int64), ["n"])
        assert table["n"].to_pylist() == [left[place] for place in wanted]
    assert take_positions(url, first, np.array([19, 0])).to_pylist()[0] == {"n": 19, "text": "row 19"}
    assert take_positions(url, version, np.array([], dtype=np.int64), ["text"]).schema.names == ["text"]


def test_other_tools_read_a_table_as_it_is(url):
    version = commit_parts(url, SCHEMA, write_part(url, SCHEMA, [rows(1, 2, 3)])[0])
    numbers = open_table(url, version)  # noqa: F841  # DuckDB finds it by its name
    assert duckdb.sql("select sum(n) from numbers").fetchall() == [(6,)]
    assert open_table(url, version).to_table().to_pandas()["text"].tolist() == ["row 1", "row 2", "row 3"]


def test_rows_are_drawn_in_runs_from_the_whole_table(url):
    parts = [part for at in range(0, 1000, 100) for part in write_part(url, SCHEMA, [rows(*range(at, at + 100))])[0]]
    version = refresh_parts(url, commit_parts(url, SCHEMA, parts), np.arange(3), [])
    drawn = spread_rows(url, version, 40, ["n"], runs=4)["n"].to_pylist()
    assert drawn == [start + n for start in (3, 332, 661, 990) for n in range(10)]
    assert spread_rows(url, version, 997)["n"].to_pylist() == list(range(3, 1000))
