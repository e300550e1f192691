"""Parts of the texts of a batch, and the batch with some parts replaced: one copy, no Python string for other parts."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.signals.compiled import Texts, texts_of
from headwater.assets.kernels import compiled

ROW, START, STOP, VERDICT = range(4)


@compiled()
def grown(spans: np.ndarray) -> np.ndarray:
    """A copy of int64[n, 4] with room for twice as many."""
    larger = np.empty((2 * len(spans), 4), np.int64)
    larger[: len(spans)] = spans
    return larger


@compiled()
def _copy(out: np.ndarray, written: int, data: np.ndarray, start: int, stop: int) -> int:
    for at in range(stop - start):
        out[written + at] = data[start + at]
    return written + stop - start


@compiled()
def _replace(data: np.ndarray, first: int, last: int, spans: np.ndarray, new: np.ndarray, places: np.ndarray,
             out: np.ndarray) -> None:  # fmt: skip
    read, written = first, 0
    for span in range(len(spans)):
        written = _copy(out, written, data, read, spans[span, START])
        written = _copy(out, written, new, places[span, 0], places[span, 1])
        read = spans[span, STOP]
    _copy(out, written, data, read, last)


def replace_spans(column: pa.Array, spans: np.ndarray, new: np.ndarray, places: np.ndarray) -> pa.Array:
    """The column with parts of its texts replaced.

    Args:
        column: large_string.
        spans: int64[spans, 4] as above, in order, apart from each other, in bytes of the column's data.
        new: uint8, what comes instead; valid UTF-8.
        places: int64[spans, 2], start and stop in `new` for each span.
    """
    if not len(spans):
        return column
    view: Texts = texts_of(column)
    growth = (places[:, 1] - places[:, 0]) - (spans[:, STOP] - spans[:, START])
    by_row = np.bincount(spans[:, ROW], growth, len(column)).astype(np.int64)
    offsets = view.offsets - view.offsets[0]
    offsets[1:] += np.cumsum(by_row)
    out, new = np.empty(offsets[-1], np.uint8), new.view()
    new.flags.writeable = False  # one type for the compiler
    _replace(view.data, view.offsets[0], view.offsets[-1], spans, new, places, out)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(out)]
    changed = pa.Array.from_buffers(pa.large_string(), len(column), buffers)
    return changed if not column.null_count else pc.if_else(pc.is_valid(column), changed, None)


def strings(view: Texts, spans: np.ndarray) -> list[str]:
    """The parts as Python strings."""
    bounds = spans[:, START : STOP + 1].tolist()
    return [view.data[start:stop].tobytes().decode() for start, stop in bounds]


def joined(parts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Strings as one array of UTF-8, and int64[parts, 2]: where each lies."""
    encoded = [part.encode() for part in parts]
    stops = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), stops])[: len(encoded)]
    return np.frombuffer(b"".join(encoded), np.uint8), np.stack([starts, stops], axis=1)
