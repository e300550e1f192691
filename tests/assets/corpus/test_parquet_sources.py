from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.corpus.options import ParquetFiles, ReadLimits
from headwater.assets.corpus.reading import SourceError

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text.isspace()))
TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, kind=st.sampled_from(TYPES), rows=st.integers(1, 4))
def test_any_texts_come_back(tmp_path_factory, records_of, texts, kind, rows):
    folder = tmp_path_factory.mktemp("parquet")
    values = [text.encode() for text in texts] if kind == pa.binary() else texts
    table = pa.table({"n": pa.array(range(len(texts)), pa.int64()), "text": pa.array(values, pa.string()).cast(kind)
                      if kind != pa.binary() else pa.array(values, kind)})  # fmt: skip
    pq.write_table(table, folder / "a.parquet", row_group_size=rows)
    records = records_of(ParquetFiles(path="*.parquet"), folder)
    assert [(r.text, r.rule, r.key) for r in records] == [(t, None, f"row={n}") for n, t in enumerate(texts)]


def test_what_a_row_says_of_itself(tmp_path, records_of):
    moment = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    columns = {
        "body": ["one", "two"],
        "id": ["a", "a"],
        "day": [date(2020, 1, 2), None],
        "seen": [moment, moment],
        "site": ["e.org", None],
        "unused": [b"\xff", b"\xff"],
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    source = ParquetFiles(
        path="a*", text_field="body", id_field="id", date_field="day", group_field="site", meta_fields=("seen",)
    )
    first, second = records_of(source, tmp_path)
    meta = {"seen": "2024-05-06 07:08:09+00:00"}
    assert (first.key, first.fields) == ("key=a", {"group": "e.org", "date": "2020-01-02", "meta": meta})
    assert (second.key, second.fields) == ("key=a&row=1", {"meta": meta})


def test_bad_bytes_nulls_and_large_values_cost_one_row(tmp_path, records_of):
    text = pa.array([b"fine", b"bad\xff", None, b"", b"x" * 30_000, b"end"]).cast(pa.binary()).view(pa.binary())
    unchecked = pa.StringArray.from_buffers(len(text), *text.buffers()[1:], text.buffers()[0])
    pq.write_table(pa.table({"text": unchecked}), tmp_path / "a.parquet")
    records = records_of(ParquetFiles(path="a*"), tmp_path, ReadLimits(max_document_megabytes=0.02))
    assert [r.rule for r in records] == [None, "not_utf8", "missing_text", "empty", "too_large", None]
    assert "a.parquet, row 1: not utf-8 at byte 3" in records[1].detail
    replaced = records_of(ParquetFiles(path="a*", encoding_errors="replace"), tmp_path)
    assert replaced[1].text == "bad\ufffd"


def test_a_cut_off_file_is_one_truncated_row(tmp_path, records_of):
    pq.write_table(pa.table({"text": ["one"] * 1000}), tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    for content in (raw[:-50], b""):
        (tmp_path / "a.parquet").write_bytes(content)
        [record] = records_of(ParquetFiles(path="a*"), tmp_path)
        assert record.rule == "truncated"
        assert record.detail.startswith("a.parquet: ")


def test_a_damaged_row_group_costs_its_rows_only(tmp_path, records_of):
    texts = [f"text {n}" for n in range(30)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", row_group_size=10, use_dictionary=False)
    column = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(1).column(0)
    raw = bytearray((tmp_path / "a.parquet").read_bytes())
    raw[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = (
        b"\xff" * column.total_compressed_size
    )
    (tmp_path / "a.parquet").write_bytes(raw)
    records = records_of(ParquetFiles(path="a*"), tmp_path)
    assert [r.text for r in records if r.rule is None] == texts[:10] + texts[20:]
    [damaged] = [r for r in records if r.rule]
    assert (damaged.rule, damaged.key) == ("unreadable", "row=10")
    assert "rows 10 to 19: row group 1 is damaged" in damaged.detail
    assert len({r.key for r in records}) == len(records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_field": "body"}, r"a\.parquet: no column is called 'body'; it has text, n: set text_field"),
        ({"text_field": "n"}, r"column 'n' holds int64, not text"),
        ({"meta_fields": ("absent",)}, r"no column is called 'absent'"),
    ],
)
def test_a_wrong_column_stops_with_the_mend(tmp_path, records_of, options, message):
    pq.write_table(pa.table({"text": ["one"], "n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=message):
        records_of(ParquetFiles(path="a*", **options), tmp_path)
