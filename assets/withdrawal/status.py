"""What a checkpoint took from documents that were withdrawn since: by its own steps, and through what it was made from.

The weights cannot forget a document; what can be said is which steps saw one, exactly, and which tokenizers, teachers
and merged checkpoints behind it were made from one. The first is a failed check, the second is told apart from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import StageError
from headwater.assets.corpus.view import kept_ledger
from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.sample import draw_sample
from headwater.assets.lineage.corpora import corpora_of, targets_of, view_at
from headwater.assets.lineage.history import checkpoints
from headwater.assets.lineage.influence import ancestors
from headwater.assets.lineage.segments import TrainedSegment, trained_segments
from headwater.assets.sharding.sampling import SegmentOrder
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CheckRecord, Record
from headwater.assets.storage.tables import read_table
from headwater.assets.withdrawal.blocklist import read_blocklist

CHECK = "withdrawn_documents"


@dataclass(frozen=True)
class Influenced:
    """Something that a checkpoint was made from and that took from withdrawn documents."""

    asset: str
    version: str
    kind: str
    documents: int


@dataclass(frozen=True)
class WithdrawalStatus:
    """What a checkpoint saw of withdrawn documents."""

    documents: tuple[str, ...]  # ids of those that a step saw
    steps: tuple[int, ...]  # steps that saw one, ascending
    all_steps: int
    influence: tuple[Influenced, ...] = ()
    unknown: str | None = None  # why it cannot be told

    @property
    def clean(self) -> bool:
        """Whether nothing of a withdrawn document is in it, as far as that can be told."""
        return not self.documents and not self.influence and self.unknown is None

    def sentence(self) -> str:
        """The status in words."""
        if self.unknown:
            return f"Whether it saw a withdrawn document cannot be told: {self.unknown}"
        if self.clean:
            return "It saw no withdrawn document."
        parts = []
        if self.documents:
            share = f"{len(self.steps):,} of {self.all_steps:,} steps"
            parts.append(f"It saw {_count(len(self.documents), 'withdrawn document')} in {share}.")
        else:
            parts.append("No step saw a withdrawn document (influence only).")
        for item in self.influence:
            parts.append(f"Influence through {item.asset}: {_count(item.documents, 'withdrawn document')}.")
        return " ".join(parts)


def withdrawal_status(store: Store, checkpoint: Record, ids: set[str] | None = None) -> WithdrawalStatus:
    """What a checkpoint saw of the withdrawn documents, or of those with other ids.

    Args:
        checkpoint: a record of a Training or a Merge, current or past.
        ids: the documents asked for (default: all that were withdrawn).
    """
    if ids is None:
        ids = set(read_blocklist(store).entries["doc_id"].to_pylist())
    steps = int(checkpoint.metrics.get("steps", 0))
    if not ids:
        return WithdrawalStatus((), (), steps)
    try:
        documents, seen = ((), ()) if checkpoint.kind == "Merge" else _seen(store, checkpoint, ids)
        influence = tuple(_influence(store, checkpoint, ids))
    except (StageError, FileNotFoundError) as error:
        return WithdrawalStatus((), (), steps, unknown=str(error))
    return WithdrawalStatus(documents, seen, steps, influence)


def withdrawal_check(store: Store, checkpoint: Record) -> CheckRecord:
    """The status as a check of the checkpoint's page; it fails when a step saw a withdrawn document."""
    status = withdrawal_status(store, checkpoint)
    inherited = checkpoint.kind == "Merge" and bool(status.influence)  # its weights are those of what it was made of
    return CheckRecord(
        name=CHECK,
        passed=not status.documents and not inherited and status.unknown is None,
        blocking=False,
        description=status.sentence(),
        metadata={
            "documents": len(status.documents),
            "steps": len(status.steps),
            "influence_only": [f"{item.asset}: {item.documents} documents" for item in status.influence],
        },
    )


def standing_checks(store: Store, record: Record) -> list[CheckRecord]:
    """Checks whose outcome changes after a record was made: of checkpoints whether they saw withdrawn documents."""
    return [withdrawal_check(store, record)] if checkpoints([record]) else []


def _seen(store: Store, checkpoint: Record, ids: set[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """(documents that a step saw, steps that saw one), both ascending."""
    documents: set[str] = set()
    steps: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    for trained in trained_segments(store, checkpoint):
        place = store.place(trained.tokens.asset)
        version = trained.tokens.tables["spans"].version
        spans = read_table(place.table("spans"), version, ["doc_id", "stream", "start", "length"])
        own = spans.filter(pc.is_in(spans["doc_id"], value_set=pa.array(sorted(ids), pa.string())))
        for stream in pc.unique(own["stream"]).to_pylist():
            here = own.filter(pc.equal(own["stream"], stream))
            drawn, at = _drawn(trained, stream, here)
            documents.update(np.asarray(here["doc_id"].to_pylist(), dtype=object)[drawn].tolist())
            steps.append(at)
    return tuple(sorted(documents)), tuple(np.unique(np.concatenate(steps)).tolist())


def _drawn(trained: TrainedSegment, stream: str, spans: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """(which spans had a sample drawn, the steps that drew one) in one segment, by inverting its order."""
    segment, size = trained.segment, trained.sequence_length
    first = spans["start"].to_numpy() // size
    last = (spans["start"].to_numpy() + spans["length"].to_numpy() - 1) // size
    samples = np.unique(np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]))
    order = SegmentOrder(segment)
    positions = order.positions_of(stream, samples, segment.position(trained.stop_step), segment.first_position)
    steps = segment.first_step + (positions - segment.first_position) // segment.batch_size
    seen = np.unique(order.samples_at(positions)[1]) if len(positions) else positions
    drawn = np.searchsorted(seen, last, side="right") > np.searchsorted(seen, first, side="left")
    return drawn, np.unique(steps)


def _influence(store: Store, checkpoint: Record, ids: set[str]) -> Iterator[Influenced]:
    for record, _ in ancestors(store, checkpoint):
        documents = _taken(store, record, ids)
        if documents:
            yield Influenced(record.asset, record.digest, record.kind, documents)


def _taken(store: Store, record: Record, ids: set[str]) -> int:
    """How many of some documents something that was fitted, trained or annotated took from."""
    if record.metrics.get("segments"):
        return len(_seen(store, record, ids)[0])
    if record.kind == "Selection":
        targets = [kept_ledger(view_at(store, corpus), [])["doc_id"] for corpus in targets_of(store, record)]
        return len(ids.intersection(doc_id for column in targets for doc_id in column.to_pylist()))
    if record.tables or record.kind in ("Corpus", "Shards", "Merge") or record.metrics.get("origin") == "file":
        return 0  # its documents stay apart, row by row
    found: set[str] = set()
    for corpus in corpora_of(store, record):
        ledger = kept_ledger(view_at(store, corpus), ["split", "bytes"])
        train = ledger.filter(pc.equal(ledger["split"], "train"))
        known = train["doc_id"].to_pylist()
        if record.kind == "Fit" and record.metrics.get("sample_documents") != train.num_rows:
            options = ByteLevelBpeOptions.model_validate(record.identity.options["fit"])
            known = [known[row] for row in draw_sample(known, train["bytes"].to_numpy(), options)]
        found |= ids.intersection(known)
    return len(found)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
