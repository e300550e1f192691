"""What a reader is given and what it returns, and the decoding that all readers share."""

import codecs
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.assets.corpus.source_options import EncodingErrors

if TYPE_CHECKING:
    import numpy as np

BYTE_ORDER_MARK = codecs.BOM_UTF8


class SourceError(Exception):
    """A source that cannot be read at all; the message names the file or pattern and what to do about it."""


@dataclass(frozen=True)
class SourceFile:
    """One readable unit of a source: small, picklable, and free of absolute paths in everything but `url`.

    Attributes:
        source: Name of the source.
        uri: Path below the source's static root (its path up to the first wildcard), with forward slashes.
        url: What fsspec opens on this machine; never stored.
        size: Bytes as stored.
        stamp: Entity tag or modification time, to notice changes without reading; empty when neither is known.
        group: Unit of held-out splitting of the file's records, unless they name their own.
        license: Licence of the file's records, unless they name their own.
        fault: Why the file cannot be opened on any machine, such as a link that leads nowhere; it is one unreadable
            record.
    """

    source: str
    uri: str
    url: str
    size: int
    stamp: str
    group: str | None = None
    license: str | None = None
    fault: str | None = None


class ReadRecord(NamedTuple):
    """One record met in a file, readable or not.

    Attributes:
        key: Place within the file: "" for a whole file, else line=12 (from 1), row=7 (from 0), offset=345 or key=abc.
        text: The decoded text; None when unreadable.
        raw_bytes: Bytes of the record as stored.
        rule: None, or why there is no text: not_utf8, not_json, not_csv, not_an_object, missing_text, empty,
            truncated, too_large, unreadable, http_status, media_type.
        detail: The same for people, with file and place.
        fields: What the record says of itself: url, license, date, group (strings) and meta (a JSON-able dict).
        arrays: Named arrays of a document that is not text alone; None for text.
    """

    key: str
    text: str | None
    raw_bytes: int
    rule: str | None
    detail: str | None
    fields: dict[str, Any]
    arrays: Mapping[str, "np.ndarray"] | None = None


def dropped(key: str, raw_bytes: int, rule: str, detail: str, fields: dict[str, Any] | None = None) -> ReadRecord:
    """A record without text and the reason why."""
    return ReadRecord(key, None, raw_bytes, rule, detail, fields or {})


def too_large(key: str, raw_bytes: int, limit: int, where: str) -> ReadRecord:
    """A record that was not read because it has more than `limit` bytes."""
    detail = f"{where}: {raw_bytes:,} bytes, more than max_document_megabytes allows ({limit:,} bytes)"
    return dropped(key, raw_bytes, "too_large", detail)


class Undecodable(ValueError):
    """Bytes or characters that are not valid text."""


def decode(raw: bytes, errors: EncodingErrors, start: int = 0, encoding: str = "utf-8") -> str:
    """Decode bytes strictly, or with U+FFFD for each fault if `errors` is "replace".

    `start` is where `raw` begins in its decompressed file, so that Undecodable can name the byte within the file.
    """
    try:
        return raw.decode(encoding, "replace" if errors == "replace" else "strict")
    except UnicodeDecodeError as error:
        found = raw[error.start : error.start + 4].hex(" ")
        raise Undecodable(f"not {encoding} at byte {start + error.start:,} ({found}): {error.reason}") from None


def well_formed(text: str) -> str:
    """The text with U+FFFD in place of lone surrogates, which UTF-8 cannot express."""
    if text.isascii():  # known without looking at the characters
        return text
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def spelled_out(name: str) -> str:
    """A file's name as UTF-8 can express it, different names differently: the byte FF that is no UTF-8 becomes \\xff.

    Well-formed names stay as they are. In others a backslash is doubled, so that none reads like a spelled-out byte.
    """
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return _SURROGATE_OR_BACKSLASH.sub(_spelled_character, name)


_SURROGATE_OR_BACKSLASH = re.compile(r"[\ud800-\udfff\\]")


def _spelled_character(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code == ord("\\"):
        return "\\\\"
    # Python shows bytes 80 to FF of a name that is no UTF-8 as U+DC80 to U+DCFF.
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def checked(text: str, errors: EncodingErrors) -> str:
    """The text if UTF-8 can express it; a lone surrogate is replaced, or refused with Undecodable."""
    if text.isascii():
        return text
    try:
        text.encode()
        return text
    except UnicodeEncodeError as error:
        if errors == "replace":
            return well_formed(text)
        raise Undecodable(f"lone surrogate U+{ord(text[error.start]):04X} at character {error.start:,}") from None


def record_of_text(key: str, text: str, raw_bytes: int, where: str, fields: dict[str, Any]) -> ReadRecord:
    """A record of decoded text, or the row `empty` when nothing but white space is left."""
    if not text or text.isspace():
        return dropped(key, raw_bytes, "empty", f"{where}: no text", fields)
    return ReadRecord(key, text, raw_bytes, None, None, fields)


_YEAR_OR_MONTH = re.compile(r"[0-9]{4}(-[0-9]{2})?")


def iso_date(value: Any) -> str | None:
    """A date in the one form that sorts as text: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ; None if it is none.

    Times of day are turned to UTC; one without a zone is taken as UTC.
    """
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int) and not isinstance(value, bool) and 1000 <= value <= 9999:
        return str(value)
    if not isinstance(value, str):
        return None
    written = value.strip()
    if _YEAR_OR_MONTH.fullmatch(written):
        return written
    try:
        return iso_date(date.fromisoformat(written) if len(written) <= 10 else datetime.fromisoformat(written))
    except (ValueError, OverflowError):
        return None


def jsonable(value: Any) -> Any:
    """The value as JSON can hold it: no NaN, no lone surrogates, other types as their text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {well_formed(str(key)): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(inner) for inner in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare spaces: equal values give equal bytes."""
    return json.dumps(jsonable(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
