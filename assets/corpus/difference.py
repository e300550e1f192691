"""Which documents a corpus keeps now and did not before, and the other way round: what a consumer has to follow.

Rows of the ledger that both versions share are compared by their decisions alone. Only what is left over is looked at
by id: a document that stands in another row, or was decided on again by another recipe, is the same as long as its
text, its split and its source are.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild, StageContext
from headwater.assets.corpus.annotations import annotated_at
from headwater.assets.corpus.view import Table, behind
from headwater.assets.storage.changes import staying
from headwater.assets.storage.content import row_hashes
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import Positions, read_flags, take_positions

Mask = npt.NDArray[np.bool_]


class KeptDifference(NamedTuple):
    """The kept documents of two versions of a corpus, compared.

    ``gone`` are ids of documents kept then and not now; ``records`` and ``documents`` are the rows, in the present
    ledger and in the present table of texts, of those kept now and not then, in table order.
    """

    gone: pa.Array
    records: Positions
    documents: Positions


@dataclass(frozen=True)
class _Version:
    """One version of a corpus: which rows of its ledger are readable, and which of them are kept."""

    raw: Record
    signals: Record
    ledger: Table
    texts: Table
    readable: Mask
    kept: Mask
    annotations: tuple[Table, ...]
    said: tuple[str, ...]  # content of the annotations


def kept_difference(context: StageContext, earlier: Record, present: Record) -> KeptDifference:
    """Compares what two records of one corpus (signals, curated or deduplicated) keep; reads ids and flags alone.

    Raises:
        Rebuild: a version that is needed is no longer there.
    """
    try:
        before, after = _version(context, earlier), _version(context, present)
    except FileNotFoundError as error:
        raise Rebuild(str(error)) from error
    changes = context.changes_between(before.raw, after.raw, "ledger")
    gone, fresh = before.kept.copy(), after.kept.copy()
    if _says_the_same(before, after):
        stayed = staying(len(gone), changes.removed)
        carried = gone[stayed] & fresh[: changes.kept]
        gone[stayed[carried]] = False
        fresh[: changes.kept][carried] = False
    left, come = np.flatnonzero(gone), np.flatnonzero(fresh)
    if len(left) and len(come):
        left, come = _less_the_same(before, after, left, come)
    ids = take(before.ledger, left, ["doc_id"])["doc_id"].combine_chunks()
    return KeptDifference(ids, come, (np.cumsum(after.readable) - 1)[come])


def _less_the_same(before: _Version, after: _Version, left: Positions, come: Positions) -> tuple[Positions, Positions]:
    """The rows that left and that came, without documents that only stand in another row.

    Where a purge took the texts that they had, such documents go and come again.
    """
    try:
        old, new = _described(before, left), _described(after, come)
    except FileNotFoundError as error:
        if not _says_the_same(before, after):
            raise Rebuild(str(error)) from error
        return left, come
    return left[~np.asarray(pc.is_in(old, value_set=new))], come[~np.asarray(pc.is_in(new, value_set=old))]


def take(table: Table, positions: Positions, columns: list[str]) -> pa.Table:
    """Columns of the rows at some positions, in the order of the positions."""
    return take_positions(*table, positions, columns)


def _version(context: StageContext, record: Record) -> _Version:
    stages = list(behind(context, record))
    raw, signals = stages[-1], next(found for found in stages if found.asset.endswith("/signals"))
    annotated = [found for found in reversed(stages) if "annotations" in found.tables]
    ledger = context.table_url(raw, "ledger")
    readable = read_flags(*ledger)
    kept = readable
    if record.asset != signals.asset:
        kept = readable & read_flags(*context.table_url(record, "decisions"))
    annotations = tuple(context.table_url(found, "annotations") for found in annotated)
    said = tuple(found.tables["annotations"].content for found in annotated)
    return _Version(raw, signals, ledger, context.table_url(signals, "documents"), readable, kept, annotations, said)


def _says_the_same(before: _Version, after: _Version) -> bool:
    """Whether a row that both ledgers share has the same text, split, source and annotations: one recipe gave both."""
    if before.said != after.said:
        return False
    outside = [v.signals.identity.inputs.get("outside") for v in (before, after)]
    same_lists = len({item.content if item else None for item in outside}) == 1
    recipes = [(v.raw.identity.recipe(), v.signals.identity.recipe()) for v in (before, after)]
    return same_lists and recipes[0] == recipes[1]


def _described(version: _Version, records: Positions) -> pa.Array:
    """What a consumer of these rows depends on, as one text each: id, content, split, source and annotations."""
    said = take(version.ledger, records, ["doc_id", "split", "source"])
    content = take(version.texts, (np.cumsum(version.readable) - 1)[records], ["content_id"])
    parts = [said["doc_id"], content["content_id"], said["split"], said["source"]]
    columns = [part.combine_chunks() for part in parts]
    if version.annotations:
        hashes = row_hashes(annotated_at(version.annotations, records))
        columns.append(pa.array(hashes).cast(pa.string()))
    return pc.binary_join_element_wise(*columns, "\x1f")
