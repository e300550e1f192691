import csv
import gzip
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.corpus.options import CsvFiles, ReadLimits
from headwater.assets.corpus.reading import SourceError

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text.isspace()))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, delimiter=st.sampled_from(",;\t"), end=st.sampled_from(["\n", "\r\n"]))
def test_any_texts_come_back(tmp_path_factory, records_of, texts, delimiter, end):
    folder = tmp_path_factory.mktemp("csv")
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["n", "text"])
        writer.writerows(enumerate(texts))
    records = records_of(CsvFiles(path="*.csv", delimiter=delimiter), folder)
    assert [(r.text, r.rule, r.key) for r in records] == [(t, None, f"row={n}") for n, t in enumerate(texts)]


def test_each_fault_costs_one_row_and_says_which(tmp_path, records_of):
    rows = [
        b'1,"first\nof two lines"\n',
        b"2,bad\xffbyte\n",
        b"3,one,too many\n",
        b'4,"broken"quote\n',
        b"\n",
        b"6,\n",
        b'7,"say ""hi"", ok"\n',
    ]
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,text\n" + b"".join(rows))
    records = records_of(CsvFiles(path="*.csv", id_field="id"), tmp_path)
    rules = [None, "not_utf8", "not_csv", "not_csv", "empty", "empty", None]
    assert [r.rule for r in records] == rules
    assert [r.key for r in records] == ["key=1", "key=2", "row=2", "row=3", "row=4", "key=6", "key=7"]
    assert records[0].text == "first\nof two lines"
    assert records[6].text == 'say "hi", ok'
    assert "a.csv, row 1 from line 4: not utf-8 at byte 3 (ff 62 79 74)" in records[1].detail
    assert "row 2 from line 5: 3 cells under 2 columns" in records[2].detail


def test_bad_bytes_can_be_replaced(tmp_path, records_of):
    (tmp_path / "a.csv").write_bytes(b"text\nbad\xffbyte\n")
    assert records_of(CsvFiles(path="*.csv", encoding_errors="replace"), tmp_path)[0].text == "bad\ufffdbyte"


def test_a_quote_that_is_never_closed_is_told(tmp_path, records_of):
    (tmp_path / "a.csv").write_bytes(b'text\none\n"two\nthree\nfour\n')
    first, second = records_of(CsvFiles(path="*.csv"), tmp_path)
    assert (first.text, second.rule) == ("one", "truncated")
    assert "row 1 from line 3: a quote opened in this row is never closed" in second.detail


@pytest.mark.parametrize("quoted", [True, False])
def test_a_truncated_file_keeps_the_rows_before(tmp_path, records_of, quoted):
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerows([["text"], *([f"{n} and\n{n * n}" if quoted else f"{n} {n * n}"] for n in range(20_000))])
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(buffer.getvalue().encode())[:-2000])
    *before, last = records_of(CsvFiles(path="a*"), tmp_path)
    assert len(before) > 10
    assert all(r.rule is None for r in before)
    assert (last.rule, last.key) == ("truncated", f"row={len(before)}")


@pytest.mark.parametrize("large", ["x" * 30_000, "\n" * 30_000, 'a ""quoted"" word\n' * 2_000])
def test_a_row_over_the_limit_is_passed_over(tmp_path, records_of, large):
    (tmp_path / "a.csv").write_text(f'id,text\n1,one\n2,"{large}"\n3,three\n')
    records = records_of(CsvFiles(path="*.csv"), tmp_path, ReadLimits(max_document_megabytes=0.02))
    assert [r.text for r in records] == ["one", None, "three"]
    assert (records[1].rule, records[1].raw_bytes) == ("too_large", len(large) + len('2,""\n'))


def test_a_missing_column_stops_with_the_mend(tmp_path, records_of):
    (tmp_path / "a.csv").write_text("id;body\n1;x\n")
    with pytest.raises(SourceError, match=r"a\.csv: no column is called 'text'; line 1 has id;body: set text_field"):
        records_of(CsvFiles(path="*.csv"), tmp_path)


def test_tabs_by_the_file_name_and_an_empty_file(tmp_path, records_of):
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"id\ttext\n1\ta, b\n"))
    (tmp_path / "b.tsv").write_bytes(b"")
    first, second = records_of(CsvFiles(path="*.tsv*"), tmp_path)
    assert (first.text, second.rule) == ("a, b", "empty")
