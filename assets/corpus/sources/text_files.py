"""Files that are one document each."""

import codecs
from collections.abc import Iterator

from headwater.assets.corpus.options import EncodingErrors, ReadLimits, TextFiles
from headwater.assets.corpus.sources.opening import Truncated, open_chunks
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceFile,
    Undecodable,
    decode,
    dropped,
    record_of_text,
    too_large,
)

_MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}


def read(source: TextFiles, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """The file as one record: text, or why there is none."""
    yield whole_file(file, limits, source.encoding, source.encoding_errors)


def whole_file(file: SourceFile, limits: ReadLimits, encoding: str, errors: EncodingErrors) -> ReadRecord:
    """Read a whole file as one record with the key ""; stops as soon as it exceeds the limit."""
    parts: list[bytes] = []
    size = 0
    try:
        with open_chunks(file) as chunks:
            for chunk in chunks:
                size += len(chunk)
                if size > limits.max_bytes:
                    return too_large("", max(size, file.size), limits.max_bytes, file.uri)
                parts.append(chunk)
    except Truncated as fault:
        return dropped("", size, "truncated", f"{file.uri}: {fault}")
    raw = b"".join(parts)
    mark = _MARKS.get(codecs.lookup(encoding).name, b"")
    body = raw.removeprefix(mark)
    try:
        text = decode(body, errors, len(raw) - len(body), encoding)
    except Undecodable as fault:
        return dropped("", size, "not_utf8", f"{file.uri}: {fault}")
    return record_of_text("", text, size, file.uri, {})
