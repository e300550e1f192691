"""What else a checkpoint took from a document: through a tokenizer, a teacher, labels or a merge, not through a step.

The graph of records is walked from the checkpoint to everything that it was made from. What is fitted on documents or
was itself trained on them passes their influence on; that is told apart from the steps that read the document.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.compute as pc

from headwater.assets.context import StageError, consumed_record
from headwater.assets.corpus.view import kept_ledger
from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.sample import draw_sample
from headwater.assets.lineage.corpora import corpora_of, corpus_stages, targets_of, view_at
from headwater.assets.lineage.history import promoted
from headwater.assets.lineage.segments import trained_segments
from headwater.assets.lineage.trace import trace_document
from headwater.assets.storage.indexes import find_rows
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record


@dataclass(frozen=True)
class Influence:
    """How something that a checkpoint is made from took from a document.

    `certain` is False where it is known only that the document was among what could be taken. `via` are the assets
    between the checkpoint and it.
    """

    asset: str
    version: str
    kind: str
    how: str
    certain: bool
    via: tuple[str, ...]


def influences(store: Store, checkpoint: Record, doc_id: str) -> list[Influence]:
    """Every way but its own steps in which a document shaped a checkpoint."""
    found = []
    for record, via in ancestors(store, checkpoint):
        try:
            judged = _judge(store, record, doc_id)
        except FileNotFoundError:
            judged = ("made from documents that can no longer be told", False)
        if judged is not None:
            how, certain = judged
            how += _through(via)
            found.append(Influence(record.asset, record.digest, record.kind, how, certain, via))
    return found


def _through(via: tuple[str, ...]) -> str:
    """By what a taken document reached the checkpoint, where that was neither a step nor a fit of its own."""
    passed = [asset for asset in via if asset.endswith(("/annotated", "/selected", "/merged"))]
    return f", passed on by {', '.join(passed)}" if passed else ""


def ancestors(store: Store, record: Record) -> Iterator[tuple[Record, tuple[str, ...]]]:
    """(record, assets on the way) of everything that a record was made from, the nearest first, each version once.

    What the history no longer has is left out, with what lies behind it.
    """
    pending: deque[tuple[Record, tuple[str, ...]]] = deque([(record, ())])
    seen = {(record.asset, record.digest)}
    while pending:
        current, via = pending.popleft()
        for source in _sources(store, current):
            if (source.asset, source.digest) not in seen:
                seen.add((source.asset, source.digest))
                yield source, via
                pending.append((source, (*via, source.asset)))


def _sources(store: Store, record: Record) -> Iterator[Record]:
    for role in consumed_roles(record):
        try:
            source = promoted(store, consumed_record(store, record, role))
        except StageError:
            continue
        if source is not None:
            yield source
    if record.metrics.get("segments"):
        try:
            yield from (trained.shards for trained in trained_segments(store, record))
        except StageError:
            return


def consumed_roles(record: Record) -> list[str]:
    """Roles in which a record consumed other outputs; an optional input that was not there yet has none."""
    return [role for role in record.identity.options.get("_inputs", {}) if role in record.identity.inputs]


def _judge(store: Store, record: Record, doc_id: str) -> tuple[str, bool] | None:
    """(how, whether it is certain) an output took from a document; None when it did not."""
    if record.metrics.get("segments"):
        return _trained_on(store, record, doc_id)
    if record.kind == "Selection":
        held = any(_kept_in(store, corpus, doc_id) for corpus in targets_of(store, record))
        return ("chose by its likeness to it", True) if held else None
    if record.tables or record.kind in ("Corpus", "Shards", "Merge"):
        return None  # its documents stay apart, row by row: they are the direct way
    if record.kind == "Fit":
        return _fitted_on(store, record, doc_id)
    held = any(_kept_in(store, corpus, doc_id) for corpus in corpora_of(store, record))
    return ("made from a corpus that held it", False) if held else None


def _trained_on(store: Store, record: Record, doc_id: str) -> tuple[str, bool] | None:
    try:
        steps = trace_document(store, record, doc_id).steps
    except StageError:
        return None
    return (f"trained on it in {len(steps):,} step{'s' if len(steps) != 1 else ''}", True) if steps else None


def _fitted_on(store: Store, fit: Record, doc_id: str) -> tuple[str, bool] | None:
    if fit.metrics.get("origin") == "file":
        return None
    for corpus in corpora_of(store, fit):
        if _kept_in(store, corpus, doc_id, split="train") and doc_id in _sample_ids(store, fit, corpus, doc_id):
            return "fitted on it", True
    return None


def _kept_in(store: Store, corpus: Record, doc_id: str, split: str | None = None) -> bool:
    """Whether a corpus kept a document (in a split)."""
    place = store.place(corpus.asset)
    if "decisions" in corpus.tables:
        rows = find_rows(place.table("decisions"), corpus.tables["decisions"].version, "doc_id", [doc_id], ["kept"])
        if not any(rows["kept"].to_pylist()):
            return False
    raw = corpus_stages(store, corpus)["raw"]
    table, version = store.place(raw.asset).table("ledger"), raw.tables["ledger"].version
    rows = find_rows(table, version, "doc_id", [doc_id], ["kept", "split"]).to_pylist()
    return any(row["kept"] and split in (None, row["split"]) for row in rows)


def _sample_ids(store: Store, fit: Record, corpus: Record, doc_id: str) -> set[str]:
    """Ids of the documents that a tokenizer was fitted on, or that one alone where all were taken."""
    options = ByteLevelBpeOptions.model_validate(fit.identity.options["fit"])
    ledger = kept_ledger(view_at(store, corpus), ["split", "bytes"])
    train = ledger.filter(pc.equal(ledger["split"], "train"))
    if fit.metrics.get("sample_documents") == train.num_rows:
        return {doc_id}
    ids = train["doc_id"].to_pylist()
    return {ids[row] for row in draw_sample(ids, train["bytes"].to_numpy(), options)}
