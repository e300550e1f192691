"""Brings the records of an older release up to the present format; tables and files stay as they are.

Format 2 added the sums behind content versions, by which rows are added and taken away, and the table versions that a
consumer read. Both can be told from what is stored: a migration reads every table once and rewrites records only. It
can be stopped anywhere and run again.
"""

import json
from pathlib import PurePosixPath
from typing import Any

from headwater.assets.storage.content import ContentSum
from headwater.assets.storage.places import Place, Store, StoreError
from headwater.assets.storage.records import RECORD_FORMAT, Record


def outdated(store: Store) -> list[tuple[Place, str]]:
    """(place, path) of every record of an older format: the history before the current record of each asset."""
    found = []
    for path in [*store.fs.glob(f"{store.root}/*/*/history/*.json"), *store.fs.glob(f"{store.root}/*/*/record.json")]:
        parts = PurePosixPath(path).parts
        asset = "/".join(parts[-4:-2] if parts[-2] == "history" else parts[-3:-1])
        if _format_of(store.place(asset), path) < RECORD_FORMAT:
            found.append((store.place(asset), path))
    return found


def migrate(place: Place, path: str) -> Record:
    """Rewrites one record in the present format.

    Raises:
        StoreError: a table's rows are not those the record names; the store was changed by something else.
    """
    data = json.loads(place.read_text(path) or "{}")
    with place.lease():
        for name, table in data["tables"].items():
            table["lanes"] = _lanes(place, name, table)
        for role, consumed in data["identity"]["inputs"].items():
            consumed["tables"] = _versions(place.store, data["identity"]["options"]["_inputs"].get(role), consumed)
        record = Record.model_validate(data | {"format": RECORD_FORMAT})
        place.write_text(path, record.model_dump_json(indent=2))
    return record


def _format_of(place: Place, path: str) -> int:
    try:
        return int(json.loads(place.read_text(path) or "{}").get("format", RECORD_FORMAT))
    except (ValueError, AttributeError):
        return RECORD_FORMAT  # damaged, not old: reading it says so


def _lanes(place: Place, name: str, table: dict[str, Any]) -> tuple[int, int]:
    """The sums of a table's row hashes; of a version that is no longer there, nothing can be built on it."""
    from headwater.assets.storage.tables import content_of_version

    try:
        content = content_of_version(place.table(name), table["version"])
    except FileNotFoundError:
        content = ContentSum()
    else:
        if content.hex() != table["content"]:
            raise StoreError(f"{place.asset}: the table {name} does not hold what its record names. Compute it anew.")
    return content.low, content.high


def _versions(store: Store, asset: str | None, consumed: dict[str, Any]) -> dict[str, int]:
    """The table versions of the record that was consumed, as the history of its asset has them."""
    if asset is None:
        return {}
    place = store.place(asset)
    text = place.read_text(f"{place.root}/history/{consumed['identity']}.json")
    tables = json.loads(text)["tables"] if text else {}
    return {name: table["version"] for name, table in tables.items()}
