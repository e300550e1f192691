"""shards: streams of tokens cut into samples and written as tars, each shard a task of its own.

A refresh keeps the shards that nothing was withdrawn from, byte by byte; writes those anew that lose a span; and adds
shards for what the streams gained.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.assets.context import Rebuild, StageContext, StageError
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.sharding.declaration import ShardStageOptions
from headwater.assets.sharding.describe import describe_shards
from headwater.assets.sharding.growth import (
    Carried,
    StreamSpans,
    carry,
    fill_gaps,
    known_withdrawn,
    spans_by_stream,
    take_over,
    withdrawn_by_stream,
)
from headwater.assets.sharding.holes import punch_holes
from headwater.assets.sharding.packing import ShardPlan, Span, pack_blocks, plan_shards
from headwater.assets.sharding.shards import (
    BlockEntry,
    ShardEntry,
    ShardError,
    ShardIndex,
    ShardLayout,
    read_index,
    write_index,
    write_shard,
)
from headwater.assets.stages import Outcome
from headwater.assets.storage.changes import changes_by_files
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import open_table, read_table, take_positions, take_rows
from headwater.assets.tokenization.encoding import token_type

SPAN_COLUMNS = ["stream", "start", "length"]


@dataclass(frozen=True)
class NewShard:
    """A shard from the rows of the token table that hold its tokens; `skip` tokens of the first belong before it."""

    folder: str
    stream: str
    table: tuple[str, int]
    plan: ShardPlan
    first_row: int
    rows: int
    skip: int
    gaps: tuple[Span, ...]  # what no document stands in
    options: ShardStageOptions
    pad: int
    kind: np.dtype

    def write(self) -> ShardEntry:
        """Writes the shard and returns its entry for the index."""
        chunks = fill_gaps(_chunks(self), self.plan.token_start, self.gaps, self.pad, self.kind)
        length, block = self.options.sequence_length, self.options.block_samples
        blocks = pack_blocks(chunks, self.plan, length, block, self.pad, self.gaps)
        return write_shard(self.folder, self.stream, self.plan.number, blocks)


@dataclass(frozen=True)
class PunchedShard:
    """An earlier shard without the tokens of withdrawn spans."""

    source: str
    target: str
    layout: ShardLayout
    entry: ShardEntry
    spans: tuple[Span, ...]

    def write(self) -> ShardEntry:
        """Writes the shard anew and returns its entry for the index."""
        return punch_holes(self.source, self.layout, self.entry, self.spans, self.target)


ShardTask = NewShard | PunchedShard


def materialize_shards(context: StageContext) -> Outcome:
    """Writes the shards of every stream and their index, or what changed of them since an earlier output.

    Raises:
        StageError: no training stream is as long as one sample.
    """
    options: ShardStageOptions = context.stage.options  # type: ignore[assignment]
    tokens = context.inputs["tokens"]
    tokenizer = open_tokenizer(context, context.upstream(tokens, "tokenizer"))
    kind, special = token_type(tokenizer.vocabulary_size), (tokenizer.end_of_text_id, tokenizer.pad_id)
    held = _held(context, tokens)
    _refuse_short_streams(context, held, options)
    carried, streams = _carried(context, tokens)
    tasks, covers = _tasks(context, streams, carried, kind, tokenizer.pad_id)
    sizes = [cover[-1] / 1e6 for cover in covers]
    _, figures = context.run_partitions("write", _write, tasks, {}, covers, sizes, unit="MB")
    written = [_entry(part) for part in figures]
    entries = sorted((*carried.kept, *written), key=lambda entry: (entry.stream, entry.first_sample))
    index = ShardIndex(
        sequence_length=options.sequence_length,
        block_samples=options.block_samples,
        dtype=kind.name,
        end_of_text=special[0],
        pad=special[1],
        shards=tuple(entries),
    )
    write_index(str(context.folder), index)
    for leftover in context.folder.glob(".*.part"):  # of runs that were killed while they wrote
        leftover.unlink()
    files = {entry.file: entry.sha256 for entry in entries}
    # Training draws by the mixture and numbers samples by the index: they are content although no tar holds them.
    layout = options.determining | {"tokenizer": [kind.name, *special]}
    layout.pop("shard_megabytes")
    outcome = Outcome(files=files, content=digest_of([files, layout]))
    describe_shards(outcome, index, held, carried, options.empty_share)
    return outcome


def _streams(context: StageContext, tokens: Record, ids: bool = False) -> dict[str, StreamSpans]:
    columns = [*SPAN_COLUMNS, *(["doc_id"] if ids else [])]
    return spans_by_stream(read_table(*context.table_url(tokens, "spans"), columns=columns))


def _held(context: StageContext, tokens: Record) -> dict[str, int]:
    """Tokens of the documents of each stream."""
    if tokens.counts:
        return {stream: counts.get("tokens", 0) for stream, counts in tokens.counts.items()}
    return {name: stream.tokens for name, stream in _streams(context, tokens).items()}


def _refuse_short_streams(context: StageContext, held: Mapping[str, int], options: ShardStageOptions) -> None:
    longest = max((count for name, count in held.items() if name.endswith("-train")), default=0)
    if longest < options.sequence_length:
        raise StageError(
            f"{context.stage.asset}: sequence_length is {options.sequence_length:,}, the longest training stream has "
            f"{longest:,} tokens. Shorten the samples, or add text."
        )


def _carried(context: StageContext, tokens: Record) -> tuple[Carried, dict[str, StreamSpans]]:
    """(the shards of an earlier output that this one can take over, linked into its folder; where documents stand).

    In a full run there are none. Where files tell which documents went and came, those alone are looked at: all others
    stand among the samples that the earlier shards hold.

    Raises:
        Rebuild: the tokens were numbered anew since, or a file of the earlier shards is gone.
    """
    if context.base is None:
        return Carried(), _streams(context, tokens)
    earlier = context.earlier("tokens")
    if earlier.metrics.get("numbering") != tokens.metrics["numbering"]:
        raise Rebuild("the documents of its streams were numbered anew")
    source = Path(context.place.folder(context.base.digest))
    try:
        index = read_index(str(source))
        if {entry.file: entry.sha256 for entry in index.shards} != context.base.files:
            raise Rebuild("the index of the earlier shards is not the one that was written with them")
        withdrawn, streams = _withdrawn(context, earlier, tokens, index)
    except (ShardError, FileNotFoundError) as error:
        raise Rebuild(str(error)) from error
    carried = carry(index, withdrawn)
    take_over(carried, source, context.folder)
    return carried, streams


def _withdrawn(
    context: StageContext, earlier: Record, tokens: Record, index: ShardIndex
) -> tuple[dict[str, np.ndarray], dict[str, StreamSpans]]:
    """(places that documents have left since, by stream; where those stand that no earlier shard has)."""
    (url, older), (_, newer) = (context.table_url(record, "spans") for record in (earlier, tokens))
    told = changes_by_files(url, older, newer)
    if told is None:  # rows that stayed are told apart by their ids
        before, after = (_streams(context, record, ids=True) for record in (earlier, tokens))
        return withdrawn_by_stream(index, before, after), after
    gone = spans_by_stream(take_positions(url, older, told.removed, SPAN_COLUMNS))
    come = {
        name: replace(spans, first_row=tokens.tables[name].rows - len(spans.starts))
        for name, spans in spans_by_stream(take_rows(url, newer, told.kept, told.added, SPAN_COLUMNS)).items()
    }
    return known_withdrawn(index, gone, come), come


def _tasks(
    context: StageContext, streams: Mapping[str, StreamSpans], carried: Carried, kind: np.dtype, pad: int
) -> tuple[list[ShardTask], list[list[Any]]]:
    """The shards to write, and what each covers; the last value of a cover is its size in bytes."""
    tasks: list[ShardTask] = []
    covers: list[list[Any]] = []
    if context.base is not None:
        options: ShardStageOptions = context.stage.options  # type: ignore[assignment]
        source = context.place.folder(context.base.digest)
        layout = ShardLayout(options.sequence_length, options.block_samples, kind.name, pad)
        for entry, spans in carried.punched:
            tasks.append(PunchedShard(source, str(context.folder), layout, entry, spans))
            covers.append(["punched", entry.file, list(spans), entry.bytes])
    for name, stream in streams.items():
        for task in _new_shards(context, name, stream, carried, kind, pad):
            tasks.append(task)
            covers.append([name, asdict(task.plan), (task.plan.token_stop - task.plan.token_start) * kind.itemsize])
    return tasks, covers


def _new_shards(
    context: StageContext, name: str, stream: StreamSpans, carried: Carried, kind: np.dtype, pad: int
) -> Iterator[NewShard]:
    """Shards for the tokens of a stream behind its numbered samples."""
    options: ShardStageOptions = context.stage.options  # type: ignore[assignment]
    samples, shards = carried.numbered(name)
    table = context.table_url(context.inputs["tokens"], name)
    shard_samples = options.shard_samples(kind.itemsize)
    for plan in plan_shards(stream.end, options.sequence_length, options.block_samples, shard_samples, samples, shards):
        first = int(np.searchsorted(stream.stops, plan.token_start, side="right"))
        last = int(np.searchsorted(stream.starts, plan.token_stop, side="left"))
        skip = max(plan.token_start - int(stream.starts[first]), 0)
        gaps = stream.gaps(plan.token_start, plan.token_stop)
        row, rows = stream.first_row + first, max(last - first, 0)
        yield NewShard(str(context.folder), name, table, plan, row, rows, skip, gaps, options, pad, kind)


def _write(task: ShardTask) -> Iterator[tuple[str, Any]]:
    entry = task.write()
    yield "figures", {**vars(entry), "blocks": [dict(vars(block)) for block in entry.blocks]}


def _chunks(task: NewShard) -> Iterator[np.ndarray]:
    """The shard's tokens in pieces: whole rows, less what belongs to the shards before and after."""
    if task.rows == 0:
        return
    scanner = open_table(*task.table).scanner(
        columns=["tokens"], offset=task.first_row, limit=task.rows, batch_size=256, scan_in_order=True
    )
    skip = task.skip
    left = task.plan.token_stop - task.plan.token_start - sum(length for _, length in task.gaps)
    for batch in scanner.to_batches():
        flat = _flat(batch.column("tokens"))
        chunk = flat[skip : skip + left]
        skip, left = max(skip - len(flat), 0), left - len(chunk)
        if len(chunk):
            yield chunk


def _flat(rows: pa.LargeListArray) -> np.ndarray:
    return rows.flatten().to_numpy(zero_copy_only=False)


def _entry(data: dict[str, Any]) -> ShardEntry:
    blocks = tuple(
        BlockEntry(**{**block, "masked": tuple((first, count) for first, count in block["masked"])})
        for block in data["blocks"]
    )
    return ShardEntry(**{**data, "blocks": blocks, "parts": tuple(data["parts"])})
