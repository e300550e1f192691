"""What a checkpoint is made of: every input in its version, the steps' segments, and its documents counted."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headwater.assets.context import StageError
from headwater.assets.lineage.consumption import consumption, origins, with_origins
from headwater.assets.lineage.corpora import corpora_of
from headwater.assets.lineage.history import as_of, records_of, version_name
from headwater.assets.lineage.influence import ancestors, consumed_roles
from headwater.assets.lineage.segments import TrainedSegment, trained_segments
from headwater.assets.lineage.story import Measured, evaluations_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table

DIMENSIONS = ("source", "license", "language", "split")
DOCUMENTS_FILE = "documents.parquet"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Made:
    """One output that a checkpoint is made from, or the checkpoint itself: all that determined it, and how it ran.

    `missing` are inputs that the history no longer has.
    """

    asset: str
    kind: str
    version: str
    content: str
    current: bool
    inputs: dict[str, dict[str, Any]]
    options: dict[str, Any]
    code: dict[str, Any]
    accepted_code: list[dict[str, Any]]
    execution: dict[str, Any]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Steps:
    """A segment: steps [first_step, stop_step), what they drew from, in which batches."""

    first_step: int
    stop_step: int
    shards: str
    batch_size: int
    sequence_length: int
    seed: int
    streams: tuple[dict[str, Any], ...]  # name, first sample, number of samples, weight


@dataclass(frozen=True)
class Count:
    """Documents with one value of a dimension. `tokens_seen` counts a token as often as steps read it."""

    dimension: str
    value: str
    documents: int
    tokens: int
    bytes: int
    documents_seen: int
    tokens_seen: int


@dataclass(frozen=True)
class Dropped:
    """Documents of a corpus that a stage dropped by a rule; the stage's name is `raw` for what could not be read."""

    corpus: str
    stage: str
    rule: str
    documents: int


@dataclass(frozen=True)
class CheckpointFacts:
    """The answer of `headwater trace checkpoint`."""

    checkpoint: str
    version: str
    current: bool
    pipeline: str
    seeds: tuple[int, ...]
    steps: int
    base: str | None
    made: tuple[Made, ...]  # the checkpoint first, then what it is made from, the nearest first
    segments: tuple[Steps, ...]
    counts: tuple[Count, ...]
    dropped: tuple[Dropped, ...]
    influences: tuple[str, ...]  # what else than steps took from documents
    metrics: dict[str, Any]
    checks: tuple[dict[str, Any], ...]
    evaluations: tuple[Measured, ...]


def describe_checkpoint(store: Store, checkpoint: Record) -> CheckpointFacts:
    """Everything that the records and ledgers say of a checkpoint, as of its own time.

    Raises:
        StageError: the history lacks what its steps read.
    """
    with as_of(checkpoint):
        return _facts(store, checkpoint)


def _facts(store: Store, checkpoint: Record) -> CheckpointFacts:
    segments = trained_segments(store, checkpoint)
    behind = [record for record, _ in ancestors(store, checkpoint)]
    shaping = [r for r in behind if not r.tables and r.kind not in ("Corpus", "Shards")]
    name = version_name(store, checkpoint)
    return CheckpointFacts(
        checkpoint=name,
        version=checkpoint.digest,
        current="@" not in name,
        pipeline=checkpoint.pipeline,
        seeds=tuple(checkpoint.identity.options.get("seeds", ())),
        steps=int(checkpoint.metrics["steps"]),
        base=checkpoint.identity.base,
        made=tuple(_made(store, record) for record in [checkpoint, *behind]),
        segments=tuple(_steps(store, trained) for trained in segments),
        counts=tuple(count_documents(with_origins(consumption(store, checkpoint), origins(store, checkpoint)))),
        dropped=tuple(dropped_documents(store, segments)),
        influences=tuple(version_name(store, record) for record in shaping),
        metrics={n: v for n, v in checkpoint.metrics.items() if isinstance(v, int | float | str)},
        checks=tuple(check.model_dump() for check in checkpoint.checks),
        evaluations=tuple(evaluations_of(store, checkpoint, records_of(store, past=True))),
    )


def _made(store: Store, record: Record) -> Made:
    identity = record.identity
    names = identity.options.get("_inputs", {})
    inputs = {role: {"asset": names.get(role), **item.model_dump()} for role, item in identity.inputs.items()}
    consumed = {names[role]: identity.inputs[role].identity for role in consumed_roles(record)}
    missing = [asset for asset, digest in consumed.items() if store.place(asset).record(digest) is None]
    return Made(
        asset=record.asset,
        kind=record.kind,
        version=record.digest,
        content=record.content_version,
        current="@" not in version_name(store, record),
        inputs=inputs,
        options={name: value for name, value in identity.options.items() if name != "_inputs"},
        code=identity.code.model_dump(),
        accepted_code=[code.model_dump() for code in record.accepted_code],
        execution=record.execution.model_dump(),
        missing=tuple(missing),
    )


def _steps(store: Store, trained: TrainedSegment) -> Steps:
    segment = trained.segment
    return Steps(
        first_step=trained.first_step,
        stop_step=trained.stop_step,
        shards=version_name(store, trained.shards),
        batch_size=segment.batch_size,
        sequence_length=trained.sequence_length,
        seed=segment.seed,
        streams=tuple(asdict(share) for share in segment.streams),
    )


def count_documents(documents: pa.Table) -> Iterator[Count]:
    """Documents, tokens and bytes by source, licence, language and split; the largest first.

    Args:
        documents: rows of CONSUMPTION with the columns of `origins`.
    """
    seen = pc.cast(pc.is_valid(documents["first_step"]), pa.int64())
    documents = documents.append_column("seen", seen)
    sums = [("doc_id", "count"), *((name, "sum") for name in ("length", "bytes", "seen", "tokens_seen"))]
    for dimension in DIMENSIONS:
        values = pc.fill_null(documents[dimension].cast(pa.string()), UNKNOWN)
        table = documents.set_column(documents.column_names.index(dimension), dimension, values)
        grouped = (
            table.group_by(dimension).aggregate(sums).sort_by([("length_sum", "descending"), (dimension, "ascending")])
        )
        for row in grouped.to_pylist():
            figures = [row[f"{name}_{how}"] for name, how in sums]
            yield Count(dimension, row[dimension], *figures)


def dropped_documents(store: Store, segments: Sequence[TrainedSegment]) -> Iterator[Dropped]:
    """What the corpora of the newest tokens dropped, by stage and rule, the most frequent first."""
    for corpus in corpora_of(store, segments[-1].tokens):
        if "decisions" not in corpus.tables:
            continue
        url, version = store.place(corpus.asset).table("decisions"), corpus.tables["decisions"].version
        rows = read_table(url, version, ["stage", "rule"], where="NOT kept")
        counted = rows.group_by(["stage", "rule"]).aggregate([([], "count_all")])
        order = [("count_all", "descending"), ("stage", "ascending"), ("rule", "ascending")]
        for row in counted.sort_by(order).to_pylist():
            yield Dropped(corpus.asset.split("/")[0], row["stage"], row["rule"], row["count_all"])


def seen_documents(store: Store, checkpoint: Record) -> pa.Table:
    """Every document that a step of a checkpoint saw: its origin, span, first and last step, and times seen.

    `times_seen` is tokens read over tokens held: 1.0 is once as a whole.

    Raises:
        StageError: the history lacks what its steps read.
    """
    with as_of(checkpoint):
        documents = consumption(store, checkpoint)
        documents = documents.filter(pc.is_valid(documents["first_step"]))
        times = pc.divide(documents["tokens_seen"].cast(pa.float64()), documents["length"].cast(pa.float64()))
        return with_origins(documents.append_column("times_seen", times), origins(store, checkpoint))


def export_documents(store: Store, checkpoint: Record, folder: Path) -> tuple[Path, int]:
    """Writes `documents.parquet` with the rows of `seen_documents`: (its path, rows).

    Raises:
        StageError: the file is there already.
    """
    return write_parquet(seen_documents(store, checkpoint), folder / DOCUMENTS_FILE)


def write_parquet(table: pa.Table, path: Path) -> tuple[Path, int]:
    """Writes a table to a new file, whole or not at all: (its path, rows).

    Raises:
        StageError: the file is there already.
    """
    if path.exists():
        raise StageError(f"{path} is there already; name another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(table, part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path, table.num_rows
