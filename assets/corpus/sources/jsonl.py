"""JSON Lines: one JSON object per line."""

import json
from collections.abc import Iterator

from headwater.assets.corpus.options import EncodingErrors, JsonLines, ReadLimits, RecordFields
from headwater.assets.corpus.sources.lines import Line, bounded_lines
from headwater.assets.corpus.sources.mapped import Keys, fields_of
from headwater.assets.corpus.sources.opening import open_chunks
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceFile,
    Undecodable,
    checked,
    decode,
    dropped,
    record_of_text,
    too_large,
)


class NotAnObject(ValueError):
    """Valid JSON that is no object."""


def parse_object(written: str) -> dict[str, object]:
    """Parse one JSON object. Raises NotAnObject, or ValueError with the parser's message for anything else."""
    try:
        value = json.loads(written)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg.removesuffix(' at')} at character {error.pos + 1:,}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(value, dict):
        raise NotAnObject(f"a JSON {type(value).__name__} where an object is expected")
    return value


def record_of_object(
    record: dict[str, object], key: str, raw_bytes: int, where: str, options: RecordFields, errors: EncodingErrors
) -> ReadRecord:
    """The record that a mapping stands for: its text field and what else the options name."""
    fields = fields_of(record, options)
    text = record.get(options.text_field)
    if not isinstance(text, str):
        found = "is missing" if options.text_field not in record else f"holds {type(text).__name__}, not text"
        others = ", ".join(list(record)[:8])
        detail = f"{where}: field {options.text_field!r} {found} (fields: {others}); set text_field"
        return dropped(key, raw_bytes, "missing_text", detail, fields)
    try:
        text = checked(text, errors)
    except Undecodable as fault:
        return dropped(key, raw_bytes, "not_utf8", f"{where}: {fault}", fields)
    return record_of_text(key, text, raw_bytes, where, fields)


def read(source: JsonLines, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """One record per line, blank ones included."""
    keys = Keys()
    with open_chunks(file) as chunks:
        for line in bounded_lines(chunks, limits.max_bytes):
            yield _record(source, file, line, keys, limits)


def _record(source: JsonLines, file: SourceFile, line: Line, keys: Keys, limits: ReadLimits) -> ReadRecord:
    place, where = f"line={line.number}", f"{file.uri}, line {line.number:,}"
    if line.fault is not None:
        return dropped(place, line.size, "truncated", f"{where}: {line.fault}")
    if line.data is None:
        return too_large(place, line.size, limits.max_bytes, where)
    if not line.data.strip():
        return dropped(place, line.size, "empty", f"{where}: an empty line")
    try:
        record = parse_object(decode(line.data.rstrip(b"\r\n"), source.encoding_errors, line.offset))
    except Undecodable as fault:
        return dropped(place, line.size, "not_utf8", f"{where}: {fault}")
    except NotAnObject as fault:
        return dropped(place, line.size, "not_an_object", f"{where}: {fault}")
    except ValueError as fault:
        return dropped(place, line.size, "not_json", f"{where}: {fault}")
    key = keys.of(record.get(source.id_field) if source.id_field else None, place)
    return record_of_object(record, key, line.size, where, source, source.encoding_errors)
