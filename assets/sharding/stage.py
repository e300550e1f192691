"""shards: streams of tokens cut into samples and written as tars, each shard a task of its own."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext, StageError
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.markdown import markdown_table
from headwater.assets.sharding.declaration import ShardStageOptions
from headwater.assets.sharding.packing import ShardPlan, pack_blocks, plan_shards
from headwater.assets.sharding.shards import BlockEntry, ShardEntry, ShardIndex, write_index, write_shard
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.storage.tables import open_table, read_table
from headwater.assets.tokenization.encoding import token_type


@dataclass(frozen=True)
class ShardTask:
    """One shard to write: the rows of the token table that hold its tokens, and how many to leave out before it."""

    folder: str
    stream: str
    table: tuple[str, int]
    plan: ShardPlan
    first_row: int
    rows: int
    skip: int  # tokens of the first row that belong to the shard before
    options: ShardStageOptions
    pad: int


def materialize_shards(context: StageContext) -> Outcome:
    """Writes the shards of every stream and their index."""
    options: ShardStageOptions = context.stage.options  # type: ignore[assignment]
    tokens = context.inputs["tokens"]
    tokenizer = open_tokenizer(context, context.upstream(tokens, "tokenizer"))
    kind, special = token_type(tokenizer.vocabulary_size), (tokenizer.end_of_text_id, tokenizer.pad_id)
    folder = str(context.folder)
    longest = max(sum_of for name, sum_of in _stream_tokens(context, tokens).items() if name.endswith("-train"))
    if longest < options.sequence_length:
        raise StageError(
            f"{context.stage.asset}: sequence_length is {options.sequence_length:,}, the longest training stream has "
            f"{longest:,} tokens. Shorten the samples, or add text."
        )
    tasks = list(_tasks(context, tokens, folder, options, tokenizer.pad_id, kind.itemsize))
    sizes = [(task.plan.token_stop - task.plan.token_start) * kind.itemsize / 1e6 for task in tasks]
    covers = [[task.stream, asdict(task.plan)] for task in tasks]
    _, figures = context.run_partitions("write", _write, tasks, {}, covers, sizes, unit="MB")
    entries = tuple(_entry(part) for part in figures)
    index = ShardIndex(
        sequence_length=options.sequence_length,
        block_samples=options.block_samples,
        dtype=kind.name,
        end_of_text=special[0],
        pad=special[1],
        shards=entries,
    )
    write_index(folder, index)
    files = {entry.file: entry.sha256 for entry in entries}
    # Training draws by the mixture and numbers samples by the index: they are content although no tar holds them.
    layout = options.model_dump(mode="json", exclude={"shard_megabytes"}) | {"tokenizer": [kind.name, *special]}
    outcome = Outcome(files=files, content=digest_of([files, layout]))
    _describe(outcome, index, tokens)
    return outcome


def _stream_tokens(context: StageContext, tokens: Record) -> dict[str, int]:
    spans = read_table(*context.table_url(tokens, "spans"), columns=["stream", "length"])
    sums = spans.group_by("stream").aggregate([("length", "sum")])
    return dict(zip(sums["stream"].to_pylist(), sums["length_sum"].to_pylist(), strict=True))


def _tasks(
    context: StageContext, tokens: Record, folder: str, options: ShardStageOptions, pad: int, token_bytes: int
) -> Iterator[ShardTask]:
    spans = read_table(*context.table_url(tokens, "spans"), columns=["stream", "start", "length"])
    for stream in pc.unique(spans["stream"]).to_pylist():
        own = spans.filter(pc.equal(spans["stream"], stream))
        starts, lengths = own["start"].to_numpy(), own["length"].to_numpy()
        total = int(starts[-1] + lengths[-1])
        for plan in plan_shards(
            total, options.sequence_length, options.block_samples, options.shard_samples(token_bytes)
        ):
            first = int(np.searchsorted(starts, plan.token_start, side="right")) - 1
            last = int(np.searchsorted(starts, plan.token_stop, side="left"))
            skip = plan.token_start - int(starts[first])
            table = context.table_url(tokens, stream)
            yield ShardTask(folder, stream, table, plan, first, last - first, skip, options, pad)


def _write(task: ShardTask) -> Iterator[tuple[str, Any]]:
    blocks = pack_blocks(_chunks(task), task.plan, task.options.sequence_length, task.options.block_samples, task.pad)
    yield "figures", asdict(write_shard(task.folder, task.stream, task.plan.number, blocks))


def _chunks(task: ShardTask) -> Iterator[np.ndarray]:
    """The shard's tokens in pieces: whole rows, less what belongs to the shards before and after."""
    scanner = open_table(*task.table).scanner(
        columns=["tokens"], offset=task.first_row, limit=task.rows, batch_size=256, scan_in_order=True
    )
    skip, left = task.skip, task.plan.token_stop - task.plan.token_start
    for batch in scanner.to_batches():
        flat = _flat(batch.column("tokens"))[skip:]
        skip = max(skip - sum(len(row) for row in batch.column("tokens")), 0) if len(flat) == 0 else 0
        if len(flat):
            yield flat[:left]
            left -= min(left, len(flat))


def _flat(rows: pa.LargeListArray) -> np.ndarray:
    return rows.flatten().to_numpy(zero_copy_only=False)


def _entry(data: dict[str, Any]) -> ShardEntry:
    blocks = tuple(
        BlockEntry(**{**block, "masked": tuple((first, count) for first, count in block["masked"])})
        for block in data["blocks"]
    )
    return ShardEntry(**{**data, "blocks": blocks})


def _describe(outcome: Outcome, index: ShardIndex, tokens: Record) -> None:
    valid: dict[str, int] = {}
    for shard in index.shards:
        valid[shard.stream] = valid.get(shard.stream, 0) + sum(block.valid for block in shard.blocks)
    samples = index.streams()
    rows = [
        [name, sum(s.stream == name for s in index.shards), f"{samples[name]:,}", f"{valid[name]:,}"]
        for name in samples
    ]
    outcome.markdown["streams"] = markdown_table(["stream", "shards", "samples", "tokens"], rows)
    outcome.metrics = {
        "shards": len(index.shards),
        "samples": sum(samples.values()),
        "sequence_length": index.sequence_length,
        "megabytes": round(sum(shard.bytes for shard in index.shards) / 1e6, 3),
    }
    written, expected = sum(valid.values()), tokens.metrics["tokens"]
    outcome.checks = [
        CheckRecord(
            name="whole",
            passed=written == expected,
            blocking=True,
            description=f"{written:,} of {expected:,} tokens are in the shards.",
        )
    ]
