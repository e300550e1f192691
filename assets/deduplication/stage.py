"""deduplicated: exact and near duplicates and evaluation items, decided over tables.

Signatures and look-ups of evaluation items are row steps, verification is a step over pairs; only the candidates and
the final decision see the whole, and they read numbers, not texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageContext
from headwater.assets.corpus.view import CorpusView, Rows, kept_ledger, open_corpus, raw_of, texts_of
from headwater.assets.curation.stage import LEDGER, corpus_content, decision_metrics, drop_reasons
from headwater.assets.deduplication.bands import bands_and_rows, s_curve_points
from headwater.assets.deduplication.candidates import arrange, candidate_pairs, exact_edges, exact_groups
from headwater.assets.deduplication.decide import decide
from headwater.assets.deduplication.decontamination import HITS, build_index, contaminated
from headwater.assets.deduplication.evaluation_sets import read_evaluation_set
from headwater.assets.deduplication.index import signature_schema
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.signatures import compute_signatures
from headwater.assets.deduplication.stored import StoredIndex
from headwater.assets.deduplication.summary import example_pair, lost_share_by_source, sources_over_limit
from headwater.assets.deduplication.verify import pair_chunks, verify_pairs
from headwater.assets.markdown import markdown_table
from headwater.assets.plots import s_curve, thumbnail
from headwater.assets.schemas import EDGES
from headwater.assets.stages import Outcome, Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.records import CheckRecord
from headwater.assets.storage.tables import open_table, read_table
from headwater.assets.workspace import Workspace

_LEDGER_COLUMNS = ["source", "split", "date", "bytes", "uri"]


@dataclass(frozen=True)
class SignTask:
    """One chunk whose kept documents get signatures and are looked up in the index of evaluation items."""

    view: CorpusView
    rows: Rows
    options: DeduplicationOptions
    index: tuple[str, int] | None


@dataclass(frozen=True)
class VerifyTask:
    """Candidate pairs to verify; rows of the documents table for every id in them."""

    pairs: pa.Table
    documents: tuple[str, int]
    rows: tuple[int, ...]
    options: DeduplicationOptions


def evaluation_sets_fingerprint(stage: Stage, workspace: Workspace) -> str:
    """Hash of the evaluation items that training must not contain."""
    options: DeduplicationOptions = stage.options  # type: ignore[assignment]
    return digest_of(_evaluation_sets(options, workspace))


def _evaluation_sets(options: DeduplicationOptions, workspace: Workspace) -> list[tuple[str, list[str]]]:
    found = []
    for item in options.decontamination.sets:
        path = item.path if "://" in item.path else str(workspace.root / item.path)
        found.append((item.name, read_evaluation_set(item.model_copy(update={"path": path}))))
    return found


def materialize_deduplicated(context: StageContext) -> Outcome:
    """Finds duplicates and decides which documents stay."""
    options: DeduplicationOptions = context.stage.options  # type: ignore[assignment]
    curated = context.inputs["curated"]
    view, rows = open_corpus(context, curated)
    tables, hits, too_short = _sign(context, view, rows, options)
    ledger = kept_ledger(view, _LEDGER_COLUMNS)
    rank = {name: place for place, name in enumerate(context.stage.identity_options["source_order"])}
    arranged = arrange(StoredIndex(context.place.table("signatures"), tables["signatures"].version), ledger, rank)
    roots = exact_groups(arranged, options)
    pairs, left_out = candidate_pairs(arranged, roots, options)
    edges = pa.concat_tables([exact_edges(arranged, roots, options), _verify(context, view, pairs, options)])
    decided = decide(ledger, edges, options, rank, hits)
    tables["edges"] = context.write_table("edges", edges)
    tables["decisions"] = context.write_table("decisions", _merge(view, decided))
    outcome = Outcome(
        tables={"decisions": tables["decisions"], "edges": tables["edges"], "signatures": tables["signatures"]},
        content=corpus_content(raw_of(context, curated), tables["decisions"]),
    )
    outcome.metrics = {"candidate_pairs": pairs.num_rows, "comparisons_left_out": left_out, "short_items": too_short}
    _describe(context, outcome, view, rows, ledger, decided, edges, options)
    return outcome


def _sign(
    context: StageContext, view: CorpusView, rows: list[Rows], options: DeduplicationOptions
) -> tuple[dict[str, Any], pa.Table | None, int]:
    """Signatures of all kept documents, hits of evaluation items, and the items too short to look for."""
    sets = _evaluation_sets(options, context.workspace)
    index, too_short = None, 0
    if sets:
        built = build_index(sets, options.decontamination)
        too_short = built.too_short
        stored = context.write_table("evaluation_index", built.table)
        index = (context.place.table("evaluation_index"), stored.version)
    tasks = [SignTask(view, chunk, options, index) for chunk in rows]
    schemas = {"signatures": signature_schema(options), "hits": HITS}
    sizes = [float(chunk.documents) for chunk in rows]
    tables, _ = context.run_partitions("sign", _sign_chunk, tasks, schemas, rows, sizes, unit="documents")
    hits = read_table(context.place.table("hits"), tables["hits"].version) if sets else None
    return tables, hits, too_short


def _sign_chunk(task: SignTask) -> Iterator[tuple[str, Any]]:
    documents = task.view.kept(task.rows, columns=())
    for batch in compute_signatures(documents, task.options).combine_chunks().to_batches():
        yield "signatures", batch
    if task.index is not None and documents.num_rows:
        index = read_table(*task.index)
        for batch in contaminated(documents, index, task.options.decontamination).combine_chunks().to_batches():
            yield "hits", batch


def _verify(context: StageContext, view: CorpusView, pairs: pa.Table, options: DeduplicationOptions) -> pa.Table:
    """Verified near edges; each task reads the texts of its own pairs."""
    if pairs.num_rows == 0:
        return EDGES.empty_table()
    ids = read_table(*view.documents, columns=["doc_id"])["doc_id"].combine_chunks()
    tasks = []
    for chunk in pair_chunks(pairs):
        both = pc.unique(pa.chunked_array([*chunk["doc_id"].chunks, *chunk["other_id"].chunks]))
        places = np.sort(pc.index_in(both, value_set=ids).to_numpy(zero_copy_only=False))
        tasks.append(VerifyTask(chunk, view.documents, tuple(places.tolist()), options))
    sizes = [float(task.pairs.num_rows) for task in tasks]
    ends = [task.pairs.select(["doc_id", "other_id"]).take([0, task.pairs.num_rows - 1]) for task in tasks]
    covers = [[task.pairs.num_rows, end.to_pylist()] for task, end in zip(tasks, ends, strict=True)]
    schemas = {"near_edges": EDGES}
    tables, _ = context.run_partitions("verify", _verify_chunk, tasks, schemas, covers, sizes, unit="pairs")
    return read_table(context.place.table("near_edges"), tables["near_edges"].version)


def _verify_chunk(task: VerifyTask) -> Iterator[tuple[str, Any]]:
    texts = open_table(*task.documents).take(list(task.rows), columns=["doc_id", "text"])
    for batch in verify_pairs(task.pairs, lambda _: texts, task.options).combine_chunks().to_batches():
        yield "near_edges", batch


def _merge(view: CorpusView, decided: pa.Table) -> pa.Table:
    """This stage's decisions laid over those before it, in the order of the ledger."""
    before = read_table(*view.decisions) if view.decisions else LEDGER.empty_table()
    mask = before["kept"].to_numpy()
    places = pa.array(mask.cumsum() - 1, mask=~mask)
    columns: dict[str, Any] = {"doc_id": before["doc_id"], "content_id": before["content_id"]}
    for name in ("kept", "rule", "value", "threshold", "detail"):
        columns[name] = pc.if_else(before["kept"], decided[name].take(places), before[name])
    own = pc.if_else(columns["kept"], pa.scalar(None, pa.string()), pa.scalar("deduplicated"))
    columns["stage"] = pc.if_else(before["kept"], own, before["stage"])
    return pa.table({name: columns[name] for name in LEDGER.names}, schema=LEDGER).combine_chunks()


def _describe(
    context: StageContext,
    outcome: Outcome,
    view: CorpusView,
    rows: list[Rows],
    ledger: pa.Table,
    decided: pa.Table,
    edges: pa.Table,
    options: DeduplicationOptions,
) -> None:
    table = read_table(context.place.table("decisions"), outcome.tables["decisions"].version, ["kept", "rule", "stage"])
    outcome.metrics |= decision_metrics(table, "deduplicated") | {"edges": edges.num_rows}
    reasons = [[rule, f"{count:,}"] for rule, count in drop_reasons(table, "deduplicated")]
    outcome.markdown["drop reasons"] = markdown_table(["rule", "documents"], reasons)
    lost = lost_share_by_source(decided, ledger)
    outcome.markdown["lost by source"] = markdown_table(
        ["source", "documents", "dropped", "share"],
        [[r["source"], f"{r['documents']:,}", f"{r['dropped']:,}", f"{r['share']:.1%}"] for r in lost.to_pylist()],
    )
    _show_example(outcome, view, rows, ledger, edges)
    if options.near is not None:
        bands, band_rows = bands_and_rows(options.near)
        outcome.metrics |= {"bands": bands, "rows_per_band": band_rows}
        points = list(zip(*s_curve_points(options.near), strict=True))
        outcome.markdown["chance by similarity, 0 to 1"] = thumbnail(*s_curve_points(options.near))
        outcome.plots["Chance of becoming a candidate"] = s_curve(points, options.verifier.threshold)
    over = sources_over_limit(lost, options)
    description = "; ".join(over) or "No source lost more than its share."
    outcome.checks = [CheckRecord(name="lost_share", passed=not over, blocking=True, description=description)]


def _show_example(outcome: Outcome, view: CorpusView, rows: list[Rows], ledger: pa.Table, edges: pa.Table) -> None:
    uris = dict(zip(ledger["doc_id"].to_pylist(), ledger["uri"].to_pylist(), strict=True))
    example = example_pair(edges, lambda ids: dict(texts_of(view, rows, set(ids))), uris)
    if example is None:
        return
    fence = "````"
    outcome.markdown["a near-duplicate pair"] = (
        f"`{example.uri}` resembles `{example.other_uri}`: similarity {example.similarity:.3f}, "
        f"containment {example.containment:.3f}\n\n{fence}diff\n{example.diff}\n{fence}"
    )
    outcome.metrics |= {
        "example": example.uri,
        "example_of": example.other_uri,
        "example_similarity": round(example.similarity, 4),
    }
