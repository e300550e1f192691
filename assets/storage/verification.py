"""Verification: reading back what records promise, and saying what of it is no longer so.

A record names the hash of every published file and the content of every table, so the store can be compared with
its own promises without computing anything. Everything current is read whole once. Of the past table versions that
current outputs were made from, and are joined to by position, only the presence of the data files is looked up.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.storage.content import ContentSum, content_id, content_of, hashed_columns
from headwater.assets.storage.file_hashes import hash_as
from headwater.assets.storage.gc_kept import consumed
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import open_afresh, open_table

_CHUNK_BYTES = 4 << 20
_BATCH_ROWS = 1024
_DATA_FILE = re.compile(r"([^/\s]+/[^/\s]+)/tables/([^/\s]+)\.lance/(?:data|_deletions)/")

Advance = Callable[[float], None]  # is told the bytes that were just read


class Version(NamedTuple):
    """One version of one table of the store."""

    asset: str
    table: str
    number: int

    def __str__(self) -> str:
        return f"table {self.table}, version {self.number}"


@dataclass(frozen=True)
class Fault:
    """Something that is not as its record says: a file, a table version with its damaged data files, or neither.

    ``identity`` is of the current output that promises it or reads it.
    """

    asset: str
    identity: str
    what: str
    problem: str
    file: str | None = None
    version: Version | None = None
    data_files: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.asset}: {self.what}: {self.problem}"


def verify_record(store: Store, record: Record, advance: Advance) -> Iterator[Fault]:
    """Compares everything that a current record published, and the table versions it is joined to, with the store."""
    place = store.place(record.asset)
    if waits := place.damage(record.digest):
        mended = "an earlier `headwater verify --mend` gave it up; materialize it to make it anew"
        yield Fault(record.asset, record.digest, ", ".join(waits), mended)
        return
    for name, expected in record.files.items():
        if problem := file_problem(place, f"{place.folder(record.digest)}/{name}", expected, advance):
            yield Fault(record.asset, record.digest, name, problem, file=name)
    for name, table in record.tables.items():
        version = Version(record.asset, name, table.version)
        if found := _table_problem(place, version, table.content, advance):
            yield Fault(record.asset, record.digest, str(version), found[0], version=version, data_files=found[1])
    if joined_by_position(record):
        yield from _pinned_faults(store, record)


def joined_by_position(record: Record) -> bool:
    """Whether later runs put rows of what an output was made from beside it; others never look at them again."""
    return bool(record.tables) or record.kind == "Shards"


def bytes_to_read(store: Store, record: Record) -> int:
    """About how many bytes :func:`verify_record` reads."""
    place, size = store.place(record.asset), 0
    for name in record.files:
        path = f"{place.folder(record.digest)}/{name}"
        size += int(store.fs.size(path) or 0) if store.fs.exists(path) else 0
    for name, table in record.tables.items():
        try:
            size += sum(_sizes(open_table(place.table(name), table.version)).values())
        except FileNotFoundError:
            continue
    return size


def missing_files(place: Place, name: str, version: int) -> set[str]:
    """Data files (paths within the table's folder) that a version names and that are gone or of another size.

    Costs one listing of the table's folder.

    Raises:
        FileNotFoundError: the version is not there.
    """
    root = f"{place.root}/tables/{name}.lance"
    found = place.store.fs.find(f"{root}/data", detail=True) if place.store.fs.exists(f"{root}/data") else {}
    here = {f"data/{path.rsplit('/data/', 1)[-1]}": int(info.get("size") or 0) for path, info in found.items()}
    wanted = _sizes(open_table(place.table(name), version))
    return {path for path, size in wanted.items() if path not in here or (size and here[path] != size)}


def damaged_table(error: BaseException) -> tuple[str, str] | None:
    """(asset, table) where an error, or what caused it, is that a data file of a table is gone; else None."""
    seen: BaseException | None = error
    while seen is not None:
        text = str(seen)
        if "not found" in text.lower() and (found := _DATA_FILE.search(text)):
            return found[1], found[2]
        seen = seen.__cause__ or seen.__context__
    return None


def says_damaged(asset: str, table: str) -> str:
    """What is said of a table whose data files are gone, and what to do."""
    return (
        f"Data files of the table {table} of {asset} are missing. Put them back from a backup, or run "
        "`headwater verify --mend` and materialize again."
    )


def file_problem(place: Place, path: str, expected: str, advance: Advance) -> str | None:
    """What is wrong with a file whose hash is ``expected``; None where nothing is."""
    hashed = hash_as(expected)
    try:
        with place.store.fs.open(path, "rb") as file:
            while content := file.read(_CHUNK_BYTES):
                hashed.update(content)
                advance(len(content))
    except FileNotFoundError:
        return "the file is missing"
    except OSError as error:
        return f"the file cannot be read ({error.strerror or error})"
    return None if hashed.text() == expected else "its hash is not the recorded one"


def _table_problem(place: Place, version: Version, content: str, advance: Advance) -> tuple[str, frozenset[str]] | None:
    """What is wrong with a version, and its data files that are, or may be, damaged."""
    try:
        missing = missing_files(place, version.table, version.number)
        table = open_afresh(place.table(version.table), version.number)
    except FileNotFoundError:
        return "the version cannot be opened", frozenset()
    if missing:
        return f"missing or cut short: {_some(missing)}", frozenset(missing)
    total = ContentSum()
    for fragment in table.get_fragments():
        part, problem = _read_fragment(fragment, table.schema)
        files = _sizes_of(fragment)
        if problem:
            return f"{_some(files)}: {problem}", frozenset(files)
        total = total.plus(part)
        advance(sum(files.values()))
    if total.hex() != content:
        return "its rows are not the recorded ones", frozenset(_sizes(table))
    return None


def _read_fragment(fragment: Any, schema: pa.Schema) -> tuple[ContentSum, str | None]:
    """The content of a fragment's rows, or what is wrong with them."""
    total, columns = ContentSum(), hashed_columns(schema)
    content = _content_columns(schema)
    try:
        scanner = fragment.scanner(columns=[*columns, *content], batch_size=_BATCH_ROWS)
        for batch in scanner.to_batches():
            total = total.plus(content_of(batch.select(columns)))
            if content and (differ := _other_texts(batch)):
                return total, f"{differ:,} {' and '.join(content)} are not those of their content_id"
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a decoder that meets damage may panic, which is no Exception
        return total, f"cannot be read ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
    return total, None


def _content_columns(schema: pa.Schema) -> list[str]:
    """The columns that a content_id identifies, where all of them are stored; none can be checked otherwise."""
    if "content_id" not in schema.names or "text" not in schema.names:
        return []
    if b"identifies" not in (schema.field("content_id").metadata or {}):
        return ["text"]
    return ["text", "arrays"] if "arrays" in schema.names else []


def _other_texts(batch: pa.RecordBatch) -> int:
    """Rows whose text, or text and arrays, do not hash to their content_id."""
    texts = [text or b"" for text in batch["text"].cast(pa.large_binary()).to_pylist()]
    packed = batch["arrays"].to_pylist() if "arrays" in batch.schema.names else [None] * len(texts)
    own = pa.array([content_id(*item) for item in zip(texts, packed, strict=True)], pa.string())
    return int(pc.sum(pc.not_equal(own, batch["content_id"].cast(pa.string()))).as_py() or 0)


def _pinned_faults(store: Store, record: Record) -> Iterator[Fault]:
    """Versions that a record is joined to by position, other than current ones, whose data files are gone."""
    for asset, _, tables in consumed(record):
        place = store.place(asset)
        current = place.record()
        for name, number in tables.items():
            if current is not None and name in current.tables and current.tables[name].version == number:
                continue  # read whole with its own asset
            version = Version(asset, name, number)
            try:
                missing = frozenset(missing_files(place, name, number))
                problem = f"missing or cut short: {_some(missing)}" if missing else None
            except FileNotFoundError:
                continue  # what no output needs in full was given back by a collection or a purge
            if problem:
                what = f"made from {asset}, {version}"
                yield Fault(record.asset, record.digest, what, problem, version=version, data_files=missing)


def _sizes(table: Any) -> dict[str, int]:
    return {path: size for fragment in table.get_fragments() for path, size in _sizes_of(fragment).items()}


def _sizes_of(fragment: Any) -> dict[str, int]:
    """Data files of a fragment → bytes; 0 where Lance did not note them."""
    return {f"data/{file.path}": int(file.file_size_bytes or 0) for file in fragment.data_files()}


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3:,} more" if len(listed) > 3 else "")
