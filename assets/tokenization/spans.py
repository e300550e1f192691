"""Where each document lies in its stream, and which documents lie in a sample.

A stream is the concatenation of token rows in table order; a document's span is the place of its row in it, leading
end-of-text token included. Samples are equal cuts of the stream, so both directions of lineage are arithmetic and a
binary search.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.schemas import SPANS


def assign_spans(tokens: pa.Table, sources: pa.Array | pa.ChunkedArray, stream: str, start: int = 0) -> pa.Table:
    """Rows of SPANS for a batch of a token table: rows lie one after the other from token `start` of the stream.

    A stored table's `count` column is enough. `sources` names the source of each row. The next batch starts at
    `start + token_count(tokens)`.
    """
    if len(sources) != tokens.num_rows:
        raise ValueError(f"stream {stream}: {tokens.num_rows} token rows but {len(sources)} sources")
    lengths = _lengths(tokens)
    columns = {
        "doc_id": tokens.column("doc_id"),
        "stream": pa.array([stream]).take(pa.array(np.zeros(len(lengths), dtype=np.int32))),
        "start": pa.array(start + np.cumsum(lengths) - lengths),
        "length": pa.array(lengths),
        "bytes": tokens.column("bytes"),
        "source": sources,
    }
    return pa.table(columns).cast(SPANS)


def token_count(tokens: pa.Table) -> int:
    """Tokens in all rows of a batch."""
    return int(_lengths(tokens).sum())


def _lengths(tokens: pa.Table) -> np.ndarray:
    if "count" in tokens.column_names:  # a stored table knows its lengths without reading any token
        return tokens.column("count").to_numpy().astype(np.int64)
    lengths = pc.list_value_length(tokens.column("tokens"))
    return lengths.combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)


def samples_of_span(start: int, length: int, sequence_length: int) -> range:
    """Numbers of the samples of a stream that hold a token of the span."""
    if length <= 0:
        return range(0)
    return range(start // sequence_length, (start + length - 1) // sequence_length + 1)


def documents_of_sample(spans: pa.Table, sample: int, sequence_length: int) -> pa.Table:
    """Rows of `spans` (one stream's, ordered by `start`) that have a token in the sample.

    Spans may leave holes between them where documents were withdrawn.
    """
    starts = spans.column("start").to_numpy()
    stops = starts + spans.column("length").to_numpy()
    first = int(np.searchsorted(stops, sample * sequence_length, side="right"))
    stop = int(np.searchsorted(starts, (sample + 1) * sequence_length, side="left"))
    return spans.slice(first, max(stop - first, 0))
