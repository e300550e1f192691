import gzip
import io

import pytest
from fastwarc import WarcRecord, WarcRecordType
from fastwarc.stream_io import GzipWriter

from headwater.assets.corpus.options import ReadLimits, WarcFiles

MAIN = " ".join(f"This sentence number {n} belongs to the article about rivers." for n in range(30))
PAGE = f"""<!doctype html><html><head><title>Rivers</title><style>p {{color: red}}</style></head><body>
<nav class="menu"><ul><li><a href="/">Home page</a></li><li><a href="/login">Log in here</a></li></ul></nav>
<main><article><h1>Rivers and déjà vu</h1><p>{MAIN}</p></article></main>
<footer class="footer">Cookie policy and imprint</footer><script>alert(1)</script></body></html>"""


def response(url, body, head=b"Content-Type: text/html; charset=utf-8", status=b"200 OK"):
    content = b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return entry(WarcRecordType.response, content, url)


def entry(kind, content, url):
    record = WarcRecord()
    record.init_headers(record_type=kind, record_urn=f"urn:{url}".encode())
    record.headers["WARC-Target-URI"] = url
    record.headers["WARC-Date"] = "2020-02-03T04:05:06Z"
    if kind != WarcRecordType.conversion:
        record.headers["Content-Type"] = "application/http"
    record.set_bytes_content(content)
    return record


def write(path, records, compressed):
    parts = []
    for record in records:
        buffer = io.BytesIO()
        if compressed:
            with GzipWriter(buffer) as writer:
                record.write(writer)
        else:
            record.write(buffer)
        parts.append(buffer.getvalue())
    path.write_bytes(b"".join(parts))
    return parts


@pytest.mark.parametrize("compressed", [False, True])
def test_the_main_text_of_pages_with_address_date_and_offset(tmp_path, records_of, compressed):
    records = [
        entry(WarcRecordType.request, b"GET / HTTP/1.1\r\n\r\n", "http://a.org/"),
        response("http://a.org/rivers", PAGE.encode()),
        response("http://b.org/x", PAGE.encode("latin-1"), b"Content-Type: text/html; charset=iso-8859-1"),
        response("http://b.org/plain", "plain déjà".encode(), b"Content-Type: text/plain"),
        entry(WarcRecordType.conversion, "wet déjà".encode(), "http://c.org/"),
    ]
    parts = write(tmp_path / "a.warc", records, compressed)
    if compressed:
        (tmp_path / "a.warc").rename(tmp_path / "a.warc.gz")
    first, second, third, wet = records_of(WarcFiles(path="a*"), tmp_path)
    offsets = [sum(len(part) for part in parts[:n]) for n in range(1, 5)]
    assert [r.key for r in (first, second, third, wet)] == [f"offset={offset}" for offset in offsets]
    for page in (first, second):
        assert MAIN in page.text
        assert "Rivers and déjà vu" in page.text
        assert not any(word in page.text for word in ("Log in", "Cookie", "alert", "color"))
    assert (third.text, wet.text) == ("plain déjà", "wet déjà")
    assert first.fields == {"url": "http://a.org/rivers", "group": "a.org", "date": "2020-02-03T04:05:06Z"}


def test_the_whole_page_on_demand(tmp_path, records_of):
    write(tmp_path / "a.warc", [response("http://a.org/", PAGE.encode())], False)
    [record] = records_of(WarcFiles(path="a*", main_content=False, group="file"), tmp_path)
    assert MAIN in record.text
    assert "Cookie policy" in record.text
    assert "group" not in record.fields


def test_what_is_no_page_stays_in_the_ledger_with_its_reason(tmp_path, records_of):
    broken = b"Content-Type: text/html\r\nTransfer-Encoding: chunked"
    records = [
        response("http://a.org/1", b"gone", status=b"404 Not Found"),
        response("http://a.org/2", b"\x89PNG", b"Content-Type: image/png"),
        response("http://a.org/3", b"x" * 30_000, b"Content-Type: text/plain"),
        response("http://a.org/4", b"<html><body></body></html>"),
        response("http://a.org/5", b"junk", broken),
        response("http://a.org/6", gzip.compress(b"x" * 30_000), b"Content-Type: text/plain\r\nContent-Encoding: gzip"),
        response("http://a.org/7", gzip.compress(b"packed"), b"Content-Type: text/plain\r\nContent-Encoding: gzip"),
        entry(WarcRecordType.conversion, b"bad \xff", "http://a.org/8"),
    ]
    write(tmp_path / "a.warc", records, False)
    found = records_of(WarcFiles(path="a*"), tmp_path, ReadLimits(max_document_megabytes=0.02))
    rules = ["http_status", "media_type", "too_large", "empty", "unreadable", "too_large", None, "not_utf8"]
    assert [r.rule for r in found] == rules
    assert "HTTP status 404" in found[0].detail
    assert found[6].text == "packed"
    assert [r.fields["url"] for r in found] == [f"http://a.org/{n}" for n in range(1, 9)]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Type: text/html", '<meta charset="windows-1251"><p>Привет, мир и реки</p>'.encode("cp1251")),
        (b"Content-Type: text/html", "<p>Привет, мир и реки</p>".encode()),
        (
            b"Content-Type: text/html; charset=utf-8",
            '<meta charset="cp1251"><p>Привет, мир и реки</p>'.encode("cp1251"),
        ),
        (b"Content-Type: text/html; charset=nonsense", "<p>Привет, мир и реки</p>".encode()),
    ],
)
def test_a_page_is_decoded_by_the_charset_that_fits(tmp_path, records_of, head, body):
    write(tmp_path / "a.warc", [response("http://a.org/", body, head)], False)
    [record] = records_of(WarcFiles(path="a*", main_content=False), tmp_path)
    assert record.text.strip() == "Привет, мир и реки"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kept", [1, 5, 12, 60, 200, 400, -20])
def test_a_truncated_archive_keeps_the_records_before(tmp_path, records_of, compressed, kept):
    path = tmp_path / ("a.warc.gz" if compressed else "a.warc")
    texts = [" ".join(str(n * m * m % 99_991) for m in range(500)).encode() for n in range(3, 7)]
    pages = [response(f"http://a.org/{n}", text, b"Content-Type: text/plain") for n, text in enumerate(texts)]
    parts = write(path, pages, compressed)
    path.write_bytes(b"".join(parts[:3]) + parts[3][:kept])
    *before, last = records_of(WarcFiles(path="a*"), tmp_path)
    assert [r.rule for r in before if r.rule is None] == [None] * 3
    assert last.rule == "truncated"
    assert path.name in last.detail
    assert len({r.key for r in [*before, last]}) == len(before) + 1


def test_what_is_no_archive_is_told(tmp_path, records_of):
    for content in (b"", b"no archive\r\n" * 50):
        (tmp_path / "a.warc").write_bytes(content)
        assert [r.rule for r in records_of(WarcFiles(path="a*"), tmp_path)] == ["truncated"]
