"""The files of a Lance table, and which of them no kept version needs.

Lance writes nothing twice: a version is one manifest that names data files, deletion marks and indexes, most of which
it shares with others. So what a version alone holds is a difference of sets, known exactly before anything is removed.
Manifests go first: a removal that is interrupted leaves files that no version names, for the next one to find.
"""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.tables import commit_parts, open_table

_LAST = (1 << 64) - 1  # manifests are named by what is left to here, so that the newest comes first in a listing
_MANIFEST = re.compile(r"^_versions/(\d+)\.manifest$")
_TRANSACTION = re.compile(r"^_transactions/(\d+)-")
_OWN = re.compile(r"^(data|_deletions|_indices|_transactions|_versions)/")

EMPTY = 0  # stands for an empty version where no other may be the newest
OLD_VERSION, DEAD_ATTEMPT, SCRATCH = "old versions", "dead attempts", "scratch tables"


@dataclass
class TableFiles:
    """Everything below a table's folder: path within it → bytes, and which version is which manifest."""

    place: Place
    name: str
    sizes: dict[str, int]
    manifests: dict[int, str]
    _needs: dict[int, set[str]] = field(default_factory=dict)

    @property
    def versions(self) -> list[int]:
        """Versions that can be opened, ascending."""
        return sorted(self.manifests)

    @property
    def latest(self) -> int:
        """The newest version; 0 where none was ever committed."""
        return max(self.manifests, default=0)

    def needs(self, version: int) -> set[str]:
        """The files that a version names, its own manifest included."""
        if version not in self._needs:
            self._needs[version] = {self.manifests[version], *self._named(version)}
        return self._needs[version]

    def _named(self, version: int) -> Iterable[str]:
        table = open_table(self.place.table(self.name), version)
        for fragment in table.get_fragments():
            yield from (f"data/{file.path}" for file in fragment.data_files())
            if mark := fragment.deletion_file():
                yield mark
        folders = tuple(f"_indices/{index['uuid']}/" for index in table.list_indices())
        yield from (path for path in self.sizes if path.startswith(folders))
        yield from (p for p in self.sizes if (found := _TRANSACTION.match(p)) and int(found[1]) + 1 == version)


def table_files(place: Place, name: str) -> TableFiles:
    """Lists a table's folder."""
    root = f"{place.root}/tables/{name}.lance"
    found = _below(place.store, root)
    manifests = {}
    for path in found:
        if match := _MANIFEST.match(path):
            number = int(match[1])
            manifests[_LAST - number if len(match[1]) == 20 else number] = path
    return TableFiles(place, name, found, manifests)


def _below(store: Store, root: str) -> dict[str, int]:
    """Path within a folder → bytes, of every file below it."""
    if not store.fs.exists(root):
        return {}
    detail: dict[str, Any] = store.fs.find(root, detail=True)
    prefix = store.fs._strip_protocol(root).rstrip("/") + "/"
    return {path.removeprefix(prefix): int(info.get("size") or 0) for path, info in detail.items()}


def table_names(place: Place) -> list[str]:
    """Names of the tables in an asset's folder, published or not."""
    found = place.store.fs.glob(f"{place.root}/tables/*.lance")
    return sorted(path.rsplit("/", 1)[-1].removesuffix(".lance") for path in found)


@dataclass
class TableWaste:
    """What can go from a table: reason → files, and whether its newest version must be covered by an older one."""

    files: TableFiles
    by_reason: dict[str, list[str]]
    restore: int | None = None  # the version to put on top; EMPTY: one without rows

    def bytes(self, reason: str) -> int:
        """Bytes of the files that go for a reason."""
        return sum(self.files.sizes[path] for path in self.by_reason.get(reason, []))


def waste(
    files: TableFiles, kept: set[int], published: set[int], protected: set[str], remembered: bool = False
) -> TableWaste:
    """Which files of a table no kept version needs.

    Args:
        files: the listing.
        kept: versions that records need.
        published: versions that any record names, kept or not: the others were committed by runs that then died.
        protected: data files that an interrupted run has finished.
        remembered: records that stay name versions of the table, although none of these stays.
    """
    kept = kept & set(files.manifests)
    needed = protected.union(*(files.needs(version) for version in kept))
    restore = None
    if kept and files.latest not in kept:
        if files.needs(files.latest) - {files.manifests[files.latest]} <= needed | _transactions(files):
            needed |= files.needs(files.latest)  # the same rows again: it stands guard over the numbers
        else:
            restore = max(kept)  # numbers are never given twice: a version that may stay must be the newest
    if remembered and not kept and files.versions:
        if any(path.startswith("data/") for path in files.needs(files.latest)):
            restore = EMPTY
        else:
            needed |= files.needs(files.latest)
    named = _named_by(files, published)
    by_reason: dict[str, list[str]] = {}
    for path in files.sizes:
        if path in needed or not _OWN.match(path) or path.endswith("version_hint.json"):
            continue
        reason = (OLD_VERSION if path in named else DEAD_ATTEMPT) if kept or published else SCRATCH
        by_reason.setdefault(reason, []).append(path)
    return TableWaste(files, by_reason, restore)


def _named_by(files: TableFiles, published: set[int]) -> set[str]:
    """Files of published versions, and what led from one to the next: a refresh takes two or three small steps."""
    last = max(published, default=0)
    found: set[str] = set()
    for version in files.versions:
        if version in published:
            found |= files.needs(version)
        elif version < last:
            found |= {path for path in files.needs(version) if not path.startswith("data/")}
    return found


def _transactions(files: TableFiles) -> set[str]:
    return {path for path in files.sizes if path.startswith("_transactions/")}


def remove_waste(found: TableWaste) -> None:
    """Removes what :func:`waste` found: first what makes a version visible, then what it held."""
    files, place = found.files, found.files.place
    if found.restore == EMPTY:
        guard_numbers(place, files)
    elif found.restore is not None:
        open_table(place.table(files.name), found.restore).restore()
    paths = [path for paths in found.by_reason.values() for path in paths]
    root = f"{place.root}/tables/{files.name}.lance"
    for path in sorted(paths, key=lambda path: not path.startswith("_versions/")):
        remove_file(place.store, f"{root}/{path}")
    remove_empty_folders(place.store, f"{root}/_indices")
    if not table_files(place, files.name).manifests and not place.store.fs.glob(f"{root}/data/*"):
        remove_tree(place.store, root)


def guard_numbers(place: Place, files: TableFiles) -> None:
    """Makes an empty version the newest, so that the numbers of those that go are never given again."""
    commit_parts(place.table(files.name), open_table(place.table(files.name), files.latest).schema, [])


def remove_file(store: Store, path: str) -> None:
    """Removes a file; one that is gone already is as good."""
    with contextlib.suppress(FileNotFoundError):
        store.fs.rm_file(path)


def remove_tree(store: Store, path: str) -> None:
    """Removes a folder with all that is in it."""
    if store.fs.exists(path):
        store.fs.rm(path, recursive=True)


def remove_empty_folders(store: Store, root: str) -> None:
    """Removes folders directly below ``root`` that hold nothing; object stores have none."""
    if store.is_local and store.fs.exists(root):
        for path in store.fs.ls(root, detail=False):
            if store.fs.isdir(path) and not store.fs.find(path):
                store.fs.rmdir(path)
