"""Taking rows out of the files of a table for good.

A deletion only marks rows, and past versions still show them. A purge writes the fragments that have marks anew, in
their place, so that the new version holds the same rows in the same order; whoever pinned the old version is pointed to
the new one; then every version that names a file with a purged row goes, and the files with it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lance
import pyarrow as pa
import pyarrow.compute as pc
from lance.file import LanceFileReader
from lance.fragment import FragmentMetadata

from headwater.assets.storage.gc_kept import Named
from headwater.assets.storage.gc_tables import TableFiles, guard_numbers, remove_file, table_files
from headwater.assets.storage.places import Place, StoreError
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import commit_parts, open_table, write_part

_COMPARED_ROWS = 1 << 18
SAID = ("url", "meta")  # what a record says of itself, in raw's ledger


def data_files(files: TableFiles) -> list[str]:
    """The data files in a table's folder, named by a version or not."""
    return sorted(path for path in files.sizes if path.startswith("data/") and path.endswith(".lance"))


def file_reader(files: TableFiles, path: str, columns: list[str] | None = None) -> LanceFileReader:
    """Reads a data file as it is: every row in it, also those that versions mark as deleted."""
    return LanceFileReader(f"{files.place.table(files.name)}/{path}", columns=columns)


def file_columns(files: TableFiles, path: str) -> pa.Schema:
    """The columns that a data file holds."""
    schema: pa.Schema = file_reader(files, path).metadata().schema
    return schema


def files_with(files: TableFiles, ids: pa.Array, key: str = "doc_id") -> set[str]:
    """The data files that hold a row of one of the ids, visible or not."""
    found = set()
    for path in data_files(files):
        if key not in file_columns(files, path).names:
            continue
        for batch in file_reader(files, path, [key]).read_all(batch_size=65536).to_batches():
            if pc.any(pc.is_in(batch[key], value_set=ids)).as_py():
                found.add(path)
                break
    return found


def files_quoting(files: TableFiles, holds: Callable[[str], bool]) -> set[str]:
    """The data files with a text in any of their columns for which ``holds`` is true."""
    found = set()
    for path in data_files(files):
        names = text_columns(file_columns(files, path))
        if names and any(holds(text) for text in joined_texts(files, path, names)):
            found.add(path)
    return found


def text_columns(schema: pa.Schema) -> list[str]:
    """Columns that hold texts or lists of texts."""
    return [
        field.name
        for field in schema
        if is_text(field.type) or (is_list(field.type) and is_text(field.type.value_type))
    ]


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def joined_texts(files: TableFiles, path: str, names: Sequence[str]) -> Iterator[str]:
    """All texts of some columns of a data file, joined to runs of some hundred rows of one column."""
    batches = file_reader(files, path, list(names)).read_all(batch_size=512).to_batches() if names else []
    for batch in batches:
        for name in names:
            column = batch[name].flatten() if is_list(batch[name].type) else batch[name]
            yield "\n".join(text for text in column.to_pylist() if text)


def shows(place: Place, name: str, version: int, ids: pa.Array, key: str = "doc_id") -> bool:
    """Whether a version of a table shows a row of one of the ids."""
    table = open_table(place.table(name), version)
    if key not in table.schema.names:
        return False
    batches = table.scanner(columns=[key], batch_size=65536).to_batches()
    return any(pc.any(pc.is_in(batch[key], value_set=ids)).as_py() for batch in batches)


def files_describing(files: TableFiles, ids: pa.Array) -> set[str]:
    """The data files in which a row of one of the ids says more than its source and place (``SAID``)."""
    found = set()
    for path in data_files(files):
        names = [name for name in ("doc_id", *SAID) if name in file_columns(files, path).names]
        if "doc_id" not in names or len(names) == 1:
            continue
        for batch in file_reader(files, path, names).read_all(batch_size=65536).to_batches():
            own = batch.filter(pc.is_in(batch["doc_id"], value_set=ids))
            if any(own[name].null_count < own.num_rows for name in names[1:]):
                found.add(path)
                break
    return found


@dataclass(frozen=True)
class Silence:
    """Takes from the rows of some ids what they said of themselves; ids, places and decisions stay."""

    ids: pa.Array

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with empty columns ``SAID`` where its row is of one of the ids."""
        own = pc.is_in(batch["doc_id"], value_set=self.ids)
        columns = [
            pc.if_else(own, pa.scalar(None, field.type), batch[field.name]) if field.name in SAID else batch[field.name]
            for field in batch.schema
        ]
        return pa.record_batch(columns, schema=batch.schema)


def rewrite_marked(url: str, version: int, touched: Collection[str] = (), change: Silence | None = None) -> int:
    """A version of the same rows in the same order whose files hold no row that is marked as deleted.

    Fragments without marks are taken over as they are, unless they lie in one of the ``touched`` files: their rows are
    changed as told. Indexes of keys are made again.

    Raises:
        StoreError: the rows did not come out as they were; nothing points to the new version then.
    """
    table = open_table(url, version)
    fragments = []
    for fragment in table.get_fragments():
        if fragment.num_deletions == 0 and not any(f"data/{file.path}" in touched for file in fragment.data_files()):
            fragments.append(fragment.metadata)
            continue
        for batches in _in_pieces([fragment]):
            written, _ = write_part(url, table.schema, [change(b) for b in batches] if change else batches)
            fragments += [FragmentMetadata.from_json(text) for text in written]
    return _replace(url, version, table, fragments)


def merge_small(url: str, version: int, rows: int) -> int:
    """A version of the same rows in the same order, with neighbouring fragments of fewer ``rows`` written as one.

    Raises:
        StoreError: the rows did not come out as they were; nothing points to the new version then.
    """
    table = open_table(url, version)
    fragments: list[FragmentMetadata] = []
    for run in small_runs(table, rows):
        if len(run) == 1 and run[0].num_deletions == 0:
            fragments.append(run[0].metadata)
            continue
        for batches in _in_pieces(run):
            written, _ = write_part(url, table.schema, batches)
            fragments += [FragmentMetadata.from_json(text) for text in written]
    return _replace(url, version, table, fragments)


def small_runs(table: Any, rows: int) -> list[list[Any]]:
    """The fragments of a version in order, neighbours together as long as they have fewer rows than that in all."""
    runs: list[list[Any]] = []
    held = rows
    for fragment in table.get_fragments():
        count = fragment.count_rows()
        if held + count > rows:
            runs.append([])
            held = 0
        runs[-1].append(fragment)
        held += count
    return runs


def _replace(url: str, version: int, table: Any, fragments: list[FragmentMetadata]) -> int:
    """Commits fragments that hold the rows of a version, checks that they do, and makes its indexes again."""
    if not fragments:
        return commit_parts(url, table.schema, [])
    for number, described in enumerate(fragments):
        described.id = number
    operation = lance.LanceOperation.Overwrite(table.schema, fragments)
    new = int(lance.LanceDataset.commit(url, operation, enable_stable_row_ids=True).version)
    if not same_rows(url, version, new):
        raise StoreError(f"{url}: version {version} could not be rewritten with its rows in order; it stays as it is.")
    for index in table.list_indices():
        if index["type"] == "BTree":
            lance.dataset(url).create_scalar_index(index["fields"][0], "BTREE")
    return int(lance.dataset(url).version)


def _in_pieces(fragments: Iterable[Any], limit: int = 256 << 20) -> Iterable[list[pa.RecordBatch]]:
    """The rows of fragments in runs of bounded size."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in (batch for fragment in fragments for batch in fragment.to_batches(batch_size=1024)):
        held.append(batch)
        size += batch.nbytes
        if size > limit:
            yield held
            held, size = [], 0
    if held:
        yield held


def same_rows(url: str, old: int, new: int) -> bool:
    """Whether two versions hold the same rows in the same order; texts are told by the ids beside them."""
    before, after = open_table(url, old), open_table(url, new)
    light = [field.name for field in before.schema if field.name not in ("text", "tokens", *SAID)]
    rows = before.count_rows()
    if after.count_rows() != rows:
        return False
    for start in range(0, rows, _COMPARED_ROWS):
        first, second = (
            table.scanner(columns=light, offset=start, limit=_COMPARED_ROWS, scan_in_order=True).to_table()
            for table in (before, after)
        )
        if not first.equals(second):
            return False
    return True


def repoint(places: Sequence[Place], records: dict[Named, Record], asset: str, name: str, old: int, new: int) -> None:
    """Lets every record that names or pins a version name another with the same rows."""
    for (owner, digest), record in list(records.items()):
        changed = _repointed(record, asset, name, old, new)
        if changed is not record:
            records[owner, digest] = changed
            write_record(next(place for place in places if place.asset == owner), changed)


def write_record(place: Place, record: Record) -> None:
    """Replaces a record where it lies: in the history, and as the current one where it is that."""
    text = record.model_dump_json(indent=2)
    place.write_text(f"{place.root}/history/{record.digest}.json", text)
    current = place.record()
    if current is not None and current.digest == record.digest:
        place.write_text(f"{place.root}/record.json", text)


def _repointed(record: Record, asset: str, name: str, old: int, new: int) -> Record:
    if record.asset == asset and name in record.tables and record.tables[name].version == old:
        table = record.tables[name].model_copy(update={"version": new})
        record = record.model_copy(update={"tables": {**record.tables, name: table}})
    assets = record.identity.options.get("_inputs", {})
    inputs = dict(record.identity.inputs)
    for role, item in inputs.items():
        if assets.get(role) == asset and item.tables.get(name) == old:
            inputs[role] = item.model_copy(update={"tables": {**item.tables, name: new}})
    if inputs != record.identity.inputs:
        record = record.model_copy(update={"identity": record.identity.model_copy(update={"inputs": inputs})})
    return record


def drop_versions(place: Place, name: str, versions: set[int], gone: set[str]) -> int:
    """Removes versions of a table and the files that only they need, those in ``gone`` in any case: bytes freed.

    Version numbers are never given twice: where the newest goes, an empty version takes its place first.
    """
    files = table_files(place, name)
    if files.versions and files.latest in versions:
        guard_numbers(place, files)
        files = table_files(place, name)
    kept = [files.needs(version) for version in files.versions if version not in versions]
    dropped = [files.needs(version) for version in files.versions if version in versions]
    paths = gone.union(*dropped).difference(*kept) if kept else gone.union(*dropped)
    root = f"{place.root}/tables/{name}.lance"
    for path in sorted(paths, key=lambda path: not path.startswith("_versions/")):
        remove_file(place.store, f"{root}/{path}")
    return sum(files.sizes.get(path, 0) for path in paths)
