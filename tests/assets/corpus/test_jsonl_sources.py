import gzip
import json
import tracemalloc

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.corpus.options import JsonLines, ReadLimits
from headwater.assets.corpus.sources.lines import bounded_lines

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: not text.isspace()))


def lines(*records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, ascii=st.booleans(), suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_any_texts_come_back(tmp_path_factory, records_of, texts, ascii, suffix):
    folder = tmp_path_factory.mktemp("jsonl")
    raw = "".join(json.dumps({"text": text}, ensure_ascii=ascii) + "\n" for text in texts).encode()
    compress = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[suffix]
    (folder / f"a.jsonl{suffix}").write_bytes(compress(raw))
    records = records_of(JsonLines(path="*.jsonl*"), folder)
    assert [(r.text, r.rule) for r in records] == [(text, None) for text in texts]
    assert [r.key for r in records] == [f"line={n}" for n in range(1, len(texts) + 1)]


def test_each_fault_costs_one_line_and_says_which(tmp_path, records_of):
    bad = [
        (b'{"text": "kept"}\r\n', None, ""),
        (b"\n", "empty", "line 2"),
        (b'{"text": "broken\n', "not_json", "line 3: Unterminated string"),
        (b'["a", "list"]\n', "not_an_object", "line 4: a JSON list"),
        (b'{"body": "x"}\n', "missing_text", "line 5: field 'text' is missing (fields: body); set text_field"),
        (b'{"text": 7}\n', "missing_text", "line 6: field 'text' holds int"),
        (b'{"text": null}\n', "missing_text", "line 7"),
        (b'{"text": " "}\n', "empty", "line 8"),
        (b'{"text": "a\xff"}\n', "not_utf8", "line 9"),
        (b'{"text": "a\\ud800b"}\n', "not_utf8", "line 10: lone surrogate U+D800 at character 1"),
        (b"[" * 100_000 + b"\n", "not_json", "line 11"),
        (b'{"n": ' + b"9" * 5000 + b"}\n", "not_json", "line 12"),
        (b"   \n", "empty", "line 13"),
        (b'{"text": "last, without a line end"}', None, ""),
    ]
    (tmp_path / "a.jsonl").write_bytes(b"".join(line for line, _, _ in bad))
    records = records_of(JsonLines(path="*.jsonl"), tmp_path)
    assert [r.rule for r in records] == [rule for _, rule, _ in bad]
    for record, (_, rule, detail) in zip(records, bad, strict=True):
        assert rule is None or f"a.jsonl, {detail}" in record.detail
    offset = sum(len(line) for line, _, _ in bad[:8]) + bad[8][0].index(b"\xff")
    assert f"byte {offset}" in records[8].detail


def test_faults_in_the_text_can_be_replaced(tmp_path, records_of):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "a\xffb"}\n{"text": "a\\ud800b \\ud83d\\ude00"}\n')
    records = records_of(JsonLines(path="*.jsonl", encoding_errors="replace"), tmp_path)
    assert [r.text for r in records] == ["a\ufffdb", "a\ufffdb \N{GRINNING FACE}"]


def test_a_byte_order_mark_before_the_first_line(tmp_path, records_of):
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + lines({"text": "one"}, {"text": "two"}))
    assert [r.text for r in records_of(JsonLines(path="*.jsonl"), tmp_path)] == ["one", "two"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_keeps_the_records_before(tmp_path, records_of, suffix):
    raw = lines(*({"text": f"{n} squared is {n * n}"} for n in range(20_000)))
    compress = gzip.compress if suffix == ".gz" else zstandard.ZstdCompressor().compress
    (tmp_path / f"a.jsonl{suffix}").write_bytes(compress(raw)[:-2000])
    *before, last = records_of(JsonLines(path="a*"), tmp_path)
    assert 10 < len(before) < 20_000
    assert [r.text for r in before] == [f"{n} squared is {n * n}" for n in range(len(before))]
    assert (last.rule, last.key) == ("truncated", f"line={len(before) + 1}")
    assert f"a.jsonl{suffix}, line {len(before) + 1:,}: ends at byte" in last.detail


def test_a_line_over_the_limit_is_passed_over(tmp_path, records_of):
    (tmp_path / "a.jsonl").write_bytes(lines({"text": "one"}, {"text": "x" * 900_000}, {"text": "three"}))
    records = records_of(JsonLines(path="a*"), tmp_path, ReadLimits(max_document_megabytes=0.5))
    assert [r.text for r in records] == ["one", None, "three"]
    assert (records[1].rule, records[1].raw_bytes) == ("too_large", 900_013)
    assert records_of(JsonLines(path="a*"), tmp_path)[1].text == "x" * 900_000


def test_fifty_megabytes_in_one_line_are_read(tmp_path, records_of):
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(lines({"text": "x" * 50_000_000}, {"text": "two"}))
    assert [len(r.text) for r in records_of(JsonLines(path="a*"), tmp_path)] == [50_000_000, 3]


def test_what_a_record_says_of_itself(tmp_path, records_of):
    record = {"body": "b", "id": 7, "u": "http://e.org", "when": "2024-05-06T07:08:09+02:00", "lic": "CC0-1.0"}
    odd = {"body": "b", "id": 8, "when": "last week", "site": "e.org", "score": float("nan"), "n": [1, {"a": "\ud800"}]}
    (tmp_path / "a.jsonl").write_bytes(lines(record, odd))
    source = JsonLines(
        path="a*", text_field="body", id_field="id", url_field="u", date_field="when", license_field="lic",
        group_field="site", meta_fields=("score", "n", "absent"),
    )  # fmt: skip
    first, second = records_of(source, tmp_path)
    assert (first.key, second.key) == ("key=7", "key=8")
    assert first.fields == {"url": "http://e.org", "license": "CC0-1.0", "date": "2024-05-06T05:08:09Z"}
    meta = {"score": None, "n": [1, {"a": "\ufffd"}], "when": "last week"}
    assert second.fields == {"group": "e.org", "meta": meta}


def test_a_repeated_identifier_still_has_a_key_of_its_own(tmp_path, records_of):
    same = {"text": "same", "id": "a"}
    (tmp_path / "a.jsonl").write_bytes(lines(same, same, {"text": "x"}, {"text": "y", "id": "b"}))
    keys = [r.key for r in records_of(JsonLines(path="a*", id_field="id"), tmp_path)]
    assert keys == ["key=a", "key=a&line=2", "line=3", "key=b"]


def test_a_line_without_end_does_not_fill_the_memory():
    tracemalloc.start()
    [line] = bounded_lines((bytes(1 << 20) for _ in range(60)), 2_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (line.size, line.data) == (60 << 20, None)
    assert peak < 12_000_000
