"""Where documents stand in their streams, through additions and withdrawals.

A place in a stream is used once. A withdrawn document leaves a hole, and what a refresh adds begins at the next sample
behind everything that ever stood in the stream, so that samples which were numbered, written and trained on stay as
they are. Only a declared repack lays the documents close together again.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.storage.tables import Positions

# Places that a document has left: never used again. `since` is the identity of the first output without it.
HOLES = pa.schema(
    [
        pa.field("stream", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("since", pa.string(), nullable=False),
    ]
)


def stream_ends(spans: pa.Table) -> dict[str, int]:
    """The token after the last one of each stream, of places (columns stream, start and length)."""
    stops = pa.table({"stream": spans["stream"], "stop": pc.add(spans["start"], spans["length"])})
    found = stops.group_by("stream").aggregate([("stop", "max")])
    return dict(zip(found["stream"].to_pylist(), found["stop_max"].to_pylist(), strict=True))


def next_start(end: int, sequence_length: int) -> int:
    """Where additions begin: the first sample behind the end of the stream."""
    return -(-end // sequence_length) * sequence_length


def rows_in_stream(stream: str, spans: pa.Table, gone: np.ndarray) -> Positions:
    """Rows of a stream's token table that belong to spans marked as gone: both stand in one order."""
    return np.flatnonzero(gone[np.asarray(pc.equal(spans["stream"], stream))])


def holes_left(spans: pa.Table, since: str) -> pa.Table:
    """Rows of HOLES for the spans that documents leave."""
    left = spans.select(["stream", "start", "length", "doc_id"])
    return left.append_column("since", pa.array([since] * left.num_rows, pa.string())).cast(HOLES)
