"""What became of the documents since earlier shards were written, and where the examples stand in their streams.

An example's number is used once: what was withdrawn leaves a hole, and what comes stands behind all that ever stood in
its stream. A document whose content or metadata changed goes and comes again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.context import Rebuild, StageContext
from headwater.assets.sharding.examples.documents import SPANS_OF_EXAMPLES, Documents
from headwater.assets.storage.records import TableRecord
from headwater.assets.storage.tables import read_table
from headwater.assets.tokenization.numbering import HOLES, holes_left, stream_ends


@dataclass(frozen=True)
class Change:
    """Documents that come, by stream, and which spans of the earlier output lose theirs."""

    added: list[Documents]
    before: pa.Table  # the earlier spans; no rows in a full run
    holes: pa.Table  # places that had been left before
    gone: np.ndarray  # marks among `before`

    @property
    def present(self) -> pa.Table:
        """The spans of all examples now."""
        kept = self.before.filter(pa.array(~self.gone))
        return pa.concat_tables([kept, self.arrivals]).combine_chunks()

    @property
    def arrivals(self) -> pa.Table:
        """The spans of the documents that come."""
        return pa.concat_tables([SPANS_OF_EXAMPLES.empty_table(), *map(self._placed, self.added)])

    def first_sample(self, stream: str) -> int:
        """Number of the first example that comes."""
        places = [table.select(["stream", "start", "length"]) for table in (self.before, self.holes)]
        return stream_ends(pa.concat_tables(places)).get(stream, 0)

    def _placed(self, documents: Documents) -> pa.Table:
        count, first = len(documents), self.first_sample(documents.stream)
        columns = {
            "stream": pa.array([documents.stream] * count, pa.string()),
            "start": pa.array(np.arange(first, first + count)),
            "length": pa.array(np.ones(count, dtype=np.int64)),
        }
        held = {name: documents.spans[name] for name in ("doc_id", "bytes", "source", "said")}
        return pa.table({name: (columns | held)[name] for name in SPANS_OF_EXAMPLES.names}).cast(SPANS_OF_EXAMPLES)

    def publish(self, context: StageContext) -> dict[str, TableRecord]:
        """Writes the tables `spans` and `holes`, or what changed in them."""
        if context.base is None:
            return {
                "spans": context.write_table("spans", self.arrivals.combine_chunks()),
                "holes": context.write_table("holes", HOLES.empty_table()),
            }
        left = holes_left(self.before.filter(pa.array(self.gone)), context.identity)
        return {
            "spans": context.update_table("spans", np.flatnonzero(self.gone), self.arrivals.combine_chunks()),
            "holes": context.update_table("holes", np.empty(0, dtype=np.int64), left),
        }


def compare(context: StageContext, documents: Sequence[Documents]) -> Change:
    """Compares the documents with those that the earlier output holds; all are new in a full run.

    Raises:
        Rebuild: nothing is left to go on from.
    """
    if context.base is None:
        none = SPANS_OF_EXAMPLES.empty_table()
        return Change([each for each in documents if len(each)], none, HOLES.empty_table(), np.zeros(0, dtype=bool))
    before = read_table(*context.table_url(context.base, "spans")).combine_chunks()
    held = _known_by(before["stream"], before["doc_id"], before["said"])
    added, present = [], [pa.array([], pa.string())]
    for each in documents:
        stream = pa.chunked_array([pa.array([each.stream] * len(each), pa.string())])
        known = _known_by(stream, each.spans["doc_id"], each.spans["said"])
        new = np.flatnonzero(~np.asarray(pc.is_in(known, value_set=held)))
        present.append(known)
        if len(new):
            added.append(each.chosen(new))
    gone = ~np.asarray(pc.is_in(held, value_set=pa.concat_arrays(present)))
    if len(gone) and gone.all():
        raise Rebuild("none of its documents is kept any longer")
    return Change(added, before, read_table(*context.table_url(context.base, "holes")), gone)


def _known_by(stream: pa.ChunkedArray, doc_id: pa.ChunkedArray, said: pa.ChunkedArray) -> pa.Array:
    joined = pc.binary_join_element_wise(
        stream.combine_chunks(), doc_id.combine_chunks(), said.combine_chunks(), "\x1f"
    )
    return joined.cast(pa.string())
