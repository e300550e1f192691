"""signals and curated: measure every document once, then decide by rules over what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild, StageContext
from headwater.assets.corpus.view import CorpusView, Rows, chunk_rows, has_arrays, raw_changes, raw_of
from headwater.assets.curation.counting import (
    TOLD,
    carried,
    changed_rows,
    count_decisions,
    decision_metrics,
    drop_reasons,
)
from headwater.assets.curation.decide import decide
from headwater.assets.curation.measure import curate, signal_schema
from headwater.assets.curation.options import CurationOptions, rules_of
from headwater.assets.curation.rules import Rule
from headwater.assets.markdown import markdown_table
from headwater.assets.plain_plots import bar_table
from headwater.assets.schemas import DECISIONS, DOCUMENTS, MEDIA_DOCUMENTS, MEDIA_TEXTS
from headwater.assets.stages import Outcome
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord, Counts, Record, TableRecord
from headwater.assets.storage.tables import Positions, read_table, spread_rows, take_rows
from headwater.assets.workspace import Workspace

# A decision ledger that later stages add to: which text was decided on, and which stage dropped it.
LEDGER = pa.schema([*DECISIONS, pa.field("stage", pa.string()), pa.field("content_id", pa.string(), nullable=False)])
SINCE = "documents_changed_since_measurements"  # which are shown of a large corpus
SUMMARISED = 3_000  # documents of a large corpus whose signals the summary is drawn from
_ORIGIN = ["doc_id", "kept", "rule", "value", "threshold", "detail", "content_id", "format", "url", "license"]


@dataclass(frozen=True)
class ChunkTask:
    """One chunk of a corpus, with what the step needs to know."""

    view: CorpusView
    rows: Rows
    options: CurationOptions
    rules: tuple[Rule, ...] = ()
    signals: tuple[str, int] = ("", 0)


def _located(options: CurationOptions, workspace: Workspace) -> CurationOptions:
    """The same options with list files found from the workspace's folder, wherever the process runs."""
    rules = []
    for rule in options.rules:
        files = {name: getattr(rule, name, None) for name in ("file", "allow_file", "deny_file")}
        update = {name: str(workspace.root / path) for name, path in files.items() if path}
        rules.append(rule.model_copy(update=update))
    return options.model_copy(update={"rules": tuple(rules)})


def materialize_signals(context: StageContext) -> Outcome:
    """Repairs and measures every readable document."""
    options = _located(context.stage.options, context.workspace)  # type: ignore[arg-type]
    raw = context.inputs["raw"]
    stored = context.table_url(raw, "documents")
    arrays = stored if has_arrays(raw) else None
    view = CorpusView(stored, context.table_url(raw, "ledger"), None, arrays=arrays)
    schemas = {"signals": signal_schema(options), "documents": MEDIA_TEXTS if has_arrays(raw) else DOCUMENTS}
    chunks, removed = chunk_rows(context, raw), None
    if context.base is not None:
        found = raw_changes(context, context.earlier("raw"), raw)
        chunks, removed = found.added, found.documents.removed
    keeping = {} if removed is None else dict.fromkeys(schemas, removed)
    tasks = [ChunkTask(view, rows, options) for rows in chunks]
    sizes = [float(rows.documents) for rows in chunks]
    tables, figures = context.run_partitions(
        "measure", _measure, tasks, schemas, chunks, sizes, unit="documents", keeping=keeping
    )
    metrics = {"documents": tables["documents"].rows, "signals": len(schemas["signals"]) - 1}
    metrics |= {"documents_measured": int(sum(sizes)), "changed_texts": sum(part["changed"] for part in figures)}
    outcome = Outcome(tables=tables, metrics=metrics, content=corpus_content(raw, *tables.values()))
    _summarise(context, outcome, max(int(sum(sizes)), 0 if removed is None else len(removed)))
    return outcome


def corpus_content(raw: Record, *tables: TableRecord) -> str:
    """Content of a corpus at a later stage: its tables, and what the raw ledger says of the documents.

    Consumers read splits, groups, dates and licences from that ledger, which no later table repeats; without it, a
    changed split would end at the first stage whose own tables come out equal.
    """
    return digest_of([raw.content_version, [table.content for table in tables]])


def _measure(task: ChunkTask) -> Iterator[tuple[str, Any]]:
    rows = task.rows
    schema, origin = (DOCUMENTS, _ORIGIN) if task.view.arrays is None else (MEDIA_DOCUMENTS, [*_ORIGIN, "meta"])
    documents = take_rows(*task.view.documents, rows.first_document, rows.documents, schema.names)
    ledger = take_rows(*task.view.ledger, rows.first_record, rows.records, origin)
    readable = ledger.filter(ledger["kept"])
    texts, signals = curate(documents, readable, task.options)
    changed = pc.sum(pc.not_equal(texts["content_id"], documents["content_id"])).as_py() or 0
    for name, table in (("documents", texts), ("signals", signals)):
        for batch in table.combine_chunks().to_batches():
            yield name, batch
    yield "figures", {"changed": changed}


def _summarise(context: StageContext, outcome: Outcome, changed: int) -> None:
    """Tells how the signals are spread. What was drawn from many documents is told until one in twenty is another."""
    base, there = context.base, outcome.tables["signals"].rows
    if base is not None and SINCE in base.metrics and min(there, base.tables["signals"].rows) > SUMMARISED:
        since = int(base.metrics[SINCE]) + changed
        if 20 * since <= there:
            outcome.markdown["measurements"], outcome.metrics[SINCE] = base.markdown["measurements"], since
            return
    outcome.markdown["measurements"], outcome.metrics[SINCE] = _signal_summary(context, outcome), 0


def _signal_summary(context: StageContext, outcome: Outcome) -> str:
    there = outcome.tables["signals"].rows
    table = spread_rows(context.place.table("signals"), outcome.tables["signals"].version, SUMMARISED)
    rows = []
    for field in (field for field in table.schema if _is_number(field.type)):
        low, middle, high = (pc.quantile(table[field.name], q=[0.05, 0.5, 0.95]).to_pylist() or [None] * 3)[:3]
        meaning = (field.metadata or {}).get(b"description", b"").decode()
        rows.append([field.name, *(_short(value) for value in (low, middle, high)), meaning])
    told = markdown_table(["signal", "5 %", "median", "95 %", "meaning"], rows)
    return told if there == len(table) else f"{told}\n\nOf {len(table):,} documents, drawn from {there:,}."


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:,.4g}"


def materialize_curated(context: StageContext) -> Outcome:
    """Applies the rules; reads signals and ledgers, never text."""
    options = _located(context.stage.options, context.workspace)  # type: ignore[arg-type]
    signals = context.inputs["signals"]
    raw = raw_of(context, signals)
    view = CorpusView(context.table_url(signals, "documents"), context.table_url(raw, "ledger"), None)
    rules, stored = tuple(rules_of(options)), context.table_url(signals, "signals")
    keeping: dict[str, Positions] = {}
    chunks = chunk_rows(context, raw)
    if context.base is not None:
        chunks, keeping = _undecided(context, raw)
    tasks = [ChunkTask(view, rows, options, rules, stored) for rows in chunks]
    sizes = [float(rows.records) for rows in chunks]
    tables, _ = context.run_partitions(
        "decide", _decide, tasks, {"decisions": LEDGER}, chunks, sizes, unit="records", keeping=keeping
    )
    outcome = Outcome(tables=tables, content=corpus_content(raw, tables["decisions"]))
    _describe_decisions(outcome, _counts(context, tables["decisions"], keeping.get("decisions")), rules)
    return outcome


def _undecided(context: StageContext, raw: Record) -> tuple[list[Rows], dict[str, Positions]]:
    """The chunks that no decision was made for, and the decisions that go.

    Raises:
        Rebuild: signals of documents that stayed were measured anew; deciding on all of them reads no text.
    """
    found = raw_changes(context, raw_of(context, context.earlier("signals")), raw)
    measured = context.changes("signals", "signals")
    if not np.array_equal(measured.removed, found.documents.removed) or measured.kept != found.documents.kept:
        raise Rebuild(f"{context.stage.inputs['signals']} was measured anew")
    return found.added, {"decisions": found.ledger.removed}


def _decide(task: ChunkTask) -> Iterator[tuple[str, Any]]:
    rows = task.rows
    ledger = take_rows(*task.view.ledger, rows.first_record, rows.records, _ORIGIN)
    names = sorted({"doc_id", *(rule.signal for rule in task.rules)})
    signals = take_rows(*task.signals, rows.first_document, rows.documents, names)
    texts = take_rows(*task.view.documents, rows.first_document, rows.documents, ["doc_id", "content_id"])
    decided = decide(signals, ledger, task.rules)
    for batch in merge_decisions(ledger, decided, texts["content_id"], "curated").to_batches():
        yield "decisions", batch


def merge_decisions(ledger: pa.Table, decided: pa.Table, content: pa.ChunkedArray, stage: str) -> pa.Table:
    """One row for every record met: what reading dropped keeps its reason, the rest gets this stage's decision.

    Args:
        ledger: raw ledger rows of a chunk, with their `kept` and reason.
        decided: decisions of the readable ones, in the same order.
        content: content_id of each of them.
        stage: the stage that decided.
    """
    places = pa.array(_places(ledger["kept"]), mask=~ledger["kept"].to_numpy())
    columns: dict[str, Any] = {"doc_id": ledger["doc_id"]}
    for name in DECISIONS.names[1:]:
        taken = decided[name].take(places)
        columns[name] = pc.if_else(ledger["kept"], taken, ledger[name])
    dropped_by = pc.if_else(ledger["kept"], pa.scalar(stage), pa.scalar("raw"))
    columns["stage"] = pc.if_else(columns["kept"], pa.scalar(None, pa.string()), dropped_by)
    columns["content_id"] = pc.if_else(ledger["kept"], content.take(places), ledger["content_id"])
    return pa.table(columns, schema=LEDGER).combine_chunks()


def _places(kept: pa.ChunkedArray) -> Any:
    mask = kept.to_numpy()
    return mask.cumsum() - 1


def _counts(context: StageContext, decisions: TableRecord, removed: Positions | None) -> Counts:
    url, base = context.place.table("decisions"), context.base
    if removed is None or base is None or not base.counts:
        return count_decisions(read_table(url, decisions.version, TOLD), "curated")
    return carried(base.counts, changed_rows(url, base, decisions.version, removed), "curated")


def _describe_decisions(outcome: Outcome, counts: Counts, rules: tuple[Rule, ...]) -> None:
    outcome.counts = counts
    reasons = drop_reasons(counts)
    by_name = {rule.name: rule for rule in rules}
    outcome.metrics = decision_metrics(counts)
    outcome.markdown["drop reasons"] = markdown_table(
        ["rule", "documents", "drops when", "source"],
        [[name, f"{count:,}", _expression(by_name.get(name)), _source(by_name.get(name))] for name, count in reasons],
    )
    if reasons:
        outcome.plots["Dropped by rule"] = bar_table(reasons, "Dropped by rule")
    outcome.checks = [
        CheckRecord(
            name="keeps_documents",
            passed=outcome.metrics["kept"] > 0,
            blocking=True,
            description=_passing(outcome.metrics, reasons),
        )
    ]


def _passing(metrics: dict[str, Any], reasons: list[tuple[str, int]]) -> str:
    told = f"Documents that pass the rules: {metrics['kept']:,} of {metrics['documents_in']:,}."
    if metrics["kept"] or not reasons:
        return told
    dropped = ", ".join(f"{rule} ({count:,})" for rule, count in reasons[:3])
    return f"{told} They were dropped by {dropped}: loosen a rule, or take it out of curation.rules."


def _expression(rule: Rule | None) -> str:
    return f"`{rule.expression()}`" if rule else ""


def _source(rule: Rule | None) -> str:
    return rule.source if rule else ""
