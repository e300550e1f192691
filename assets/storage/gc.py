"""`headwater gc`: what no record needs any more, shown first and then freed.

Freed are versions and outputs beyond the declared retention, whatever attempts left that died, and tables that only a
running stage needed. Everything happens under the leases of the assets; what a run is writing, and what it reads, is
left alone and named. A removal may be interrupted anywhere: the records go first, so nothing that is named is missing.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from headwater.assets.storage.gc_kept import LEDGERS, Kept, all_records, asset_places, what_is_kept
from headwater.assets.storage.gc_options import Retention
from headwater.assets.storage.gc_tables import (
    DEAD_ATTEMPT,
    TableFiles,
    TableWaste,
    remove_file,
    remove_tree,
    remove_waste,
    table_files,
    table_names,
    waste,
)
from headwater.assets.storage.places import Place, Store, StoreError
from headwater.assets.storage.purge import merge_small, repoint, small_runs
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import open_table, version_exists

MERGED_ROWS = 20_000  # rows of a fragment that several small ones become
PAST, ORPHAN = "past outputs", "orphan folders"
INDEXED, TEXT_INDEX = "documents", "indexes/text.json"  # the table of texts, and which version of it has an index
INDEX = "index.json"  # of shards: byte offsets, which lineage needs for as long as there is a record


@dataclass
class AssetWaste:
    """What can go from one asset."""

    place: Place
    tables: list[TableWaste] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)  # of which nothing stays
    reduced: list[Record] = field(default_factory=list)  # of which the ledgers stay
    paths: dict[str, list[tuple[str, int]]] = field(default_factory=dict)  # reason → (path, bytes)

    def bytes(self) -> dict[str, int]:
        """Bytes by reason."""
        found: dict[str, int] = {}
        for table in self.tables:
            for reason in table.by_reason:
                found[reason] = found.get(reason, 0) + table.bytes(reason)
        for reason, paths in self.paths.items():
            found[reason] = found.get(reason, 0) + sum(size for _, size in paths)
        return found


@dataclass
class GcPlan:
    """What a collection would free, and which assets it leaves alone because a run uses them."""

    assets: list[AssetWaste]
    skipped: dict[str, str]  # asset → why
    merged: list[tuple[str, str, int, int]] = field(default_factory=list)  # asset, table, fragments before and after

    def rows(self) -> list[tuple[str, str, int]]:
        """(asset, reason, bytes) of everything that would go, assets in order."""
        return [
            (a.place.asset, reason, size) for a in self.assets for reason, size in sorted(a.bytes().items()) if size
        ]

    @property
    def bytes(self) -> int:
        """All bytes that would be freed."""
        return sum(size for _, _, size in self.rows())


def plan_gc(
    store: Store,
    retention: Retention,
    consumers: Mapping[str, Sequence[str]] | None = None,
    now: datetime | None = None,
) -> GcPlan:
    """What a collection would free now.

    Args:
        consumers: asset → what its declaration reads, for assets that have no record yet.
    """
    with leases(asset_places(store)) as busy:
        return _plan(store, retention, busy, consumers or {}, now or datetime.now(UTC))


def collect(
    store: Store,
    retention: Retention,
    consumers: Mapping[str, Sequence[str]] | None = None,
    now: datetime | None = None,
) -> GcPlan:
    """Frees what :func:`plan_gc` says at this moment, and returns it."""
    with leases(asset_places(store)) as busy:
        merged = _merge(store, retention, busy, consumers or {})
        plan = _plan(store, retention, busy, consumers or {}, now or datetime.now(UTC))
        plan.merged = merged
        for asset in plan.assets:
            _free(asset)
        return plan


@contextlib.contextmanager
def leases(places: Iterable[Place]) -> Iterator[set[str]]:
    """Holds the leases of all assets that no run is writing; gives the names of the others."""
    busy: set[str] = set()
    with contextlib.ExitStack() as held:
        for place in places:
            try:
                held.enter_context(place.lease())
            except StoreError:
                busy.add(place.asset)
        yield busy


def in_use(places: Sequence[Place], busy: Iterable[str], consumers: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Assets that must be left alone → why: those being written, and what they read."""
    found: dict[str, str] = {}
    for asset in sorted(busy):
        found[asset] = "a run is writing it"
        record = next((place.record() for place in places if place.asset == asset), None)
        known = list(record.identity.options.get("_inputs", {}).values()) if record is not None else []
        reads = [*known, *consumers.get(asset, ())]
        if not reads and record is None:
            reads = [place.asset for place in places]  # a first run of something undeclared: it may read anything
        for other in reads:
            found.setdefault(other, f"the run of {asset} reads it")
    return found


def _plan(
    store: Store, retention: Retention, busy: set[str], consumers: Mapping[str, Sequence[str]], now: datetime
) -> GcPlan:
    places = asset_places(store)
    skipped = in_use(places, busy, consumers)
    kept = what_is_kept(places, retention, skipped, now)
    assets = [_asset_waste(place, kept, retention, now) for place in places if place.asset not in skipped]
    return GcPlan(assets, skipped)


def _merge(
    store: Store, retention: Retention, busy: set[str], consumers: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, int, int]]:
    """Puts the fragments of long-refreshed tables together: the same rows in the same order, pinned by all who read."""
    places = asset_places(store)
    skipped, records, found = in_use(places, busy, consumers), all_records(places), []
    for place in places:
        record = place.record() if place.asset not in skipped else None
        for name, table in record.tables.items() if record else ():
            opened = open_table(place.table(name), table.version)
            count = len(opened.get_fragments())
            if count <= retention.merge_fragments or len(small_runs(opened, MERGED_ROWS)) > count // 4:
                continue
            new = merge_small(place.table(name), table.version, MERGED_ROWS)
            repoint(places, records, place.asset, name, table.version, new)
            found.append((place.asset, name, count, len(open_table(place.table(name), new).get_fragments())))
    return found


def _asset_waste(place: Place, kept: Kept, retention: Retention, now: datetime) -> AssetWaste:
    found = AssetWaste(place, records=kept.dropped(place.asset), reduced=kept.reduced(place.asset))
    alive, dead = _attempts(place, now - timedelta(hours=retention.attempt_hours))
    found.paths[DEAD_ATTEMPT] = dead + _temporary(place)
    protected = _finished_fragments(place, alive)
    for name in table_names(place):
        versions = kept.versions.get((place.asset, name), set())
        published = kept.published(place.asset, name)
        files = {path.removeprefix(f"{name}/") for path in protected if path.startswith(f"{name}/")}
        remembered = kept.remembers(place.asset, name)
        listed = table_files(place, name)
        if name == INDEXED:
            versions = versions | _text_index(place, listed, versions)
        found.tables.append(waste(listed, versions, published, files, remembered))
    _folders(found, kept, now - timedelta(hours=retention.attempt_hours))
    return found


def _text_index(place: Place, files: TableFiles, kept: set[int]) -> set[int]:
    """The version that holds the index of texts, as long as it covers what stays and holds no other rows."""
    version = json.loads(place.read_text(f"{place.root}/{TEXT_INDEX}") or "{}").get("version")
    if version not in files.manifests:
        return set()
    rows = {path for path in files.needs(version) if path.startswith("data/")}
    stays: set[str] = set().union(*(files.needs(number) for number in kept & set(files.manifests)))
    return {version} if rows and rows <= stays else set()


def _attempts(place: Place, youngest: datetime) -> tuple[list[str], list[tuple[str, int]]]:
    """Folders of interrupted runs that may go on, and the files of those that are given up."""
    alive, dead = [], []
    for folder in place.store.fs.glob(f"{place.root}/pending/*"):
        files = place.store.fs.find(folder, detail=True)
        if any(_modified(place, path) > youngest for path in files):
            alive.append(folder)
        else:
            dead += [(path, int(info.get("size") or 0)) for path, info in files.items()]
    return alive, dead


def _modified(place: Place, path: str) -> datetime:
    try:
        found: datetime = place.store.fs.modified(path)
    except (NotImplementedError, FileNotFoundError):
        return datetime.now(UTC)  # a store that tells no times: nothing is given up for its age
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _finished_fragments(place: Place, attempts: Iterable[str]) -> set[str]:
    """``table/data/file`` of every fragment that an interrupted run has finished."""
    found = set()
    for folder in attempts:
        for path in place.store.fs.find(folder):
            fragments = json.loads(place.read_text(path) or "{}").get("fragments", {})
            for table, texts in fragments.items():
                for text in texts:
                    found |= {f"{table}/data/{file['path']}" for file in json.loads(text)["files"]}
    return found


def _temporary(place: Place) -> list[tuple[str, int]]:
    """Files that a killed process was writing: they take their name only when they are whole."""
    found = []
    for folder in ("", "/history", "/pending", "/files", "/released"):
        depth = 1 if not folder else None
        files = place.store.fs.find(f"{place.root}{folder}", maxdepth=depth, detail=True)
        hidden = [path for path in files if "/." in f"/{path.split(f'/{place.asset}/', 1)[-1]}"]
        found += [(path, _size(files[path])) for path in hidden]
    return found


def _size(info: Mapping[str, Any]) -> int:
    return int(info.get("size") or 0)


def _folders(found: AssetWaste, kept: Kept, youngest: datetime) -> None:
    """Sorts the folders of identities: of past outputs, of no record at all, or still needed."""
    place = found.place
    gone, reduced = {r.digest for r in found.records}, {r.digest for r in found.reduced}
    known = {digest for asset, digest in kept.records if asset == place.asset}
    for folder in place.store.fs.glob(f"{place.root}/files/*"):
        identity = folder.rsplit("/", 1)[-1]
        files = [(path, _size(info)) for path, info in place.store.fs.find(folder, detail=True).items()]
        if identity in gone:
            found.paths.setdefault(PAST, []).extend(files)
        elif identity in reduced:
            found.paths.setdefault(PAST, []).extend(f for f in files if not f[0].endswith(f"/{INDEX}"))
        elif identity not in known and not any(_modified(place, path) > youngest for path, _ in files):
            found.paths.setdefault(ORPHAN, []).extend(files)
    history = [f"{place.root}/history/{record.digest}.json" for record in found.records]
    sizes = [(path, _size(place.store.fs.info(path))) for path in history if place.store.fs.exists(path)]
    found.paths.setdefault(PAST, []).extend(sizes)


def _free(found: AssetWaste) -> None:
    place = found.place
    for record in found.records:
        remove_file(place.store, f"{place.root}/history/{record.digest}.json")
    for record in found.reduced:
        note_released(place, record, "retention", [name for name in record.tables if name not in LEDGERS])
    for table in found.tables:
        remove_waste(table)
    for paths in found.paths.values():
        for path, _ in paths:
            remove_file(place.store, path)
    for folder in ("files", "pending"):
        _remove_empty(place, f"{place.root}/{folder}")


def _remove_empty(place: Place, root: str) -> None:
    for folder in place.store.fs.glob(f"{root}/*"):
        if place.store.fs.isdir(folder) and not place.store.fs.find(folder):
            remove_tree(place.store, folder)
    if place.store.fs.exists(root) and not place.store.fs.find(root):
        remove_tree(place.store, root)


def note_released(place: Place, record: Record, why: str, tables: Iterable[str], files: Sequence[str] = ()) -> None:
    """Says beside a record what of it is no longer there: ``released/<identity>.json``."""
    path = f"{place.root}/released/{record.digest}.json"
    before = json.loads(place.read_text(path) or "{}")
    merged = {
        "why": sorted({*before.get("why", []), why}),
        "tables": sorted({*before.get("tables", []), *tables}),
        "files": sorted({*before.get("files", []), *(files or record.files)}),
        "date": before.get("date") or datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if merged != before:
        place.write_text(path, json.dumps(merged, indent=2))


def released(place: Place, record: Record) -> dict[str, Any] | None:
    """What of a record is no longer there: ``why`` (retention, withdrawal), ``tables``, ``files``, ``date``.

    None where all is there, also when it was made again since.
    """
    text = place.read_text(f"{place.root}/released/{record.digest}.json")
    if text is None:
        return None
    whole = all(version_exists(place.table(name), table.version) for name, table in record.tables.items())
    return None if whole and not place.lost(record) else json.loads(text)
