"""Rows that stay may say something else: against a list of rows in plain Python, version by version."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.storage.changes import changes_by_files
from headwater.assets.storage.indexes import equals, find_rows, index_keys, rows_where
from headwater.assets.storage.refreshing import Revision, refresh_parts
from headwater.assets.storage.tables import commit_parts, open_table, read_table, take_positions, write_part

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("text", pa.large_string()),
    ]
)
SAYS = st.fixed_dictionaries(
    {"kept": st.booleans(), "rule": st.sampled_from([None, "é", "near"]), "value": st.sampled_from([None, 0.5, -1.0])}
)


def table_of(rows: list[dict]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def written(url: str, rows: list[dict]) -> list[str]:
    return write_part(url, SCHEMA, table_of(rows).to_batches())[0]


def new_rows(first: int, said: list[dict]) -> list[dict]:
    return [{"doc_id": f"d{first + n}", **says, "text": f"text {n}"} for n, says in enumerate(said)]


def assert_holds(url: str, version: int, rows: list[dict]) -> None:
    assert read_table(url, version).to_pylist() == rows
    assert read_table(url, version, where="NOT kept").to_pylist() == [row for row in rows if not row["kept"]]
    assert rows_where(url, version, equals("rule", ["near"])).to_pylist() == [r for r in rows if r["rule"] == "near"]
    places = np.arange(len(rows))[::-1]
    assert take_positions(url, version, places).to_pylist() == rows[::-1]
    for row in rows[:2]:
        assert find_rows(url, version, "doc_id", [row["doc_id"]]).to_pylist() == [row]
    held = open_table(url, version)  # noqa: F841  # DuckDB finds it by its name
    assert duckdb.sql("select count(*) from held where kept").fetchall() == [(sum(row["kept"] for row in rows),)]


@st.composite
def steps(draw):
    """Of a table of so many rows: which go, which say what instead, and what comes."""
    said = draw(st.lists(SAYS, min_size=2, max_size=8))
    found, count = [], 2 * len(said)
    for _ in range(draw(st.integers(1, 3))):
        removed = sorted(draw(st.sets(st.integers(0, count - 1), max_size=count - 1)))
        stayed = count - len(removed)
        revised = draw(st.dictionaries(st.integers(0, stayed - 1), SAYS, max_size=stayed))
        added = draw(st.lists(SAYS, max_size=3))
        found.append((removed, dict(sorted(revised.items())), added))
        count = stayed + len(added)
    return said, found


@settings(max_examples=25, deadline=None)
@given(steps(), st.booleans())
def test_every_version_says_what_its_steps_made_of_it(tmp_path_factory, planned, dead_attempts):
    said, made = planned
    url = str(tmp_path_factory.mktemp("revised") / "decisions.lance")
    rows = [*new_rows(0, said), *new_rows(100, said)]
    version = commit_parts(url, SCHEMA, [*written(url, rows[: len(said)]), *written(url, rows[len(said) :])])
    version = index_keys(url, version, ["doc_id"], min_rows=1)
    history = [(version, rows)]
    for number, (removed, revised, added) in enumerate(made):
        if dead_attempts:
            refresh_parts(url, version, np.array([0]), [])
        stayed = [row for place, row in enumerate(rows) if place not in removed]
        columns = ["kept", "rule", "value"]
        values = [stayed[place] | says for place, says in revised.items()]
        revision = Revision(np.array(list(revised), dtype=np.int64), table_of(values), columns)
        come = new_rows(1000 * (number + 1), added)
        version = refresh_parts(url, version, np.array(removed, dtype=np.int64), written(url, come), revision)
        rows = [stayed[place] | revised.get(place, {}) for place in range(len(stayed))] + come
        history.append((version, rows))
    for version, rows in history:
        assert_holds(url, version, rows)


@pytest.fixture
def revised(tmp_path):
    """(place, version before, version after): one row of the first of two fragments says something else."""
    url = str(tmp_path / "decisions.lance")
    said = [{"kept": True, "rule": None, "value": None}] * 50
    rows = [*new_rows(0, said), *new_rows(100, said)]
    base = commit_parts(url, SCHEMA, [*written(url, rows[:50]), *written(url, rows[50:])])
    base = index_keys(url, base, ["doc_id", "rule"], min_rows=1)
    changed = Revision(np.array([7]), table_of([rows[7] | {"kept": False, "rule": "near"}]), ["kept", "rule"])
    return url, base, refresh_parts(url, base, np.empty(0, dtype=np.int64), [], changed)


def files(url, version):
    return [{file.path for file in fragment.data_files()} for fragment in open_table(url, version).get_fragments()]


def test_only_columns_of_touched_fragments_are_written(revised):
    url, base, later = revised
    before, after = files(url, base), files(url, later)
    assert before[0] < after[0]
    assert before[1] == after[1]
    own = next(f for f in open_table(url, later).get_fragments()[0].data_files() if f.path not in before[0])
    assert len(own.fields) == 2
    assert changes_by_files(url, base, later) is None  # values changed: files alone do not tell which


def test_indexes_of_other_columns_stay_and_those_of_the_changed_ones_leave_the_fragment(revised):
    url, _, later = revised
    stats = {
        item["name"]: open_table(url, later).stats.index_stats(item["name"])
        for item in open_table(url, later).list_indices()
    }
    assert {name: found["num_unindexed_rows"] for name, found in stats.items()} == {"doc_id_idx": 0, "rule_idx": 50}
    assert rows_where(url, later, equals("rule", ["near"]))["doc_id"].to_pylist() == ["d7"]


def test_revising_again_leaves_no_trail_of_files(revised):
    url, _, later = revised
    row = read_table(url, later).slice(7, 1).to_pylist()[0] | {"kept": True, "value": 2.0}
    again = Revision(np.array([7]), table_of([row]), ["kept", "rule", "value"])
    last = refresh_parts(url, later, np.empty(0, dtype=np.int64), [], again)
    assert len(files(url, last)[0]) == 2
    assert read_table(url, last).slice(7, 1).to_pylist() == [row]
