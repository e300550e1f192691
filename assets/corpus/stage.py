"""raw: every record that the sources deliver, read once, in partitions of whole files.

Two tables with the same order: `documents` (text of what could be read) and `ledger` (one row per record met, with the
reason where it could not). `chunks` says how many rows of each belong together (about 16 MB of text), so that later
stages work on the same ranges without searching, however large a file was.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.declaration import RawOptions
from headwater.assets.corpus.options import HeldOut, ReadLimits, Source, sources_by_name
from headwater.assets.corpus.reading import SourceFile, list_files, partition_files, read_partition
from headwater.assets.markdown import markdown_table
from headwater.assets.schemas import DOCUMENTS, RAW_LEDGER
from headwater.assets.stages import Outcome, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord
from headwater.assets.storage.tables import scan_batches
from headwater.assets.workspace import Workspace

# Why a record gives no document although nothing is wrong with its source: crawls are full of these.
EXPECTED = frozenset({"empty", "http_status", "media_type"})
CHUNKS = pa.schema([("chunk", pa.int64()), ("documents", pa.int64()), ("records", pa.int64())])


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
    covers = [[[f.source, f.uri, f.size, f.stamp] for f in part] for part in parts]
    tables, figures = context.run_partitions("read", _read, tasks, schemas, covers, sizes, unit="MB")
    content = digest_of({name: table.content for name, table in tables.items()})
    tables["chunks"] = context.write_table("chunks", _chunks_table(figures))  # execution's matter, not content
    outcome = Outcome(tables={"ledger": tables.pop("ledger"), **tables}, content=content)
    _describe(context, outcome, len(files))
    return outcome


def _files(options: RawOptions, root: Path) -> list[SourceFile]:
    return [file for source in options.sources for file in list_files(source, root)]


def _read(task: ReadTask) -> Iterator[tuple[str, Any]]:
    chunks = []
    for text, ledger in read_partition(task.sources, task.files, task.held_out, task.limits):
        chunks.append([text.num_rows, ledger.num_rows])
        yield "documents", text
        yield "ledger", ledger
    yield "figures", {"chunks": chunks}


def _chunks_table(figures: list[dict[str, Any]]) -> pa.Table:
    chunks = [chunk for part in figures for chunk in part["chunks"]]
    rows = [{"chunk": n, "documents": documents, "records": records} for n, (documents, records) in enumerate(chunks)]
    return pa.Table.from_pylist(rows, schema=CHUNKS)


def _describe(context: StageContext, outcome: Outcome, files: int) -> None:
    ledger = _ledger_columns(context, outcome)
    kept = ledger.filter(ledger["kept"])
    dropped = ledger.filter(pc.invert(ledger["kept"]))
    left_out = Counter(ledger.filter(pc.invert(ledger["kept"]))["rule"].to_pylist())
    unreadable = {rule: n for rule, n in left_out.items() if rule not in EXPECTED}
    by_source = kept.group_by(["source", "split"]).aggregate([("bytes", "sum"), ("bytes", "count")]).sort_by("source")
    rows = zip(*(by_source[c].to_pylist() for c in ("source", "split", "bytes_count", "bytes_sum")), strict=True)
    outcome.markdown["sources"] = markdown_table(
        ["source", "split", "documents", "MB"], [[s, p, f"{n:,}", f"{b / 1e6:.2f}"] for s, p, n, b in rows]
    )
    outcome.markdown["records without a document"] = markdown_table(
        ["reason", "records"], [[rule, f"{n:,}"] for rule, n in left_out.most_common()]
    )
    outcome.metrics = {
        "files": files,
        "records": ledger.num_rows,
        "documents": kept.num_rows,
        "left_out": sum(left_out.values()),
        "unreadable": sum(unreadable.values()),
        "held_out_documents": pc.sum(pc.equal(kept["split"], "held_out")).as_py() or 0,
        "megabytes": round((pc.sum(kept["bytes"]).as_py() or 0) / 1e6, 3),
    }
    share = _held_out_share(kept)
    outcome.metrics["held_out_share_of_bytes"] = round(share, 4)
    options: RawOptions = context.stage.options  # type: ignore[assignment]
    outcome.checks = [*_checks(options, outcome.metrics, unreadable, dropped), _held_out_check(options, share)]


def _ledger_columns(context: StageContext, outcome: Outcome) -> pa.Table:
    url, version = context.place.table("ledger"), outcome.tables["ledger"].version
    columns = ["source", "split", "kept", "rule", "detail", "bytes", "uri"]
    batches = list(scan_batches(url, version, columns))
    return pa.Table.from_batches(batches, schema=pa.schema([RAW_LEDGER.field(name) for name in columns]))


def _held_out_share(kept: pa.Table) -> float:
    held_out = pc.sum(pc.if_else(pc.equal(kept["split"], "held_out"), kept["bytes"], 0)).as_py() or 0
    return held_out / max(pc.sum(kept["bytes"]).as_py() or 0, 1)


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
    options: RawOptions, metrics: dict[str, Any], unreadable: dict[str, int], dropped: pa.Table
) -> list[CheckRecord]:
    example = f" The first without: {dropped['detail'][0].as_py()}" if dropped.num_rows else ""
    share = metrics["unreadable"] / max(metrics["records"], 1)
    return [
        CheckRecord(
            name="has_documents",
            passed=metrics["documents"] > 0,
            blocking=True,
            description=f"{metrics['documents']:,} of {metrics['records']:,} records gave a document.{example}",
        ),
        CheckRecord(
            name="readable",
            passed=share <= options.max_unreadable_share,
            blocking=True,
            description=f"{share:.2%} of the records could not be read; {options.max_unreadable_share:.2%} may.",
            metadata={"reasons": unreadable},
        ),
    ]
