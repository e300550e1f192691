"""shards of examples: kept documents become rows of fields, written as tars, each shard a task of its own.

The arrays of all documents are measured, so that every field gets one shape; then shards are written. A refresh keeps
the shards that nothing was withdrawn from, byte by byte, blanks withdrawn examples in the others, and adds shards for
documents that came. What would change the fields of examples written before (a new category, a larger array) makes it a
full run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from headwater.assets.context import Rebuild, StageContext, StageError
from headwater.assets.fitting.stage import open_tokenizer
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.sharding.declaration import ExampleStageOptions
from headwater.assets.sharding.examples.changes import Change, compare
from headwater.assets.sharding.examples.describe import describe_examples
from headwater.assets.sharding.examples.documents import Documents, documents_of, given_values
from headwater.assets.sharding.examples.fields import bytes_of, chosen_fields, held_fields
from headwater.assets.sharding.examples.index import (
    ExampleIndex,
    ExampleShard,
    FieldFacts,
    read_example_index,
    shard_from_record,
    write_example_index,
)
from headwater.assets.sharding.examples.making import array_names
from headwater.assets.sharding.examples.measuring import Measured, shape_is_declared
from headwater.assets.sharding.examples.options import ArrayField, ExamplesOptions
from headwater.assets.sharding.examples.writing import MeasureTask, NewShard, PunchedShard
from headwater.assets.sharding.growth import Carried, carry, spans_by_stream, take_over, withdrawn_by_stream
from headwater.assets.sharding.packing import plan_shards
from headwater.assets.sharding.shards import ShardError
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import TableRecord

_MEASURED_TOGETHER = 1024  # documents of one task

ShardTask = NewShard | PunchedShard


def materialize_examples(context: StageContext) -> Outcome:
    """Writes the examples of every corpus and their index, or what changed of them since an earlier output.

    Raises:
        StageError: there is no document to train on, or documents do not fit the declared fields.
        Rebuild: the earlier output cannot be gone on from.
    """
    options: ExampleStageOptions = context.stage.options  # type: ignore[assignment]
    documents = _documents(context, options)
    tokenizer = open_tokenizer(context, context.inputs["tokenizer"]) if "tokenizer" in context.inputs else None
    earlier, change = _earlier(context, options), compare(context, documents)
    measured = _measured(context, options.examples, change.added, earlier)
    fields = chosen_fields(options.examples, documents, measured, tokenizer)
    if earlier is not None:
        fields = held_fields(earlier.fields, fields)
    spans = change.present
    carried = _carried(context, earlier, change, spans)
    entries = _written(context, change, carried, fields, tokenizer)
    index = ExampleIndex(options.block_samples, fields, entries, {n: m.to_record() for n, m in measured.items()})
    write_example_index(str(context.folder), index)
    for leftover in context.folder.glob(".*.part"):  # of runs that were killed while they wrote
        leftover.unlink()
    outcome = _outcome(index, change.publish(context), options)
    describe_examples(outcome, index, str(context.folder), spans, carried, options.empty_share)
    outcome.metrics |= {
        "examples_added": sum(len(each) for each in change.added),
        "examples_removed": int(change.gone.sum()),
        "numbering": _numbering(context, outcome.tables),
        "repack": options.repack,
    }
    return outcome


def _documents(context: StageContext, options: ExampleStageOptions) -> list[Documents]:
    found = [
        documents
        for entry in options.mixture
        for documents in documents_of(context, entry.name, context.inputs[f"corpus:{entry.name}"], options.examples)
    ]
    if not any(len(each) for each in found if each.stream.endswith("-train")):
        raise StageError(f"{context.stage.asset}: no corpus has a document to train on.")
    return found


def _outcome(index: ExampleIndex, tables: dict[str, TableRecord], options: ExampleStageOptions) -> Outcome:
    files = {entry.file: entry.sha256 for entry in index.shards}
    # Training draws by the mixture and numbers examples by the index; models follow the fields.
    layout = [options.determining["mixture"], index.block_samples, [asdict(field) for field in index.fields]]
    return Outcome(tables=tables, files=files, content=digest_of([files, layout]))


def _numbering(context: StageContext, tables: Mapping[str, TableRecord]) -> str:
    """The full run that the numbers of the examples were counted by."""
    if context.base is not None:
        return str(context.base.metrics["numbering"])
    return digest_of(tables["spans"].content)


def _earlier(context: StageContext, options: ExampleStageOptions) -> ExampleIndex | None:
    """The index of the output that this run builds on; None in a full run."""
    if context.base is None:
        return None
    if context.base.metrics["repack"] != options.repack:
        raise Rebuild("all examples are numbered anew, as `repack` asks for")
    try:
        return read_example_index(context.place.folder(context.base.digest))
    except ShardError as error:
        raise Rebuild(str(error)) from error


def _measured(
    context: StageContext, options: ExamplesOptions, added: Sequence[Documents], earlier: ExampleIndex | None
) -> dict[str, Measured]:
    """What the arrays of all examples are, by array: measured now, or known from earlier shards."""
    known = {name: Measured.from_record(record) for name, record in (earlier.measured if earlier else {}).items()}
    fields = {n: f for n, f in options.fields.items() if isinstance(f, ArrayField) and not shape_is_declared(f)}
    names = tuple(sorted(set(array_names(fields).values())))
    if not names:
        return known
    tasks, covers = [], []
    for each in added:
        for start in range(0, len(each), _MEASURED_TOGETHER):
            rows = slice(start, start + _MEASURED_TOGETHER)
            assert each.arrays is not None  # or the corpus had been refused
            tasks.append(MeasureTask(each.arrays, each.positions[rows], names))
            covers.append([each.stream, digest_of(each.spans["doc_id"][rows].to_pylist())])
    sizes = [float(len(task.positions)) for task in tasks]
    _, figures = context.run_partitions("measure", _measure, tasks, {}, covers, sizes, unit="documents")
    for found in figures:
        for name, record in found.items():
            try:
                known[name] = Measured.from_record(record).joined(known.get(name))
            except ValueError as error:
                raise StageError(f"{context.stage.asset}: the array '{name}' {error}: keep one kind of it") from error
    return known


def _measure(task: MeasureTask) -> Iterator[tuple[str, Any]]:
    yield "figures", task.run()


def _carried(context: StageContext, earlier: ExampleIndex | None, change: Change, spans: pa.Table) -> Carried:
    """The earlier shards that are taken over, linked into the folder of this output.

    Raises:
        Rebuild: a file of the earlier shards is gone.
    """
    if context.base is None or earlier is None:
        return Carried()
    source = Path(context.place.folder(context.base.digest))
    carried = carry(earlier, withdrawn_by_stream(earlier, spans_by_stream(change.before), spans_by_stream(spans)))
    take_over(carried, source, context.folder)
    return carried


def _written(
    context: StageContext,
    change: Change,
    carried: Carried,
    fields: tuple[FieldFacts, ...],
    tokenizer: FittedTokenizer | None,
) -> tuple[ExampleShard, ...]:
    """All shards in order: those that are kept, those with new holes, and those of the documents that come."""
    tasks: list[ShardTask] = []
    covers: list[list[Any]] = []
    for entry, gone in carried.punched:
        assert context.base is not None
        source = context.place.folder(context.base.digest)
        tasks.append(PunchedShard(source, str(context.folder), cast(ExampleShard, entry), gone))
        covers.append(["punched", entry.file, list(gone), entry.bytes])
    for documents in change.added:
        for task, cover in _new_shards(context, documents, change, carried, fields, tokenizer):
            tasks.append(task)
            covers.append(cover)
    sizes = [cover[-1] / 1e6 for cover in covers]
    _, figures = context.run_partitions("write", _write, tasks, {}, covers, sizes, unit="MB")
    entries = [*cast(tuple[ExampleShard, ...], carried.kept), *map(shard_from_record, figures)]
    return tuple(sorted(entries, key=lambda entry: (entry.stream, entry.first_sample)))


def _new_shards(
    context: StageContext,
    documents: Documents,
    change: Change,
    carried: Carried,
    fields: tuple[FieldFacts, ...],
    tokenizer: FittedTokenizer | None,
) -> Iterator[tuple[NewShard, list[Any]]]:
    """Shards for documents that come to one stream, each with what it covers; the last value is its size in bytes."""
    options: ExampleStageOptions = context.stage.options  # type: ignore[assignment]
    stream, size = documents.stream, bytes_of(fields)
    first, (_, numbers) = change.first_sample(stream), carried.numbered(stream)
    given, together = given_values(documents, fields), options.shard_samples(size)
    for plan in plan_shards(first + len(documents), 1, options.block_samples, together, first, numbers):
        rows = slice(plan.first_sample - first, plan.first_sample - first + plan.samples)
        task = NewShard(
            folder=str(context.folder),
            stream=stream,
            number=plan.number,
            first_sample=plan.first_sample,
            texts=documents.texts,
            arrays=documents.arrays,
            positions=documents.positions[rows],
            given={name: values[rows] for name, values in given.items()},
            options=options.examples,
            fields=fields,
            block_samples=options.block_samples,
            tokenizer=tokenizer,
        )
        ids = digest_of(documents.spans["said"][rows].to_pylist())
        yield task, [stream, plan.number, plan.first_sample, ids, plan.samples * size]


def _write(task: ShardTask) -> Iterator[tuple[str, Any]]:
    yield "figures", asdict(task.write())
