"""Indexes change how fast rows are found, never which: against plain Python, through refreshes and in old versions."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.storage.indexes import (
    TextIndex,
    build_text_index,
    equals,
    find_rows,
    index_keys,
    rows_with_text,
    uncovered_rows,
)
from headwater.assets.storage.refreshing import refresh_parts
from headwater.assets.storage.tables import commit_parts, open_table, read_table, write_part

SCHEMA = pa.schema([pa.field("doc_id", pa.string()), pa.field("text", pa.large_string())])
WORDS = ["water", "Water", "wa", "été", "a b", "%", "_", "'", "''", "\n", "日本語", "x", "\\", "é"]


def rows(first: int, texts: list[str]) -> pa.Table:
    ids = [f"d{first + n}" for n in range(len(texts))]
    return pa.table([pa.array(ids, pa.string()), pa.array(texts, pa.large_string())], schema=SCHEMA)


def written(url: str, table: pa.Table) -> list[str]:
    return write_part(url, SCHEMA, table.to_batches())[0]


def found(url: str, version: int, text: str, index: int | None) -> list[str]:
    batches = rows_with_text(url, version, text, ["doc_id"], index)
    return sorted(doc_id for batch in batches for doc_id in batch["doc_id"].to_pylist())


def truth(url: str, version: int, text: str) -> list[str]:
    table = read_table(url, version)
    pairs = zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    return sorted(doc_id for doc_id, content in pairs if text in content)


TEXTS = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map("".join), min_size=1, max_size=8)


@settings(max_examples=15, deadline=None)
@given(first=TEXTS, more=TEXTS, removed=st.sets(st.integers(0, 7)), asked=st.lists(st.sampled_from(WORDS), min_size=1))
def test_a_text_is_found_wherever_it_stands_in_every_version(tmp_path_factory, first, more, removed, asked):
    url = str(tmp_path_factory.mktemp("texts") / "documents.lance")
    text = "".join(asked)
    base = commit_parts(url, SCHEMA, [*written(url, rows(0, first)), *written(url, rows(100, first[::-1]))])
    index, _ = build_text_index(url, base)
    gone = sorted(n for n in removed if n < 2 * len(first))
    later = refresh_parts(url, base, gone, written(url, rows(200, more)))
    reindexed, _ = build_text_index(url, later)
    for version in (base, later):
        for with_index in (None, index, reindexed):
            assert found(url, version, text, with_index) == truth(url, version, text), (version, with_index)


def test_an_index_covers_what_both_versions_share(tmp_path):
    url = str(tmp_path / "documents.lance")
    base = commit_parts(url, SCHEMA, written(url, rows(0, ["one", "two", "three"])))
    index, size = build_text_index(url, base)
    assert index > base
    assert size > 0
    assert (uncovered_rows(url, base, None), uncovered_rows(url, base, index)) == (3, 0)
    later = refresh_parts(url, base, [1], written(url, rows(10, ["four", "five"])))
    assert uncovered_rows(url, later, index) == 2
    newest, _ = build_text_index(url, later)
    assert uncovered_rows(url, later, newest) == 0
    assert uncovered_rows(url, base, newest) == 3  # its second row is deleted there: all of the file is read
    assert uncovered_rows(url, base, 99) == 3  # an index that was collected


def test_pinned_versions_stay_as_they_are(tmp_path):
    url = str(tmp_path / "documents.lance")
    base = commit_parts(url, SCHEMA, written(url, rows(0, ["one", "two"])))
    build_text_index(url, base)
    later = refresh_parts(url, base, [0], written(url, rows(10, ["three"])))
    build_text_index(url, base)
    assert read_table(url, base)["text"].to_pylist() == ["one", "two"]
    assert read_table(url, later)["text"].to_pylist() == ["two", "three"]
    third = refresh_parts(url, later, [], written(url, rows(20, ["four"])))
    assert read_table(url, third)["text"].to_pylist() == ["two", "three", "four"]


@pytest.mark.parametrize("rows_per_lookup", [0, 10**9], ids=["by index", "by reading"])
def test_keys_are_indexed_once_and_inherited(tmp_path, monkeypatch, rows_per_lookup):
    monkeypatch.setattr("headwater.assets.storage.indexes.ROWS_PER_LOOKUP", rows_per_lookup)
    url = str(tmp_path / "ledger.lance")
    base = commit_parts(url, SCHEMA, written(url, rows(0, [str(n) for n in range(50)])))
    assert index_keys(url, base, ["doc_id"], min_rows=51) == base
    indexed = index_keys(url, base, ["doc_id"], min_rows=50)
    assert indexed > base
    assert index_keys(url, indexed, ["doc_id"], min_rows=50) == indexed
    later = refresh_parts(url, indexed, [3], written(url, rows(100, ["new"] * 20)))
    assert [item["name"] for item in open_table(url, later).list_indices()] == ["doc_id_idx"]
    assert index_keys(url, later, ["doc_id"], min_rows=50) == later
    grown = index_keys(url, later, ["doc_id"], min_rows=20)
    assert open_table(url, grown).stats.index_stats("doc_id_idx")["num_unindexed_rows"] == 0
    assert index_keys(url, later, ["doc_id"], min_rows=1) == later  # no longer the latest version
    for version in (base, indexed, later, grown):
        table = read_table(url, version)
        for doc_id in ("d3", "d7", "d105", "d' OR '1'='1", ""):
            rows_found = find_rows(url, version, "doc_id", [doc_id, "d8"])["doc_id"].to_pylist()
            assert rows_found == [i for i in table["doc_id"].to_pylist() if i in (doc_id, "d8")]


def test_values_are_quoted():
    assert equals("uri", ["it's", "plain"]) == "uri IN ('it''s', 'plain')"


def test_a_description_is_read_back(tmp_path):
    index = TextIndex(3, 10, 0.5, 1234)
    assert TextIndex.from_json(index.to_json()) == index


def test_a_missing_version_is_said(tmp_path):
    url = str(tmp_path / "documents.lance")
    commit_parts(url, SCHEMA, written(url, rows(0, ["one"])))
    with pytest.raises(FileNotFoundError, match="no version 7"):
        list(rows_with_text(url, 7, "one", ["doc_id"]))
