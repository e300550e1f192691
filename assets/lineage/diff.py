"""How two checkpoints differ: documents they saw, and options, code and figures of all that they are made of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.lineage.checkpoint import seen_documents, write_parquet
from headwater.assets.lineage.history import records_of, version_name
from headwater.assets.lineage.influence import ancestors
from headwater.assets.lineage.plan import changed_values
from headwater.assets.lineage.story import evaluations_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CodeRecord, Record

DIFFERENCE_FILE = "difference.parquet"
CHANGES = ("added", "removed", "changed", "moved", "kept")
_EXAMPLES = 5
_COLUMNS = [
    "doc_id",
    "content_id",
    "corpus",
    "source",
    "uri",
    "license",
    "language",
    "length",
    "first_step",
    "last_step",
    "times_seen",
]


@dataclass(frozen=True)
class Example:
    """A document that only one of the checkpoints saw; `was_id` is the other's at the same address, if it changed."""

    doc_id: str
    uri: str | None
    was_id: str | None = None


@dataclass(frozen=True)
class DataChange:
    """Documents of one source that were added, removed, changed at their address, moved to another, or kept.

    Tokens are those of the second checkpoint, of removed documents those of the first.
    """

    source: str
    change: str
    documents: int
    tokens: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Change:
    """A value that differs: where it stands, and what it was and is."""

    asset: str
    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Difference:
    """From the first checkpoint to the second."""

    first: str
    second: str
    data: tuple[DataChange, ...]
    versions: tuple[Change, ...]
    options: tuple[Change, ...]
    code: tuple[Change, ...]
    metrics: tuple[Change, ...]

    @property
    def nothing(self) -> bool:
        """Whether the same documents, options and code stand behind both."""
        same_data = all(change.change == "kept" for change in self.data)
        return same_data and not self.options and not self.code


def compare(store: Store, first: Record, second: Record) -> Difference:
    """What differs between two checkpoints and all that they are made of.

    Raises:
        StageError: the history lacks what one of them read.
    """
    before, after = _behind(store, first), _behind(store, second)
    pairs = [(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
    return Difference(
        first=version_name(store, first),
        second=version_name(store, second),
        data=tuple(compare_documents(seen_documents(store, first), seen_documents(store, second))),
        versions=tuple(_versions(pairs)),
        options=tuple(change for name, a, b in pairs for change in _options(name, a, b)),
        code=tuple(change for name, a, b in pairs for change in _code(name, a, b)),
        metrics=tuple(_metrics(store, first, second)),
    )


def _behind(store: Store, checkpoint: Record) -> dict[str, Record]:
    """The checkpoint and the newest version of each asset that it is made from, by what they are called.

    The two checkpoints stand for each other, whatever their names.
    """
    found = {"checkpoint": checkpoint}
    for record, _ in ancestors(store, checkpoint):
        found.setdefault(record.asset, record)
    return found


_Pairs = list[tuple[str, Record | None, Record | None]]


def _versions(pairs: _Pairs) -> Iterator[Change]:
    for name, before, after in pairs:
        old, new = (record.content_version if record else None for record in (before, after))
        if old != new:
            yield Change(name, "content", old, new)


def _options(name: str, before: Record | None, after: Record | None) -> Iterator[Change]:
    if before is not None and after is not None:
        for path, old, new in changed_values(before.identity.options, after.identity.options):
            yield Change(name, path, old, new)


def _code(name: str, before: Record | None, after: Record | None) -> Iterator[Change]:
    if before is None or after is None:
        return
    for path, old, new in changed_values(_code_values(before.identity.code), _code_values(after.identity.code)):
        yield Change(name, path, old, new)
    for part in ("headwater", "git_commit", "lock"):
        old, new = getattr(before.execution, part), getattr(after.execution, part)
        if name == "checkpoint" and old != new:
            yield Change(name, part, old, new)


def _code_values(code: CodeRecord) -> dict[str, Any]:
    return {"step": code.number, "modules": code.modules, "libraries": dict(code.libraries)}


def _metrics(store: Store, first: Record, second: Record) -> Iterator[Change]:
    past = records_of(store, past=True)
    yield from _figures("checkpoint", first.metrics, second.metrics)
    before = {measured.asset: measured.figures for measured in evaluations_of(store, first, past)[::-1]}
    after = {measured.asset: measured.figures for measured in evaluations_of(store, second, past)[::-1]}
    for asset in dict.fromkeys([*before, *after]):
        yield from _figures(asset, before.get(asset, {}), after.get(asset, {}))


def _figures(asset: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new and not any(isinstance(value, dict | list) for value in (old, new)):
            yield Change(asset, name, old, new)


def compare_documents(before: pa.Table, after: pa.Table) -> Iterator[DataChange]:
    """Documents by source and change, from rows of `seen_documents`."""
    rows = label_documents(before, after)
    for source in sorted(pc.unique(rows["source"]).to_pylist()):
        own = rows.filter(pc.equal(rows["source"], source))
        for change in CHANGES:
            chosen = own.filter(pc.equal(own["change"], change))
            if chosen.num_rows:
                few = chosen.slice(0, _EXAMPLES).select(["doc_id", "uri", "was_id"]).to_pylist()
                examples = () if change == "kept" else tuple(Example(**row) for row in few)
                yield DataChange(source, change, chosen.num_rows, pc.sum(chosen["length"]).as_py(), examples)


def label_documents(before: pa.Table, after: pa.Table) -> pa.Table:
    """All documents of both tables with their `change`: added, removed, changed, moved or kept.

    A removed document and an added one of the same source are one: moved where their texts are equal, changed where
    only their addresses are. Then `doc_id` is the new one, `was_id` the old one.
    """
    old, new = before.select(_COLUMNS).sort_by("doc_id"), after.select(_COLUMNS).sort_by("doc_id")
    stays = pc.is_in(new["doc_id"], value_set=old["doc_id"].combine_chunks())
    gone = old.filter(pc.invert(pc.is_in(old["doc_id"], value_set=new["doc_id"].combine_chunks())))
    fresh = new.filter(pc.invert(stays))
    moved, fresh, gone = _paired(fresh, gone, "content_id", "moved")
    changed, fresh, gone = _paired(fresh, gone, "uri", "changed")
    parts = [
        moved,
        changed,
        _labelled(fresh, "added"),
        _labelled(gone, "removed"),
        _labelled(new.filter(stays), "kept"),
    ]
    return pa.concat_tables(parts)


def _paired(fresh: pa.Table, gone: pa.Table, column: str, change: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """New documents that an old one of the same source equals in a column, and what is left of both."""
    new, old = _key(fresh, column), _key(gone, column)
    found = pc.index_in(new, value_set=old, skip_nulls=True)
    paired = pc.is_valid(found)
    was = gone["doc_id"].take(found.filter(paired))
    left = gone.filter(pc.invert(pc.is_in(old, value_set=new, skip_nulls=True)))
    return _labelled(fresh.filter(paired), change, was), fresh.filter(pc.invert(paired)), left


def _key(rows: pa.Table, column: str) -> pa.Array:
    """Corpus, source and a column as one text; null where one of them is not known."""
    joined = pc.binary_join_element_wise(rows["corpus"], rows["source"], rows[column], "\t")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _labelled(rows: pa.Table, change: str, was: Any = None) -> pa.Table:
    named = pa.array([change] * rows.num_rows, pa.string())
    was = pa.nulls(rows.num_rows, pa.string()) if was is None else was
    return rows.append_column("change", named).append_column("was_id", was)


def export_difference(store: Store, first: Record, second: Record, folder: Path) -> tuple[Path, int]:
    """Writes `difference.parquet` with the rows of `label_documents`: (its path, rows).

    Raises:
        StageError: the file is there already.
    """
    rows = label_documents(seen_documents(store, first), seen_documents(store, second))
    return write_parquet(rows, folder / DIFFERENCE_FILE)
