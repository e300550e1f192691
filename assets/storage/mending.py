"""Mending: outputs that are damaged lose their claim, so that the next materialization makes them anew.

A note ``damaged/<identity>.json`` beside a record takes the claim away: such an output is not reused, not restored
and not built on. The record itself stays, for lineage. Lance versions share data files, so every output of the history
that names a damaged one is noted. Tables of one corpus are joined by position, and what is made anew in full may have
another order of rows; so tables that were made from a noted output are noted with it.
"""

from collections.abc import Collection, Iterable, Mapping

from headwater.assets.storage.gc_kept import Named, all_records, asset_places, consumed
from headwater.assets.storage.gc_tables import table_files
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.verification import Fault, Version, file_problem, joined_by_position

Given = dict[Named, set[str]]  # outputs that lose their claim → what of them, or under them, is damaged


def mend(store: Store, faults: Collection[Fault], keep: Collection[str] = ()) -> Given:
    """Takes the claim of damaged outputs away and removes the files of those whose files are damaged.

    Args:
        faults: as verification found them.
        keep: assets that nothing can make anew; they are left as they are.

    Raises:
        StoreError: another run writes one of the assets.
    """
    places = {place.asset: place for place in asset_places(store)}
    records = all_records(places.values())
    files = _with_damaged_files(places, records, faults)
    given = _with_damaged_tables(places, records, faults)
    for name, what in files.items():
        given.setdefault(name, set()).update(what)
    _add_what_is_joined(records, given)
    given = {name: what for name, what in given.items() if name[0] not in keep}
    for (asset, identity), what in sorted(given.items()):
        with places[asset].lease():
            places[asset].note_damage(identity, sorted(what))
            if (asset, identity) in files:
                places[asset].discard(identity)
    return given


def _with_damaged_files(places: Mapping[str, Place], records: Mapping[Named, Record], faults: Iterable[Fault]) -> Given:
    """Outputs with a damaged file. Shards carried over are one file under many names: damaged in one, in all."""
    given: Given = {}
    for fault in faults:
        if fault.file is None:
            continue
        expected = records[fault.asset, fault.identity].files[fault.file]
        for (asset, identity), record in records.items():
            if asset != fault.asset or record.files.get(fault.file) != expected:
                continue
            path = f"{places[asset].folder(identity)}/{fault.file}"
            here = places[asset].store.fs.exists(path)
            if identity == fault.identity or (here and file_problem(places[asset], path, expected, _ignore)):
                given.setdefault((asset, identity), set()).add(fault.file)
    return given


def _with_damaged_tables(
    places: Mapping[str, Place], records: Mapping[Named, Record], faults: Iterable[Fault]
) -> Given:
    """Outputs that publish a damaged version, or whose tables and shards are joined to one."""
    damaged = _damaged_versions(places, records, faults)
    given: Given = {}
    for named, record in records.items():
        own = {Version(record.asset, name, table.version) for name, table in record.tables.items()}
        read = {Version(a, name, n) for a, _, tables in consumed(record) for name, n in tables.items()}
        what = {version.table for version in own & damaged}
        if joined_by_position(record):
            what |= {f"{version.table} of {version.asset}" for version in read & damaged}
        if what:
            given[named] = what
    return given


def _damaged_versions(
    places: Mapping[str, Place], records: Mapping[Named, Record], faults: Iterable[Fault]
) -> set[Version]:
    """Every version that a record names and that shares a damaged data file."""
    damaged: set[Version] = set()
    for fault in faults:
        if fault.version is None:
            continue
        damaged.add(fault.version)
        asset, name, _ = fault.version
        files = table_files(places[asset], name)
        named = {r.tables[name].version for r in records.values() if r.asset == asset and name in r.tables}
        named |= {t[name] for r in records.values() for a, _, t in consumed(r) if a == asset and name in t}
        for number in named & set(files.versions):
            try:
                if files.needs(number) & fault.data_files:
                    damaged.add(Version(asset, name, number))
            except FileNotFoundError:
                damaged.add(Version(asset, name, number))
    return damaged


def _add_what_is_joined(records: Mapping[Named, Record], given: Given) -> None:
    """Adds, as long as any is found, outputs with tables that were made from tables of one that is given up."""
    grew = True
    while grew:
        grew = False
        for named, record in records.items():
            if named in given or not record.tables:
                continue
            under = {asset for asset, identity, tables in consumed(record) if tables and (asset, identity) in given}
            if under:
                given[named], grew = {f"the rows of {asset}" for asset in under}, True


def _ignore(_: float) -> None:
    """Nobody waits for a second look at a few files."""
