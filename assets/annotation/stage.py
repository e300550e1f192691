"""annotated: what was said of each document, and which documents go on.

The table `annotations` has a row for every record of the raw ledger, in its order, empty where a document had been
dropped before; a consumer's view joins it by position. The decisions of earlier stages are carried on, so that this
asset's own tables say of every record why it is there or not.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.annotation.declaration import AnnotationStageOptions
from headwater.assets.annotation.keeping import apply_rules, overlaid_decisions
from headwater.assets.annotation.options import Split
from headwater.assets.annotation.protocol import Annotator
from headwater.assets.annotation.rounds import look_at_stop_rule, passed_on
from headwater.assets.context import StageContext, StageError
from headwater.assets.corpus.annotations import all_annotated
from headwater.assets.corpus.view import CorpusView, Rows, Table, open_corpus, signals_of
from headwater.assets.curation.counting import count_decisions, decision_metrics, drop_reasons
from headwater.assets.curation.stage import LEDGER
from headwater.assets.markdown import markdown_table
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, Record, TableRecord
from headwater.assets.storage.tables import read_table, take_rows

DOC_ID = pa.field("doc_id", pa.string())  # null where nothing was annotated
_SHOWN = 20  # values of a text column that the asset's page counts


@dataclass(frozen=True)
class ChunkTask:
    """One chunk of a corpus and what annotates it."""

    view: CorpusView
    rows: Rows
    annotator: Annotator
    signals: Table
    asset: str


@dataclass(frozen=True)
class CopyTask:
    """One chunk of a corpus whose earlier annotations are passed on as they are."""

    view: CorpusView
    rows: Rows


def materialize_annotated(context: StageContext) -> Outcome:
    """Annotates every kept document, or passes a corpus on where the loop's stop rule holds.

    Raises:
        StageError: an annotation would hide a fact that the source says, or what is read is not there.
    """
    options: AnnotationStageOptions = context.stage.options  # type: ignore[assignment]
    stopped = look_at_stop_rule(context, options.passes_through_when)
    if stopped is not None and stopped.ended:
        outcome = pass_through(context)
    else:
        outcome = _annotated(context, options)
    if stopped is not None:
        outcome.metrics |= {"passed_through": stopped.ended, "stop_figure": stopped.figure}
        outcome.markdown["stop rule"] = stopped.words
    return outcome


def _annotated(context: StageContext, options: AnnotationStageOptions) -> Outcome:
    corpus = context.inputs["corpus"]
    annotator = options.annotator.build(context)
    view, chunks = open_corpus(context, corpus)
    signals = context.table_url(signals_of(context, corpus), "signals")
    tasks = [ChunkTask(view, rows, annotator, signals, context.stage.asset) for rows in chunks]
    schema = pa.schema([DOC_ID, *annotator.columns])
    tables, _ = context.run_partitions(
        "annotate",
        annotate_chunk,
        tasks,
        {"annotations": schema},
        chunks,
        [float(rows.documents) for rows in chunks],
        unit="documents",
        on_gpu=True,
    )
    annotations = read_table(context.place.table("annotations"), tables["annotations"].version)
    before, ledger = read_decisions(view)
    kept = before["kept"].to_numpy()
    own = annotations.filter(pa.array(kept))
    subject = of_split(ledger["split"].filter(pa.array(kept)), options.split)
    decisions = overlaid_decisions(before, kept, apply_rules(options.keep, own, subject), context.stage.asset)
    tables["decisions"] = context.write_table("decisions", decisions)
    outcome = Outcome(tables=tables, content=derived_content(corpus, *tables.values()))
    describe(context, outcome, decisions)
    _describe_columns(outcome, own.drop_columns(["doc_id"]))
    _describe_change(context, outcome, annotations, kept)
    return outcome


def pass_through(context: StageContext) -> Outcome:
    """A corpus as it is: its decisions, and everything that annotations have said of it until now."""
    taken = passed_on(context)
    view, chunks = open_corpus(context, taken)
    tables: dict[str, TableRecord] = {}
    if view.annotations:
        schema = pa.schema([DOC_ID, *all_annotated(view.annotations, taken.rows("decisions")).schema])
        tasks = [CopyTask(view, rows) for rows in chunks]
        tables, _ = context.run_partitions("pass", copy_chunk, tasks, {"annotations": schema}, chunks)
    decisions, _ = read_decisions(view)
    tables["decisions"] = context.write_table("decisions", decisions)
    outcome = Outcome(tables=tables, content=derived_content(taken, *tables.values()))
    describe(context, outcome, decisions)
    return outcome


def derived_content(corpus: Record, *tables: TableRecord) -> str:
    """Content of a corpus that something was said or decided of: its own, and that of the tables beside it."""
    return digest_of([corpus.content_version, [table.content for table in tables]])


def read_decisions(view: CorpusView) -> tuple[pa.Table, pa.Table]:
    """(decisions until now (LEDGER), doc_id and split of the ledger), one row for every record each."""
    assert view.decisions is not None, "annotations and selections stand on a corpus that was decided on"
    before = read_table(*view.decisions, columns=LEDGER.names).cast(LEDGER)
    return before, read_table(*view.ledger, columns=["doc_id", "split"])


def of_split(splits: pa.ChunkedArray, wanted: Split) -> np.ndarray:
    """Marks the documents of a split; all of them for `any`."""
    return np.ones(len(splits), dtype=bool) if wanted == "any" else np.asarray(pc.equal(splits, wanted))


def annotate_chunk(task: ChunkTask) -> Iterator[tuple[str, Any]]:
    """The rows of `annotations` of one chunk."""
    kept = task.view.kept_mask(task.rows)
    _refuse_hidden_facts(task, kept)
    documents = _documents(task, kept)
    said = task.annotator.annotate(documents)
    if said.num_rows != documents.num_rows:
        raise StageError(f"{task.asset}: {documents.num_rows} documents got {said.num_rows} annotations.")
    table = pa.table([documents["doc_id"], *said.select(task.annotator.columns.names).columns],
                     schema=pa.schema([DOC_ID, *task.annotator.columns]))  # fmt: skip
    yield from _in_ledger(table, kept)


def copy_chunk(task: CopyTask) -> Iterator[tuple[str, Any]]:
    """The rows of `annotations` of one chunk that is passed on."""
    kept = task.view.kept_mask(task.rows)
    ids = take_rows(*task.view.ledger, task.rows.first_record, task.rows.records, ["doc_id"])["doc_id"]
    annotated = task.view.annotated(task.rows)
    table = pa.table([ids, *annotated.columns], schema=pa.schema([DOC_ID, *annotated.schema]))
    yield from _in_ledger(table.filter(pa.array(kept)), kept)


def _in_ledger(rows: pa.Table, kept: np.ndarray) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Rows of kept documents laid out as the ledger is, empty where a record is not kept."""
    places = pa.array(np.cumsum(kept) - 1, mask=~kept)
    for batch in rows.combine_chunks().take(places).combine_chunks().to_batches():
        yield "annotations", batch


def _documents(task: ChunkTask, kept: np.ndarray) -> pa.Table:
    annotator = task.annotator
    found = task.view.kept(task.rows, annotator.ledger, text=annotator.text)
    if not annotator.signals:
        return found
    readable = take_rows(*task.view.ledger, task.rows.first_record, task.rows.records, ["kept"])["kept"].to_numpy()
    names = read_table(*task.signals, columns=None, where="false").schema.names
    free = [name for name in names if name not in found.schema.names]
    measured = take_rows(*task.signals, task.rows.first_document, task.rows.documents, free)
    for name, column in zip(free, measured.filter(pa.array(kept[readable])).columns, strict=True):
        found = found.append_column(name, column)
    return found


def _refuse_hidden_facts(task: ChunkTask, kept: np.ndarray) -> None:
    """An annotation of the name of a fact that a source says would stand in its place: gold labels stay readable."""
    rows = take_rows(*task.view.ledger, task.rows.first_record, task.rows.records, ["doc_id", "meta"])
    rows = rows.filter(pa.array(kept))
    for name in task.annotator.columns.names:
        suspect = rows.filter(pc.fill_null(pc.match_substring(rows["meta"], json.dumps(name)), False))
        for doc_id, meta in zip(suspect["doc_id"].to_pylist(), suspect["meta"].to_pylist(), strict=True):
            if name in json.loads(meta):
                raise StageError(
                    f"{task.asset}: the source of document {doc_id} says '{name}' itself, and the annotation of that "
                    "name would hide it. Give the annotator's column another name."
                )


def describe(context: StageContext, outcome: Outcome, decisions: pa.Table) -> None:
    """Figures, drop reasons and checks that annotations share."""
    counts = count_decisions(decisions, context.stage.asset)
    outcome.metrics |= decision_metrics(counts)
    reasons = drop_reasons(counts)
    if reasons:
        rows = [[name, f"{count:,}"] for name, count in reasons]
        outcome.markdown["drop reasons"] = markdown_table(["rule", "documents"], rows)
    kept = outcome.metrics["kept"]
    annotated = outcome.metrics["documents_in"]
    outcome.checks = [
        CheckRecord(
            name="annotates_documents", passed=annotated > 0, blocking=True, description=f"{annotated:,} documents."
        ),
        CheckRecord(name="keeps_documents", passed=kept > 0, blocking=True, description=f"{kept:,} documents go on."),
    ]


def _describe_columns(outcome: Outcome, said: pa.Table) -> None:
    rows = []
    for name in said.schema.names:
        column = said[name]
        missing = column.null_count
        if pa.types.is_string(column.type) or pa.types.is_boolean(column.type):
            counts = Counter(value for value in column.to_pylist() if value is not None).most_common(_SHOWN)
            shown = ", ".join(f"{value} ({count:,})" for value, count in counts)
        elif pa.types.is_nested(column.type):
            shown = str(column.type)
        else:
            low, middle, high = (pc.quantile(column, q=[0.05, 0.5, 0.95]).to_pylist() or [None] * 3)[:3]
            shown = "" if middle is None else f"5 % {low:.4g}, median {middle:.4g}, 95 % {high:.4g}"
            mean = pc.mean(column).as_py()
            if mean is not None and np.isfinite(mean):
                outcome.metrics[f"mean/{name}"] = float(mean)
        rows.append([name, shown, f"{missing:,}"])
    outcome.markdown["annotations"] = markdown_table(["column", "values", "not said"], rows)


def _describe_change(context: StageContext, outcome: Outcome, annotations: pa.Table, kept: np.ndarray) -> None:
    """In a later round: which share of the documents is said something else of than in the round before."""
    earlier = open_corpus(context, passed_on(context))[0].annotations
    if not earlier:
        return
    before = all_annotated(earlier, annotations.num_rows)
    for name in annotations.schema.names:
        if name not in before.schema.names or not pa.types.is_string(annotations.schema.field(name).type):
            continue
        both = [column.filter(pa.array(kept)).to_pylist() for column in (before[name], annotations[name])]
        changed = [a != b for a, b in zip(*both, strict=True)]
        outcome.metrics[f"changed_share/{name}"] = float(np.mean(changed)) if changed else 0.0
