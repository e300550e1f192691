"""What a listing of the sources says beside the files that `raw` was last made from: nothing, or what came and went.

Listings alone decide here. Files are opened by the run that a difference requests.
"""

from collections.abc import Mapping
from typing import NamedTuple

from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.reading import list_files
from headwater.assets.running import wanted_identity
from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table
from headwater.assets.workspace import Workspace

FILES = "files"  # raw's table of the files it was made from: source, uri, size, stamp

Listing = Mapping[tuple[str, str], tuple[int, str]]  # (source, uri) → (bytes, stamp)


class Arrivals(NamedTuple):
    """Files that a listing has and `raw` has not seen, has seen otherwise, or has seen and the listing lacks."""

    new: int
    changed: int
    deleted: int

    def __str__(self) -> str:
        counts = [(self.new, "new"), (self.changed, "changed"), (self.deleted, "deleted")]
        told = [f"{count:,} {word}" for count, word in counts if count]
        return f"{', '.join(told)} {'file' if sum(self) == 1 else 'files'}" if told else "no file differs"


class Look(NamedTuple):
    """One look at the sources: the identity that `raw` would have now, its record, and whether that serves."""

    wanted: str
    record: Record | None
    current: bool


def look_at(stage: Stage, store: Store, workspace: Workspace) -> Look:
    """Lists the sources once and compares the result with the current record.

    Raises:
        SourceError: a source cannot be listed, or matches nothing; the message names the path and the mend.
    """
    wanted, record = wanted_identity(stage, store, workspace), store.place(stage.asset).record()
    return Look(wanted.digest(), record, record is not None and record.serves(wanted))


def listing_of(options: RawOptions, workspace: Workspace) -> Listing:
    """The files of all sources as their stores list them."""
    files = (file for source in options.sources for file in list_files(source, workspace.root))
    return {(file.source, file.uri): (file.size, file.stamp) for file in files}


def listing_behind(store: Store, record: Record | None) -> Listing | None:
    """The files that a record of `raw` was made from; nothing for no record, None when the record does not say."""
    if record is None:
        return {}
    if FILES not in record.tables:
        return None
    url = store.place(record.asset).table(FILES)
    rows = read_table(url, record.tables[FILES].version, ["source", "uri", "size", "stamp"])
    columns = [rows[name].to_pylist() for name in rows.column_names]
    return {(source, uri): (size, stamp) for source, uri, size, stamp in zip(*columns, strict=True)}


def compare(found: Listing, before: Listing) -> Arrivals:
    """Counts what differs between two listings."""
    changed = sum(found[key] != state for key, state in before.items() if key in found)
    return Arrivals(len(found.keys() - before.keys()), changed, len(before.keys() - found.keys()))
