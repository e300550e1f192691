"""raw: every record that the sources deliver, read once, in partitions of whole files.

Two tables with the same order: `documents` (text of what could be read) and `ledger` (one row per record met, with the
reason where it could not). `chunks` says how many rows of each belong together (about 16 MB of text), so that later
stages work on the same ranges without searching, however large a file was. `files` says what was read, so that a
refresh opens only what is new or changed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.dates import OddDates, dates_check
from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.options import HeldOut, ReadLimits, Source, date_fields, sources_by_name
from headwater.assets.corpus.reading import SourceFile, documents_schema, partition_files, read_partition
from headwater.assets.corpus.refresh import (
    compare_listings,
    files_table,
    record_keys,
    rows_of_files,
    shrink_chunks,
    withdrawn_rows,
    withhold,
)
from headwater.assets.markdown import markdown_table
from headwater.assets.schemas import RAW_LEDGER
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, TableRecord
from headwater.assets.storage.tables import Positions, read_table, scan_batches, take_positions
from headwater.assets.withdrawal.blocklist import RULE, Blocklist, read_blocklist

# Why a record gives no document although nothing is wrong with its source: crawls are full of these.
EXPECTED = frozenset({"empty", "http_status", "media_type", RULE})
CHUNKS = pa.schema([("chunk", pa.int64()), ("documents", pa.int64()), ("records", pa.int64())])
_CONTENT = ("documents", "ledger")


@dataclass(frozen=True)
class ReadTask:
    """One partition of files to read, or rows at hand that take the place of withdrawn documents."""

    sources: dict[str, Source]
    files: tuple[SourceFile, ...]
    held_out: HeldOut
    limits: ReadLimits
    blocklist: Blocklist | None = None
    stored: frozenset[str] = frozenset()  # keys of the records of these files that are in the tables already
    corpus: str = ""
    withdrawn: pa.Table | None = None
    documents: pa.Schema | None = None  # of the corpus, where the sources are not here to say it


def _schemas(options: RawOptions) -> dict[str, pa.Schema]:
    return {"documents": documents_schema(options.sources), "ledger": RAW_LEDGER}


def materialize_raw(context: StageContext) -> Outcome:
    """Reads all sources, or only what is new and changed in them where an earlier output is at hand.

    Raises:
        SourceError: a file cannot be opened.
    """
    options: RawOptions = context.stage.options  # type: ignore[assignment]
    files: list[SourceFile] = context.found
    blocklist = read_blocklist(context.store) if "withdrawals" in context.inputs else None
    if context.base is not None and "files" in context.base.tables:
        return _refresh(context, options, files, blocklist)
    tasks, sizes, covers = _tasks(context, options, files, blocklist)
    tables, figures = context.run_partitions("read", _read, tasks, _schemas(options), covers, sizes, unit="MB")
    tables["chunks"] = context.write_table("chunks", _chunks_table(_chunks(figures)))
    tables["files"] = context.write_table("files", files_table(files))
    return _outcome(context, tables, {"files": len(files), "files_read": len(files)})


def _outcome(context: StageContext, tables: dict[str, TableRecord], metrics: dict[str, int]) -> Outcome:
    # How rows are grouped and which file gave them is execution's matter, not content.
    content = digest_of({name: tables[name].content for name in _CONTENT})
    outcome = Outcome(tables={"ledger": tables.pop("ledger"), **tables}, content=content)
    _describe(context, outcome, metrics)
    return outcome


def _tasks(
    context: StageContext,
    options: RawOptions,
    files: list[SourceFile],
    blocklist: Blocklist | None,
    stored: frozenset[str] = frozenset(),
) -> tuple[list[ReadTask], list[float], list[Any]]:
    """Partitions of files as tasks, with their sizes in MB and what they cover."""
    parts = partition_files(files, context.stage.compute.partition_bytes(sum(file.size for file in files)))
    sources: Any = dict(sources_by_name(options.sources))
    corpus = context.stage.name
    tasks = [
        ReadTask(sources, tuple(part), options.held_out, options.limits, blocklist, stored, corpus) for part in parts
    ]
    sizes = [sum(f.size for f in part) / 1e6 for part in parts]
    return tasks, sizes, [[[f.source, f.uri, f.size, f.stamp] for f in part] for part in parts]


def _refresh(
    context: StageContext, options: RawOptions, files: list[SourceFile], blocklist: Blocklist | None
) -> Outcome:
    """Reads new and changed files only; deletes the rows of what is gone, changed or withdrawn, appends the rest."""
    assert context.base is not None
    before, known = context.base, read_table(*context.table_url(context.base, "files"))
    listing = compare_listings(known, files)
    columns = ["doc_id", "content_id", "source", "uri", "kept", "rule", "detail"]
    ledger = read_table(*context.table_url(before, "ledger"), columns=columns)
    touched = rows_of_files(ledger, known.take(listing.stale), known)
    reasons = _newly_blocked(context, ledger, blocklist)
    blocked = np.flatnonzero(np.asarray(pc.is_valid(reasons)))
    kept = ledger["kept"].to_numpy()
    stored = frozenset(record_keys(ledger.take(np.setdiff1d(touched, blocked, assume_unique=True))))
    tasks, sizes, covers = _tasks(context, options, listing.read, blocklist, stored)
    if len(silenced := np.setdiff1d(blocked, touched, assume_unique=True)):
        rows = take_positions(*context.table_url(before, "ledger"), silenced)
        said = withdrawn_rows(rows, reasons.take(silenced))
        schema = documents_schema(options.sources)
        tasks.append(ReadTask({}, (), options.held_out, options.limits, withdrawn=said, documents=schema))
        sizes, covers = [*sizes, 0.0], [*covers, ["withdrawn", digest_of(said["doc_id"].to_pylist())]]

    def removed(figures: list[dict[str, Any]]) -> dict[str, Positions]:
        seen = {key for part in figures for key in part["seen"]}
        gone = touched[[key not in seen for key in record_keys(ledger.take(touched))]]
        records = np.union1d(gone, blocked)
        return {"ledger": records, "documents": (np.cumsum(kept) - 1)[records[kept[records]]]}

    schemas = _schemas(options)
    tables, figures = context.run_partitions("read", _read, tasks, schemas, covers, sizes, "MB", keeping=removed)
    gone = removed(figures)
    earlier = read_table(*context.table_url(before, "chunks")).sort_by("chunk")
    chunks = shrink_chunks(earlier, gone["ledger"], gone["documents"]) + _chunks(figures)
    tables["chunks"] = context.write_table("chunks", _chunks_table(chunks))
    tables["files"] = context.update_table("files", listing.stale, files_table(listing.read))
    added = tables["documents"].rows - before.tables["documents"].rows + len(gone["documents"])
    metrics = {"files_new": listing.new, "files_changed": listing.changed, "files_gone": listing.gone}
    metrics |= {"documents_added": added, "documents_removed": len(gone["documents"])}
    return _outcome(context, tables, {"files": len(files), "files_read": len(listing.read), **metrics})


def _newly_blocked(context: StageContext, ledger: pa.Table, blocklist: Blocklist | None) -> pa.Array:
    """Why each document of the tables is withdrawn now; null for those that are not, or were already."""
    nothing = pa.nulls(ledger.num_rows, pa.string())
    if blocklist is None or context.base is None:
        return nothing
    before, now = context.base.identity.inputs.get("withdrawals"), context.inputs["withdrawals"]
    if before is not None and before.content == now.content_version:
        return nothing
    return pc.if_else(ledger["kept"].combine_chunks(), blocklist.blocks(ledger, context.stage.name), nothing)


def _read(task: ReadTask) -> Iterator[tuple[str, Any]]:
    chunks, seen = [], []
    for documents, ledger in _batches(task):
        if task.stored:
            documents, ledger, again = _unseen(documents, ledger, task.stored)
            seen += again
        if ledger.num_rows:
            chunks.append([documents.num_rows, ledger.num_rows])
            yield from (("documents", batch) for batch in documents.combine_chunks().to_batches())
            yield from (("ledger", batch) for batch in ledger.combine_chunks().to_batches())
    yield "figures", {"chunks": chunks, "seen": seen}


def _batches(task: ReadTask) -> Iterator[tuple[pa.Table, pa.Table]]:
    if task.withdrawn is not None and task.documents is not None:
        yield task.documents.empty_table(), task.withdrawn
    for documents, ledger in read_partition(task.sources, task.files, task.held_out, task.limits):
        if task.blocklist is None:
            yield pa.Table.from_batches([documents]), pa.Table.from_batches([ledger])
        else:
            reasons = task.blocklist.blocks(pa.Table.from_batches([ledger]), task.corpus)
            yield withhold(documents, ledger, reasons)


def _unseen(documents: pa.Table, ledger: pa.Table, stored: frozenset[str]) -> tuple[pa.Table, pa.Table, list[str]]:
    """A batch without what is stored already, and the keys of that."""
    keys = record_keys(ledger)
    fresh = np.array([key not in stored for key in keys], dtype=bool)
    readable = ledger["kept"].to_numpy()
    again = [key for key, new in zip(keys, fresh, strict=True) if not new]
    return documents.filter(pa.array(fresh[readable])), ledger.filter(pa.array(fresh)), again


def _chunks(figures: list[dict[str, Any]]) -> list[list[int]]:
    return [chunk for part in figures for chunk in part["chunks"]]


def _chunks_table(chunks: list[list[int]]) -> pa.Table:
    rows = [{"chunk": n, "documents": documents, "records": records} for n, (documents, records) in enumerate(chunks)]
    return pa.Table.from_pylist(rows, schema=CHUNKS)


def _describe(context: StageContext, outcome: Outcome, files: dict[str, int]) -> None:
    options: RawOptions = context.stage.options  # type: ignore[assignment]
    dated = date_fields(options.sources)
    counts, example, odd_dates = _tally(context, outcome, dated)
    kept = counts.filter(counts["kept"])
    left_out = Counter(dict(_sums(counts.filter(pc.invert(counts["kept"])), "rule", "records")))
    unreadable = {rule: n for rule, n in left_out.items() if rule not in EXPECTED}
    ordered = kept.sort_by([("source", "ascending"), ("split", "ascending")])
    rows = zip(*(ordered[c].to_pylist() for c in ("source", "split", "records", "bytes")), strict=True)
    outcome.markdown["sources"] = markdown_table(
        ["source", "split", "documents", "MB"], [[s, p, f"{n:,}", f"{b / 1e6:.2f}"] for s, p, n, b in rows]
    )
    outcome.markdown["records without a document"] = markdown_table(
        ["reason", "records"], [[rule, f"{n:,}"] for rule, n in left_out.most_common()]
    )
    documents, size = dict(_sums(kept, "split", "records")), dict(_sums(kept, "split", "bytes"))
    share = size.get("held_out", 0) / max(sum(size.values()), 1)
    outcome.metrics = {
        **files,
        "records": sum(documents.values()) + sum(left_out.values()),
        "documents": sum(documents.values()),
        "left_out": sum(left_out.values()),
        "unreadable": sum(unreadable.values()),
        "held_out_documents": documents.get("held_out", 0),
        "megabytes": round(sum(size.values()) / 1e6, 3),
        "held_out_share_of_bytes": round(share, 4),
    }
    outcome.checks = [*_checks(options, outcome.metrics, unreadable, example), _held_out_check(options, share)]
    if dated:
        outcome.metrics["odd_dates"] = odd_dates.documents
        outcome.checks.append(dates_check(odd_dates, outcome.metrics["documents"]))


def _tally(context: StageContext, outcome: Outcome, dated: Mapping[str, str]) -> tuple[pa.Table, str | None, OddDates]:
    """(records and bytes by source, split and reason; the detail of the first record without a document; odd dates).

    The ledger is read in pieces: a source may deliver millions of records and not one document. `dated` are the fields
    of dates by source.
    """
    url, version = context.place.table("ledger"), outcome.tables["ledger"].version
    keys, parts, example, odd_dates = ["source", "split", "kept", "rule"], [], None, OddDates()
    more = ["date", "meta"] if dated else []
    for batch in scan_batches(url, version, [*keys, "detail", "bytes", *more], rows=1 << 16):
        rows = pa.Table.from_batches([batch])
        odd_dates = odd_dates.plus(rows, dated) if dated else odd_dates
        dropped = rows["detail"].filter(pc.invert(rows["kept"]))
        example = example if example is not None or len(dropped) == 0 else dropped[0].as_py()
        counted = rows.group_by(keys, use_threads=False).aggregate([("bytes", "sum"), ("bytes", "count")])
        parts.append(counted.rename_columns([*keys, "bytes", "records"]))
    empty = pa.schema([*(RAW_LEDGER.field(name) for name in [*keys, "bytes"]), pa.field("records", pa.int64())])
    summed = pa.concat_tables([empty.empty_table(), *(part.cast(empty) for part in parts)])
    found = summed.group_by(keys, use_threads=False).aggregate([("bytes", "sum"), ("records", "sum")])
    return found.rename_columns([*keys, "bytes", "records"]), example, odd_dates


def _sums(counts: pa.Table, by: str, what: str) -> list[tuple[Any, int]]:
    found = counts.group_by(by, use_threads=False).aggregate([(what, "sum")])
    return list(zip(found[by].to_pylist(), found[f"{what}_sum"].to_pylist(), strict=True))


def _held_out_check(options: RawOptions, share: float) -> CheckRecord:
    """Whole groups are held out, so a few large ones can make the share very different from the declared one."""
    declared = options.held_out.share
    near = declared / 4 <= share <= max(4 * declared, declared + 0.1) if 0 < declared < 1 else True
    mend = (
        "" if near else " Groups are few or uneven: try `held_out: {group: document}`, another seed or smaller groups."
    )
    return CheckRecord(
        name="held_out_share",
        passed=near,
        blocking=False,
        description=f"{share:.1%} of the bytes are held out, {declared:.1%} of the groups were asked for.{mend}",
    )


def _checks(
    options: RawOptions, metrics: dict[str, Any], unreadable: dict[str, int], example: str | None
) -> list[CheckRecord]:
    first = f" The first without: {example}" if example else ""
    share = metrics["unreadable"] / max(metrics["records"], 1)
    return [
        CheckRecord(
            name="has_documents",
            passed=metrics["documents"] > 0,
            blocking=True,
            description=f"{metrics['documents']:,} of {metrics['records']:,} records gave a document.{first}",
        ),
        CheckRecord(
            name="readable",
            passed=share <= options.max_unreadable_share,
            blocking=True,
            description=f"{share:.2%} of the records could not be read; {options.max_unreadable_share:.2%} may.",
            metadata={"reasons": unreadable},
        ),
    ]
