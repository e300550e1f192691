"""Taking an output away as a whole, where it can be neither kept nor made anew.

What goes is the current record, so that readers see none, and then the payload of all its versions: texts, tokens,
weights, shards, parts of interrupted runs. Ledgers (ids and numbers) and past records stay, so that a trace still says
what a checkpoint saw; a note says who discarded the output, why and when. A discard that is interrupted is gone on with
by the same command.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from headwater.assets.storage.gc import INDEX, in_use, leases, note_released
from headwater.assets.storage.gc_kept import LEDGERS, all_records, asset_places
from headwater.assets.storage.gc_tables import TableFiles, remove_file, remove_tree, table_files, table_names
from headwater.assets.storage.places import Place, Store, StoreError
from headwater.assets.storage.purge import data_files, drop_versions
from headwater.assets.withdrawal.blocklist import ASSET

NOTE = "discarded.json"


@dataclass(frozen=True)
class Discarded:
    """What a discard removes of one asset."""

    asset: str
    identity: str | None  # of the output that is current; None where its record went before
    tables: dict[str, int]  # payload tables → bytes of all versions
    files: int
    file_bytes: int
    pending: bool
    readers: tuple[str, ...]  # current outputs of others that were made from it

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return self.identity is None and not (self.tables or self.files or self.pending)


def outputs_named(store: Store, name: str) -> list[str]:
    """The assets of a component, or the asset of that name, that have anything in the store.

    Raises:
        StoreError: there are none, or it is the history of withdrawals, which stays.
    """
    known = [place.asset for place in asset_places(store) if place.asset != ASSET]
    found = [asset for asset in known if asset == name or asset.startswith(f"{name}/")]
    if name in (ASSET, ASSET.split("/")[0]):
        raise StoreError("The withdrawals are kept for ever: without them, what was withdrawn would come back.")
    if not found:
        raise StoreError(f"The store holds no output of '{name}'. It holds: {', '.join(known) or 'nothing'}.")
    return found


def discard_plan(store: Store, assets: Sequence[str]) -> list[Discarded]:
    """What :func:`discard` would remove."""
    places = asset_places(store)
    current = [record for place in places if (record := place.record()) is not None]
    found = []
    for asset in assets:
        place = store.place(asset)
        record = place.record()
        files = _payload_files(place)
        readers = [r.asset for r in current if asset in r.identity.options.get("_inputs", {}).values()]
        found.append(
            Discarded(
                asset=asset,
                identity=record.digest if record else None,
                tables={files.name: sum(files.sizes.values()) for files in _payload_tables(place)},
                files=len(files),
                file_bytes=sum(files.values()),
                pending=bool(store.fs.find(f"{place.root}/pending")),
                readers=tuple(sorted({*readers} - {*assets})),
            )
        )
    return found


def discard(
    store: Store, assets: Sequence[str], reason: str, by: str, consumers: Mapping[str, Sequence[str]] | None = None
) -> list[Discarded]:
    """Takes outputs away and returns what was removed; none of them before all can be.

    Args:
        consumers: asset → what its declaration reads, for assets that have no record yet.

    Raises:
        StoreError: a run is writing one of them, or reads it.
    """
    with _unused(store, assets, consumers or {}):
        found = discard_plan(store, assets)
        for item in found:
            if not item.empty:
                _remove(store.place(item.asset), item, reason, by)
        return found


@contextmanager
def _unused(store: Store, assets: Sequence[str], consumers: Mapping[str, Sequence[str]]) -> Iterator[None]:
    places = asset_places(store)
    with leases(places) as busy:
        used = in_use(places, busy, consumers)
        for asset in assets:
            if asset in used:
                raise StoreError(f"{asset} cannot be discarded now: {used[asset]}. Wait for it, or end it.")
        yield


def _remove(place: Place, item: Discarded, reason: str, by: str) -> None:
    """Removes an output: the note and the record first, so that whatever comes after can be done again."""
    _write_note(place, item, reason, by)
    records = [record for (_, _), record in all_records([place]).items()]
    for record in records:
        place.write_text(f"{place.root}/history/{record.digest}.json", record.model_dump_json(indent=2))
    remove_file(place.store, f"{place.root}/record.json")
    for record in records:
        files = [name for name in record.files if not name.endswith(INDEX)]
        tables = [name for name in record.tables if name not in LEDGERS]
        if files or tables:
            note_released(place, record, "discarded", tables, files)
    remove_tree(place.store, f"{place.root}/pending")
    for table in _payload_tables(place):
        drop_versions(place, table.name, set(table.versions), set(data_files(table)))
    for path in _payload_files(place):
        remove_file(place.store, path)


def _write_note(place: Place, item: Discarded, reason: str, by: str) -> None:
    path = f"{place.root}/{NOTE}"
    notes: list[dict[str, Any]] = json.loads(place.read_text(path) or "[]")
    if item.identity is None and notes:
        return  # the rest of a discard that was interrupted
    date = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"identity": item.identity, "reason": reason, "by": by, "date": date}
    place.write_text(path, json.dumps([*notes, entry], indent=2, ensure_ascii=False))


def _payload_tables(place: Place) -> list[TableFiles]:
    """Tables with rows that are more than ids and numbers, in any version."""
    tables = [table_files(place, name) for name in table_names(place) if name not in LEDGERS]
    return [table for table in tables if data_files(table)]


def _payload_files(place: Place) -> dict[str, int]:
    """Files of all outputs → bytes; the index of shards stays, as lineage needs it."""
    found = place.store.fs.find(f"{place.root}/files", detail=True)
    return {path: int(info.get("size") or 0) for path, info in found.items() if path.rsplit("/", 1)[-1] != INDEX}
