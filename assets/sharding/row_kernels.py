"""Copying samples out of memory maps, and telling in the same pass what their tokens belong to.

A sample is looked at once: its tokens are widened, its documents counted and its empty places masked while it is in the
cache. Array operations over a whole batch would go through memory for each of these. Samples of a batch lie in many
files; they are given by their addresses, so that a batch is one call. Whoever gives an address answers for what is
there (`reader.ShardReader.locate`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.extending import intrinsic

from headwater.assets.kernels import compiled

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_RUN = 64  # tokens that are looked through for an end of text together


def _load_token(_: Any, address: Any, at: Any, like: Any) -> Any:
    """The number, of the type of the array `like`, that lies `at` places behind an address."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = context.get_data_type(signature.return_type).as_pointer()
        return builder.load(builder.gep(builder.inttoptr(values[0], kind), [values[1]]))

    return like.dtype(address, at, like), generate


_token: Any = intrinsic(_load_token)


@compiled(allocates=False)
def copy_rows(addresses: Rows, out: np.ndarray) -> None:
    """Fills the rows of `out` (samples, length) with the tokens, of its type, that lie at the addresses."""
    for row in range(len(addresses)):
        address, target = addresses[row], out[row]
        for at in range(len(target)):
            target[at] = _token(address, at, out)


# Slices, in which places count from 0: then no index can be negative, and the loops become vector instructions.
@compiled(allocates=False)
def unpack_rows(
    addresses: Rows, end_of_text: np.ndarray, rows: Rows, tokens: Rows, segments: npt.NDArray[np.int32]
) -> None:
    """Fills rows of `tokens` (samples, length) with what lies at the addresses, and `segments` with the number of each
    token's document in its sample, as `packing.segments_of` does. Tokens have the type of `end_of_text` (1,)."""
    for number in range(len(rows)):
        address, target = addresses[number], tokens[rows[number]]
        for at in range(len(target)):
            target[at] = _token(address, at, end_of_text)
        _number_documents(address, end_of_text, segments[rows[number]])


@compiled(allocates=False, inline="always")
def _number_documents(address: int, end_of_text: np.ndarray, segments: npt.NDArray[np.int32]) -> None:
    document = np.int32(0)
    for first in range(0, len(segments), _RUN):
        numbers, ends = segments[first : first + _RUN], np.int32(0)
        for at in range(len(numbers)):
            ends += np.int32(_token(address, first + at, end_of_text) == end_of_text[0])
        if ends == 0:
            for at in range(len(numbers)):
                numbers[at] = document
        else:
            for at in range(len(numbers)):
                document += np.int32(_token(address, first + at, end_of_text) == end_of_text[0])
                numbers[at] = document


@compiled(allocates=False)
def mask_rows(ids: Rows, rows: Rows, empty: Rows, mask: Flags) -> None:
    """Fills rows of `mask` (samples, length): False in the `empty` spans (n, 2) of a stream, in order, else True."""
    length = mask.shape[1]
    for number in range(len(rows)):
        row, start = mask[rows[number]], ids[number] * length
        for at in range(length):
            row[at] = True
        span = _first_after(empty, start)
        while span < len(empty) and empty[span, 0] < start + length:
            for at in range(max(empty[span, 0] - start, 0), min(empty[span, 1] - start, length)):
                row[at] = False
            span += 1


@compiled(allocates=False)
def _first_after(spans: Rows, place: int) -> int:
    """The first of the spans that ends behind a place."""
    low, high = 0, len(spans)
    while low < high:
        middle = (low + high) >> 1
        if spans[middle, 1] > place:
            high = middle
        else:
            low = middle + 1
    return low
