"""Records that are mappings (JSON objects, table rows): which of their fields mean what."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from headwater.assets.corpus.options import RecordFields
from headwater.assets.corpus.sources.records import iso_date, jsonable, well_formed

_STRING_FIELDS = ("url", "license", "group")


def fields_of(record: Mapping[str, Any], options: RecordFields) -> dict[str, Any]:
    """What a record says of itself by the options' fields: url, license, date, group and meta, where present.

    A date that cannot be understood goes to meta as it is written, rather than being guessed at.
    """
    fields: dict[str, Any] = {}
    named = options.url_field or options.license_field or options.group_field or options.date_field
    if not named and not options.meta_fields:
        return fields
    meta = {name: jsonable(record[name]) for name in options.meta_fields if record.get(name) is not None}
    for name in _STRING_FIELDS:
        value = record.get(getattr(options, f"{name}_field") or "")
        if value is not None and value != "":
            fields[name] = well_formed(str(value))
    written = record.get(options.date_field) if options.date_field else None
    if written not in (None, ""):
        if (when := iso_date(written)) is not None:
            fields["date"] = when
        else:
            meta[str(options.date_field)] = jsonable(written)
    if meta:
        fields["meta"] = meta
    return fields


class Keys:
    """Gives each record of a file a key of its own.

    A record is known by its identifier where there is one, `key=abc`; the second record with the same identifier gets
    its place too, `key=abc&line=12`, so that keys never collide. Eight bytes are remembered per identifier.
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def of(self, identifier: Any, place: str) -> str:
        """The key of the record at `place`, such as line=12, whose identifier may be None or empty."""
        if identifier is None or identifier == "":
            return place
        written = well_formed(str(identifier))
        digest = blake2b(written.encode(), digest_size=8).digest()
        if digest in self._seen:
            return f"key={written}&{place}"
        self._seen.add(digest)
        return f"key={written}"
