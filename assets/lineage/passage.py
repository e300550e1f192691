"""What became of a document within its corpus: what each stage measured and decided, and what it resembles.

Read by the names of tables, not of stages: whatever publishes `signals` measured, whatever publishes `decisions`
decided, whatever publishes `edges` compared. Each stage answers in the newest version that knew the document.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from headwater.assets.lineage.corpora import derived_assets
from headwater.assets.lineage.history import history
from headwater.assets.storage.indexes import equals, find_rows, rows_where
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record


@dataclass(frozen=True)
class Decision:
    """What a stage said of a document. `rule`, `value` and `threshold` are those that dropped it."""

    asset: str
    version: str
    current: bool
    reached: bool  # False: an earlier stage had dropped it
    kept: bool
    dropped_by: str | None
    rule: str | None
    value: float | None
    threshold: float | None
    detail: str | None


@dataclass(frozen=True)
class Duplicate:
    """A verified resemblance. `earlier` tells whether the other document comes first in the order of duplicates.

    Exact copies are compared through the earliest of them: what that one resembles, `through` it all copies do.
    """

    asset: str
    other_id: str
    other_uri: str | None
    other_kept: bool | None
    earlier: bool | None
    kind: str
    similarity: float
    containment: float
    shared: int
    foreign: float | None = None
    moved: float | None = None
    boilerplate: float | None = None
    through: str | None = None


_MEASURED = ("kind", "similarity", "containment", "shared", "foreign", "moved", "boilerplate")


@dataclass(frozen=True)
class Passage:
    """A document's way through its corpus."""

    signals: dict[str, Any]
    measured_by: str | None
    decisions: tuple[Decision, ...]
    duplicates: tuple[Duplicate, ...]


def passage_of(store: Store, corpus: str, doc_id: str) -> Passage:
    """What every stage of a corpus measured and decided of a document."""
    own = [asset for asset in store.assets() if asset.startswith(f"{corpus}/")]
    places = [store.place(asset) for asset in [*own, *derived_assets(store, corpus)]]
    signals, measured_by = _signals(places, doc_id)
    decided = [found for place in places if (found := _decision(place, doc_id)) is not None]
    duplicates = [duplicate for record, _ in decided for duplicate in _duplicates(store, corpus, record, doc_id)]
    decisions = sorted((decision for _, decision in decided), key=_depth)
    return Passage(signals, measured_by, tuple(decisions), tuple(duplicates))


def _depth(decision: Decision) -> int:
    known = ("curated", "deduplicated")
    stage = decision.asset.split("/")[1]
    return known.index(stage) if stage in known else len(known)


def _newest(place: Place, table: str, doc_id: str) -> tuple[Record, dict[str, Any], bool] | None:
    """The newest record whose table has the document, its row, and whether that record is the current one."""
    current = place.record()
    if current is None or table not in current.tables:
        return None
    versions = set()
    for record in _current_first(place, current):
        version = record.tables[table].version if table in record.tables else None
        if version is None or version in versions:
            continue
        versions.add(version)
        try:
            rows = find_rows(place.table(table), version, "doc_id", [doc_id]).to_pylist()
        except FileNotFoundError:
            continue
        if rows:
            return record, rows[0], record.digest == current.digest
    return None


def _current_first(place: Place, current: Record) -> Iterator[Record]:
    """The current record, and only when it did not do, those of the history."""
    yield current
    yield from history(place)[1:]


def _signals(places: list[Place], doc_id: str) -> tuple[dict[str, Any], str | None]:
    for place in places:
        found = _newest(place, "signals", doc_id)
        if found is not None:
            record, row, _ = found
            return {name: value for name, value in row.items() if name != "doc_id"}, record.asset
    return {}, None


def _decision(place: Place, doc_id: str) -> tuple[Record, Decision] | None:
    found = _newest(place, "decisions", doc_id)
    if found is None:
        return None
    record, row, current = found
    by = row.get("stage")
    decision = Decision(
        asset=place.asset,
        version=record.digest,
        current=current,
        reached=row["kept"] or by in (None, place.asset, place.asset.split("/")[1]),
        kept=row["kept"],
        dropped_by=by,
        **{name: row[name] for name in ("rule", "value", "threshold", "detail")},
    )
    return record, decision


def _duplicates(store: Store, corpus: str, record: Record, doc_id: str) -> list[Duplicate]:
    place = store.place(record.asset)
    if "edges" not in record.tables:
        return []
    edges = list(_edges(place, record, doc_id))
    others = sorted({_other(row, me) for row, me, _ in edges})
    uris, kept = _addresses(store, corpus, others), _kept(place, record, others)
    found = []
    for row, me, through in edges:
        other = _other(row, me)
        measured: dict[str, Any] = {name: row.get(name) for name in _MEASURED}
        found.append(
            Duplicate(
                asset=record.asset,
                other_id=other,
                other_uri=uris.get(other),
                other_kept=kept.get(other),
                earlier=None if through else row["other_id"] == other,
                through=through,
                **measured,
            )
        )
    return found


def _edges(place: Place, record: Record, doc_id: str) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """(edge, its end that stands for the document, the root it goes through) of a document and of its root."""
    own = _edges_at(place, record, doc_id)
    for row in own:
        yield row, doc_id, None
    for root in sorted({row["other_id"] for row in own if row["kind"] == "exact" and row["doc_id"] == doc_id}):
        for row in _edges_at(place, record, root):
            if doc_id not in (row["doc_id"], row["other_id"]):
                yield row, root, root


def _edges_at(place: Place, record: Record, doc_id: str) -> list[dict[str, Any]]:
    where = f"{equals('doc_id', [doc_id])} OR {equals('other_id', [doc_id])}"
    try:
        return list(rows_where(place.table("edges"), record.tables["edges"].version, where).to_pylist())
    except FileNotFoundError:  # evidence of a past version that was removed since
        return []


def _other(row: dict[str, Any], doc_id: str) -> str:
    return str(row["doc_id"] if row["doc_id"] != doc_id else row["other_id"])


def _addresses(store: Store, corpus: str, ids: list[str]) -> dict[str, str]:
    place = store.place(f"{corpus}/raw")
    record = place.record()
    if record is None or not ids:
        return {}
    rows = find_rows(place.table("ledger"), record.tables["ledger"].version, "doc_id", ids, ["doc_id", "uri"])
    return dict(zip(rows["doc_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))


def _kept(place: Place, record: Record, ids: list[str]) -> dict[str, bool]:
    if "decisions" not in record.tables or not ids:
        return {}
    rows = find_rows(place.table("decisions"), record.tables["decisions"].version, "doc_id", ids, ["doc_id", "kept"])
    return dict(zip(rows["doc_id"].to_pylist(), rows["kept"].to_pylist(), strict=True))
