"""From declared sources to documents and their ledger.

A source is listed into files, files are dealt into partitions, and each partition is read apart from all others:
what a record's row says depends on the source's options and the record alone, never on the partition, the batch or
the order in which anything ran.

Identity. `doc_id` hashes the source's name, the record's place (uri and key) and its raw content: the text together
with what the record says of itself. So a changed licence or date is, like a changed text, one document withdrawn and
another arrived. Places are unique within a source, and with them the ids, also those of records that cannot be read.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from headwater.assets.corpus.arrays import pack, payload_bytes
from headwater.assets.corpus.options import HeldOut, ReadLimits, Source, WebDataset, modality_of
from headwater.assets.corpus.sources.opening import compression_of
from headwater.assets.corpus.sources.records import (
    ReadRecord,
    SourceError,
    SourceFile,
    canonical_json,
    dropped,
    iso_date,
    well_formed,
)
from headwater.assets.schemas import DOCUMENTS, MEDIA_DOCUMENTS, RAW_LEDGER
from headwater.assets.storage.content import content_id, framed_digest

__all__ = [
    "ReadRecord",
    "SourceError",
    "SourceFile",
    "content_id",
    "doc_id",
    "documents_schema",
    "format_of",
    "list_files",
    "partition_files",
    "read_file",
    "read_partition",
    "split_of",
]

_PACKAGE = "headwater.assets.corpus.sources"
# Loaded when first used: a corpus of plain text needs neither the WARC nor the HTML library.
_READERS = {
    "text_files": "text_files",
    "jsonl": "jsonl",
    "csv": "csv_files",
    "parquet": "parquet",
    "warc": "warc",
    "webdataset": "webdataset",
    "installed_packages": "installed_packages",
    "image_files": "image_files",
    "dataset": "dataset",
}
_LISTERS = {"installed_packages": "installed_packages", "dataset": "dataset"}
_CONTAINERS = {"jsonl", "csv", "parquet", "warc"}

_CODE_EXTENSIONS = """
    asm bash bat c cc cjs clj cmake cpp cs css cu cuh cxx dart el erl ex exs f f90 f95 fish fs go gradle groovy h hh hpp
    hs ipynb java jl js jsx kt kts lisp lua m mjs mk ml mli mm nim php pl pm proto ps1 py pyi pyx r rb rs s scala scm
    scss sh sql sv swift tf thrift ts tsx v vb vhd vue zig zsh
"""
_DATA_EXTENSIONS = """
    cfg conf csv geojson ini json jsonl lock log ndjson parquet properties tab toml tsv xml yaml yml
"""
_FORMATS = {
    **dict.fromkeys(_CODE_EXTENSIONS.split(), "code"),
    **dict.fromkeys(_DATA_EXTENSIONS.split(), "data"),
}

_MAX_ROWS = 1 << 14


def list_files(source: Source, workspace: Path) -> list[SourceFile]:
    """The files of a source, sorted by uri; relative paths start at the `workspace` folder.

    Raises SourceError naming the path as written and where it was looked for when nothing matches, and when two files
    have one uri, for then their records would have one identity.
    """
    module = importlib.import_module(f"{_PACKAGE}.{_LISTERS.get(source.kind, 'listing')}")
    files: list[SourceFile] = module.list_files(source, workspace)
    for one, other in pairwise(files):
        if one.uri == other.uri:
            raise SourceError(
                f"{source.name}: two files are both known as {one.uri!r} ({one.url!a} and {other.url!a}); rename one"
            )
    return files


def read_file(source: Source, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """The records of one file in their order, readable or not, in memory bounded by the largest allowed record.

    Raises SourceError when the file has vanished, may not be read, or does not fit the source's options.
    """
    if file.fault is not None:
        yield dropped("", 0, "unreadable", f"{file.uri}: {file.fault}")
        return
    yield from importlib.import_module(f"{_PACKAGE}.{_READERS[source.kind]}").read(source, file, limits)


def partition_files(files: Sequence[SourceFile], target_bytes: int) -> list[list[SourceFile]]:
    """Deal files, in the order of (source, uri), into runs of about `target_bytes` as stored, none empty.

    A run is closed before the file that would take it over the target, so only a single file can be larger.
    """
    partitions: list[list[SourceFile]] = []
    size = 0
    for file in sorted(files, key=lambda file: (file.source, file.uri)):
        if not partitions or size + file.size > target_bytes:
            partitions.append([])
            size = 0
        partitions[-1].append(file)
        size += file.size
    return partitions


def documents_schema(sources: Iterable[Source]) -> pa.Schema:
    """The columns of the documents of a corpus: DOCUMENTS for text, MEDIA_DOCUMENTS for any other modality."""
    return DOCUMENTS if modality_of(list(sources)) == "text" else MEDIA_DOCUMENTS


def read_partition(
    sources: Mapping[str, Source],
    files: Sequence[SourceFile],
    held_out: HeldOut,
    limits: ReadLimits,
    batch_bytes: int = 24_000_000,
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Read files into batches of (documents, ledger) rows: schemas `documents_schema(sources)` and RAW_LEDGER.

    Every record has a ledger row; only readable ones have a document. A batch is closed once it holds `batch_bytes`
    of content or 16,384 rows; the rows do not depend on where batches end.
    """
    schema = documents_schema(sources.values())
    documents: list[dict[str, Any]] = []
    ledger: list[dict[str, Any]] = []
    size = 0
    for file in files:
        source = sources[file.source]
        rows = LedgerRows(source, file, held_out, limits)
        for record in read_file(source, file, limits):
            packed = None if record.arrays is None else pack(record.arrays)
            row = rows.row(record, packed)
            if ledger and row["bytes"] >= batch_bytes:  # a giant shares its batch with nobody
                yield _batches(documents, ledger, schema)
                documents, ledger, size = [], [], 0
            ledger.append(row)
            if record.text is not None:
                own = {"doc_id": row["doc_id"], "content_id": row["content_id"], "text": record.text}
                documents.append(own if packed is None else {**own, "arrays": packed})
                size += row["bytes"]
            if size >= batch_bytes or len(ledger) >= _MAX_ROWS:
                yield _batches(documents, ledger, schema)
                documents, ledger, size = [], [], 0
    if ledger:
        yield _batches(documents, ledger, schema)


def _batches(
    documents: list[dict[str, Any]], ledger: list[dict[str, Any]], schema: pa.Schema
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    return (
        pa.RecordBatch.from_pylist(documents, schema=schema),
        pa.RecordBatch.from_pylist(ledger, schema=RAW_LEDGER),
    )


class LedgerRows:
    """Makes the ledger rows of one file's records: the columns of RAW_LEDGER. What all of them share is found once."""

    def __init__(self, source: Source, file: SourceFile, held_out: HeldOut, limits: ReadLimits) -> None:
        self._source, self._file, self._held_out, self._limits = source, file, held_out, limits
        self._uri = well_formed(file.uri)
        self._group = well_formed(file.group or file.uri)
        self._splits = lru_cache(maxsize=64)(partial(split_of, held_out=held_out))
        self._shared = {"source": source.name, "modality": source.modality, "format": format_of(source, file.uri)}
        self._license = file.license or source.license
        self._date = iso_date(source.date) or source.date

    def row(self, record: ReadRecord, packed: bytes | None = None) -> dict[str, Any]:
        """The row of one record. `packed` are its arrays where it has any."""
        uri = well_formed(f"{self._file.uri}#{record.key}") if record.key else self._uri
        text = None if record.text is None else record.text.encode()
        fields = record.fields
        group = well_formed(fields["group"]) if fields.get("group") else self._group
        is_large = record.rule == "too_large"
        unit = {"group": group, "file": self._uri, "document": uri}[self._held_out.group]
        return {
            **self._shared,
            "doc_id": doc_id(self._source.name, uri, text, fields, packed),
            "content_id": content_id(text or b"", packed),
            "uri": uri,
            "group": group,
            "split": self._splits(unit),
            "url": fields.get("url"),
            "license": fields.get("license") or self._license,
            "date": fields.get("date") or self._date,
            "bytes": len(text or b"") + (payload_bytes(record.arrays) if record.arrays else 0),
            "meta": canonical_json(fields["meta"]) if fields.get("meta") else None,
            "kept": record.rule is None,
            "rule": record.rule,
            "value": float(record.raw_bytes) if is_large else None,
            "threshold": float(self._limits.max_bytes) if is_large else None,
            "detail": None if record.detail is None else well_formed(record.detail),
        }


def doc_id(source: str, uri: str, text: bytes | None, fields: Mapping[str, Any], packed: bytes | None = None) -> str:
    """The identity of a record: 32 hexadecimal digits of blake2b over source, uri with key, content and own fields.

    Every part is preceded by its length, so that no two lists of parts give the same bytes. A record without text
    (None) differs from one with empty text. The packed arrays are a part where there are any.
    """
    own = canonical_json(dict(fields)).encode() if fields else b""
    parts = [source.encode(), uri.encode(), b"" if text is None else b"text:" + text, own]
    return framed_digest(*parts, *([] if packed is None else [packed]))


def split_of(unit: str, held_out: HeldOut) -> str:
    """`held_out` or `train`, by a hash of the seed and the unit that stays together: independent of everything else."""
    drawn = int(framed_digest(str(held_out.seed).encode(), unit.encode())[:16], 16)
    return "held_out" if drawn < held_out.share * 2**64 else "train"


def format_of(source: Source, uri: str) -> str:
    """`code`, `prose` or `data`: as the source states, else `data` for arrays, else by the extension."""
    if source.format != "auto":
        return source.format
    if source.modality != "text":
        return "data"
    if source.kind in _CONTAINERS:
        return "prose"
    if isinstance(source, WebDataset):
        extension = source.text_member.rpartition(".")[2]
        return "prose" if extension == "json" else _FORMATS.get(extension, "prose")
    name = PurePosixPath(uri)
    name = name.with_suffix("") if compression_of(uri) else name
    return _FORMATS.get(name.suffix.lower().removeprefix("."), "prose")
