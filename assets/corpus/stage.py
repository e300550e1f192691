"""raw: every record that the sources deliver, read once, in partitions of whole files.

Two tables with the same order: `documents` (text of what could be read) and `ledger` (one row per record met, with the
reason where it could not). `partitions` says how many rows of each a partition gave, so that later stages can work on
the same ranges without searching.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.options import HeldOut, ReadLimits, Source, sources_by_name
from headwater.assets.corpus.reading import SourceFile, list_files, partition_files, read_partition
from headwater.assets.running import StageContext
from headwater.assets.schemas import DOCUMENTS, RAW_LEDGER
from headwater.assets.stages import Outcome, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.storage.tables import read_table, scan_batches
from headwater.assets.markdown import markdown_table
from headwater.assets.workspace import Workspace

PARTITIONS = pa.schema([("partition", pa.int64()), ("documents", pa.int64()), ("records", pa.int64())])


class Rows(NamedTuple):
    """A partition's rows: [first, first + count) of the documents and of the ledger."""

    first_document: int
    documents: int
    first_record: int
    records: int


@dataclass(frozen=True)
class ReadTask:
    """One partition of files to read."""

    sources: dict[str, Source]
    files: tuple[SourceFile, ...]
    held_out: HeldOut
    limits: ReadLimits


def sources_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the listing (names, sizes, times): while it stays the same, nothing is read again."""
    options: RawOptions = stage.options  # type: ignore[assignment]
    listing = [[f.source, f.uri, f.size, f.stamp] for f in _files(options, workspace.root)]
    return digest_of(listing)


def materialize_raw(context: StageContext) -> Outcome:
    """Reads all sources.

    Raises:
        SourceError: a source matches no file, or a file cannot be opened.
    """
    options: RawOptions = context.stage.options  # type: ignore[assignment]
    files = _files(options, context.workspace.root)
    parts = partition_files(files, int(context.stage.compute.partition_megabytes * 1e6))
    sources = dict(sources_by_name(options.sources))
    tasks = [ReadTask(sources, tuple(part), options.held_out, options.limits) for part in parts]  # type: ignore[arg-type]
    sizes = [sum(f.size for f in part) / 1e6 for part in parts]
    schemas = {"documents": DOCUMENTS, "ledger": RAW_LEDGER}
    tables, figures = context.run_partitions("read", _read, tasks, schemas, sizes, unit="MB")
    tables["partitions"] = context.write_table("partitions", _partitions_table(figures))
    outcome = Outcome(tables={"ledger": tables.pop("ledger"), **tables})
    _describe(context, outcome, len(files))
    return outcome


def _files(options: RawOptions, root: Path) -> list[SourceFile]:
    return [file for source in options.sources for file in list_files(source, root)]


def _read(task: ReadTask) -> Iterator[tuple[str, Any]]:
    documents = records = 0
    for text, ledger in read_partition(task.sources, task.files, task.held_out, task.limits):
        documents += text.num_rows
        records += ledger.num_rows
        yield "documents", text
        yield "ledger", ledger
    yield "figures", {"documents": documents, "records": records}


def _partitions_table(figures: list[dict[str, Any]]) -> pa.Table:
    rows = [{"partition": n, "documents": f["documents"], "records": f["records"]} for n, f in enumerate(figures)]
    return pa.Table.from_pylist(rows, schema=PARTITIONS)


def partition_rows(context: StageContext, raw: Record) -> list[Rows]:
    """The row ranges of a raw record's partitions, in order."""
    url, version = context.table_url(raw, "partitions")
    table = read_table(url, version).sort_by("partition")
    found, document, record = [], 0, 0
    for documents, records in zip(table["documents"].to_pylist(), table["records"].to_pylist(), strict=True):
        found.append(Rows(document, documents, record, records))
        document, record = document + documents, record + records
    return found


def _describe(context: StageContext, outcome: Outcome, files: int) -> None:
    ledger = _ledger_columns(context, outcome)
    kept = ledger.filter(ledger["kept"])
    unreadable = Counter(ledger.filter(pc.invert(ledger["kept"]))["rule"].to_pylist())
    by_source = kept.group_by(["source", "split"]).aggregate([("bytes", "sum"), ("bytes", "count")]).sort_by("source")
    rows = zip(*(by_source[c].to_pylist() for c in ("source", "split", "bytes_count", "bytes_sum")), strict=True)
    outcome.markdown["sources"] = markdown_table(
        ["source", "split", "documents", "MB"], [[s, p, f"{n:,}", f"{b / 1e6:.2f}"] for s, p, n, b in rows]
    )
    outcome.markdown["unreadable records"] = markdown_table(
        ["reason", "records"], [[rule, f"{n:,}"] for rule, n in unreadable.most_common()]
    )
    outcome.metrics = {
        "files": files,
        "records": ledger.num_rows,
        "documents": kept.num_rows,
        "unreadable": sum(unreadable.values()),
        "held_out_documents": pc.sum(pc.equal(kept["split"], "held_out")).as_py() or 0,
        "megabytes": round((pc.sum(kept["bytes"]).as_py() or 0) / 1e6, 3),
    }
    outcome.checks = _checks(context.stage.options, outcome.metrics, unreadable)  # type: ignore[arg-type]


def _ledger_columns(context: StageContext, outcome: Outcome) -> pa.Table:
    url, version = context.place.table("ledger"), outcome.tables["ledger"].version
    columns = ["source", "split", "kept", "rule", "bytes"]
    batches = list(scan_batches(url, version, columns))
    return pa.Table.from_batches(batches, schema=pa.schema([RAW_LEDGER.field(name) for name in columns]))


def _checks(options: RawOptions, metrics: dict[str, Any], unreadable: Counter[str]) -> list[CheckRecord]:
    share = metrics["unreadable"] / max(metrics["records"], 1)
    return [
        CheckRecord(
            name="has_documents",
            passed=metrics["documents"] > 0,
            blocking=True,
            description=f"{metrics['documents']:,} of {metrics['records']:,} records gave a document.",
        ),
        CheckRecord(
            name="readable",
            passed=share <= options.max_unreadable_share,
            blocking=True,
            description=f"{share:.2%} of the records could not be read; {options.max_unreadable_share:.2%} may.",
            metadata={"reasons": dict(unreadable)},
        ),
    ]
