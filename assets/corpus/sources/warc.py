"""WARC: crawled pages as text. FastWARC reads the records, Resiliparse finds the main text of HTML.

Responses that are no page (another status than 200, another type than HTML or plain text) stay in the ledger as
dropped records; requests, crawl metadata and the like are not documents and leave no trace. WET files (`conversion`
records) are read as the plain text that they are.
"""

from collections.abc import Iterator
from io import SEEK_SET
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from fastwarc import ArchiveIterator, WarcRecord, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding

from headwater.assets.corpus.options import EncodingErrors, ReadLimits, WarcFiles
from headwater.assets.corpus.sources.opening import Truncated, compression_of, decompressed, open_raw
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceFile,
    Undecodable,
    decode,
    dropped,
    iso_date,
    record_of_text,
    too_large,
    well_formed,
)

_DOCUMENTS = WarcRecordType.response | WarcRecordType.conversion
_HTML = ("text/html", "application/xhtml+xml")


def read(source: WarcFiles, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """One record per HTTP response or conversion, known by its offset in the file as stored."""
    with open_raw(file) as raw:
        archive = ArchiveIterator(raw, record_types=WarcRecordType.any_type, parse_http=False)
        last = 0
        while True:
            try:
                entry = next(archive)
                last = entry.stream_pos
                record = _record(source, file, entry, limits) if entry.record_type & _DOCUMENTS else None
            except StopIteration:
                break
            except OSError as fault:
                # FastWARC cannot find the next record after a damaged one.
                yield dropped(f"offset={last}&after", 0, "truncated", f"{file.uri}, after offset {last:,}: {fault}")
                return
            if record is not None:
                yield record
                if record.rule == "truncated":
                    return
        if (fault_at_end := _fault_at_end(raw, file, last)) is not None:
            yield dropped(f"offset={last}&after", 0, "truncated", f"{file.uri}, after offset {last:,}: {fault_at_end}")


def _fault_at_end(raw: BinaryIO, file: SourceFile, last: int) -> str | None:
    """Why the file is incomplete after its last whole record, which FastWARC passes over in silence."""
    if not file.size:
        return "the file has no bytes"
    raw.seek(last, SEEK_SET)
    tail = b""
    try:
        for chunk in decompressed(raw, compression_of(file.uri)):
            tail = (tail + chunk)[-4:]
    except Truncated as fault:
        return str(fault)
    return None if tail.endswith((b"\r\n\r\n", b"\n\n")) else "the file ends in the middle of a record"


def _record(source: WarcFiles, file: SourceFile, entry: WarcRecord, limits: ReadLimits) -> ReadRecord:
    place, where = f"offset={entry.stream_pos}", f"{file.uri}, offset {entry.stream_pos:,}"
    fields = _fields(source, entry)
    length = entry.content_length
    if length > limits.max_bytes:
        return too_large(place, length, limits.max_bytes, where)._replace(fields=fields)
    block = entry.reader.read(length)
    if len(block) < length:
        detail = f"{where}: the file ends after {len(block):,} of the record's {length:,} bytes"
        return dropped(place, len(block), "truncated", detail, fields)
    if entry.record_type == WarcRecordType.conversion:
        return _of_plain_text(source, place, block, length, where, fields)
    return _of_response(source, place, block, where, fields, limits)


def _fields(source: WarcFiles, entry: WarcRecord) -> dict[str, Any]:
    url = entry.headers.get("WARC-Target-URI")
    when = iso_date(entry.headers.get("WARC-Date"))
    fields: dict[str, Any] = {}
    if url:
        fields["url"] = well_formed(url.strip("<>"))
        if source.group == "site" and (host := _host(fields["url"])):
            fields["group"] = host
    if when:
        fields["date"] = when
    return fields


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _of_response(
    source: WarcFiles, place: str, block: bytes, where: str, fields: dict[str, Any], limits: ReadLimits
) -> ReadRecord:
    response = WarcRecord()
    response.init_headers(record_type=WarcRecordType.response)
    response.set_bytes_content(block)
    response.is_http = True
    try:
        response.parse_http(auto_decode="all")
        status = response.http_headers.status_code
        body = response.reader.read(limits.max_bytes + 1) if status == 200 else b""
    except (OSError, ValueError) as fault:
        return dropped(place, len(block), "unreadable", f"{where}: the HTTP response is malformed ({fault})", fields)
    if status != 200:
        return dropped(place, len(block), "http_status", f"{where}: HTTP status {status}", fields)
    media = (response.http_content_type or "").lower()
    if media not in (*_HTML, "text/plain"):
        return dropped(place, len(block), "media_type", f"{where}: media type {media or 'not stated'}", fields)
    if len(body) > limits.max_bytes:
        return too_large(place, len(body), limits.max_bytes, f"{where}, unpacked")._replace(fields=fields)
    try:
        text = _decoded(body, response.http_charset, media in _HTML, source.encoding_errors)
    except Undecodable as fault:
        return dropped(place, len(block), "not_utf8", f"{where}: {fault} of the page", fields)
    if media in _HTML:
        text = extract_plain_text(text, preserve_formatting=True, main_content=source.main_content)
    return record_of_text(place, text, len(block), where, fields)


def _of_plain_text(
    source: WarcFiles, place: str, block: bytes, length: int, where: str, fields: dict[str, Any]
) -> ReadRecord:
    try:
        return record_of_text(place, decode(block, source.encoding_errors), length, where, fields)
    except Undecodable as fault:
        return dropped(place, length, "not_utf8", f"{where}: {fault} of the record", fields)


def _decoded(body: bytes, charset: str | None, is_html: bool, errors: EncodingErrors) -> str:
    """Decode a page by its HTTP charset, else by UTF-8, else by what its `meta` element or its bytes suggest."""
    for encoding in (charset, "utf-8-sig"):
        if encoding:
            try:
                return body.decode(encoding).removeprefix("\ufeff")
            except (LookupError, ValueError):
                continue
    guess = detect_encoding(body, from_html_meta=is_html) or "utf-8"
    try:
        return decode(body, errors, encoding=guess).removeprefix("\ufeff")
    except LookupError:
        return decode(body, errors)
