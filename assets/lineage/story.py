"""Everything known of a document in one answer: where it came from, what became of it, who learned from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headwater.assets.context import StageError
from headwater.assets.lineage.documents import Sighting, find_documents
from headwater.assets.lineage.history import checkpoints, records_of, select, version_name
from headwater.assets.lineage.influence import Influence, influences
from headwater.assets.lineage.passage import Passage, passage_of
from headwater.assets.lineage.segments import trained_segments
from headwater.assets.lineage.trace import DocumentTrace, Location, locations, trace_document
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record


@dataclass(frozen=True)
class Measured:
    """An evaluation of a checkpoint, with its figures that are numbers."""

    asset: str
    version: str
    figures: dict[str, float]
    failed_checks: tuple[str, ...]


@dataclass(frozen=True)
class Learned:
    """What one checkpoint has of a document. `absent` says why it has no span there, `places` where its bytes lie."""

    checkpoint: str
    version: str
    current: bool
    trace: DocumentTrace | None
    absent: str | None
    places: tuple[Location, ...]
    places_missing: str | None
    influences: tuple[Influence, ...]
    evaluations: tuple[Measured, ...]


@dataclass(frozen=True)
class Story:
    """A document in one corpus: origin, passage, and every checkpoint that could know it."""

    sighting: Sighting
    passage: Passage
    learned: tuple[Learned, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; a range of samples as its first and last number."""
        found = asdict(self)
        found["sighting"]["raw"] = {"asset": self.sighting.raw.asset, "version": self.sighting.raw.digest}
        for own, told in zip(self.learned, found["learned"], strict=True):
            for segment, plain in zip(own.trace.segments if own.trace else (), _segments(told), strict=True):
                plain["samples"] = [segment.samples.start, segment.samples.stop - 1]
            if own.trace:
                told["trace"]["steps"] = list(own.trace.steps)
        return found


def _segments(told: dict[str, Any]) -> list[dict[str, Any]]:
    return list(told["trace"]["segments"]) if told["trace"] else []


def tell(store: Store, asked: str, checkpoint: str | None = None, past: bool = False) -> list[Story]:
    """The stories of all documents that an id, an address or a text file stands for.

    Args:
        checkpoint: a selector; without it all current checkpoints are asked.
        past: those of the history too.

    Raises:
        LineageError: there is no such document or checkpoint.
    """
    records = records_of(store, past)
    asked_checkpoints = [select(store, checkpoint)] if checkpoint else checkpoints(records)
    return [
        Story(s, passage_of(store, s.corpus, s.doc_id), _learned(store, asked_checkpoints, records, s))
        for s in find_documents(store, asked)
    ]


def _learned(
    store: Store, asked: Sequence[Record], records: Sequence[Record], sighting: Sighting
) -> tuple[Learned, ...]:
    return tuple(learned_by(store, record, records, sighting.doc_id) for record in asked)


def learned_by(store: Store, checkpoint: Record, records: Sequence[Record], doc_id: str) -> Learned:
    """What a checkpoint has of a document; ``records`` are searched for its evaluations."""
    trace, absent, missing = None, None, None
    places: tuple[Location, ...] = ()
    try:
        trace = trace_document(store, checkpoint, doc_id)
    except StageError as error:
        absent = str(error)
    if trace is not None:
        shards = next(s.shards for s in trained_segments(store, checkpoint) if s.shards.digest == trace.shards)
        try:
            places = tuple(locations(store, shards, trace.stream, trace.start, trace.length))
        except StageError as error:
            missing = str(error)
    name = version_name(store, checkpoint)
    return Learned(
        checkpoint=name,
        version=checkpoint.digest,
        current="@" not in name,
        trace=trace,
        absent=absent,
        places=places,
        places_missing=missing,
        influences=tuple(influences(store, checkpoint, doc_id)),
        evaluations=tuple(evaluations_of(store, checkpoint, records)),
    )


def evaluations_of(store: Store, checkpoint: Record, records: Sequence[Record]) -> list[Measured]:
    """Reports that measured a checkpoint, among some records."""
    found = []
    for record in records:
        if record.kind == "Evaluation" and _measures(store, record, checkpoint):
            figures = {n: v for n, v in record.metrics.items() if isinstance(v, int | float)}
            failed = tuple(check.name for check in record.checks if not check.passed)
            found.append(Measured(record.asset, record.digest, figures, failed))
    return found


def _measures(store: Store, report: Record, checkpoint: Record) -> bool:
    names = report.identity.options.get("_inputs", {})
    for role, item in report.identity.inputs.items():
        if item.identity == checkpoint.digest:
            return True
        consumed = store.place(names[role]).record(item.identity) if names.get(role, "").endswith("/current") else None
        if consumed is not None and consumed.metrics.get("checkpoint") == checkpoint.digest:
            return True
    return False
