"""Fingerprints of a text: enough to find any longer piece of it again, too little to read it.

When a document is withdrawn its text has to go, and yet its absence has to be proved later. So hashes of some of its
pieces of 32 bytes are kept, chosen by winnowing (Schleimer, Wilkerson and Aiken 2003): of every 33 neighbouring pieces
the one with the smallest hash, so that any verbatim run of 64 bytes of the text is certain to hold one of them. White
space is joined and case folded first, so that another line break hides nothing. The hashes are keyed with a salt of the
withdrawal: they cannot be compared between stores, and a text can be recognized only by whoever has it already.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

PIECE = 32  # bytes of a piece
WINDOW = 33  # neighbouring pieces of which one is kept
CERTAIN = PIECE + WINDOW - 1  # a verbatim run of this many bytes is always found
_MANY = 1 << 15  # hashes of one text
_LAST_BITS = np.uint64((1 << 20) - 1)

Hashes = npt.NDArray[np.uint64]


def normalised(text: str) -> bytes:
    """The text as it is compared: white space joined to one blank, case folded, in UTF-8."""
    return " ".join(text.casefold().split()).encode("utf-8", "replace")


def piece_hashes(text: bytes, salt: bytes) -> Hashes:
    """The keyed hash of the piece that begins at each byte: (len(text) - 31,) uint64."""
    count = len(text) - PIECE + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    keys = np.frombuffer(hashlib.blake2b(salt, digest_size=PIECE).digest(), dtype=np.uint64)
    words = np.ndarray((len(text) - 7,), dtype="<u8", buffer=text, strides=(1,))  # the 8 bytes from each byte on
    hashes = np.zeros(count, dtype=np.uint64)
    for number, key in enumerate(keys):
        hashes = _mix(hashes ^ words[8 * number : 8 * number + count] ^ key)
    return hashes


def fingerprints(text: str, salt: bytes) -> Hashes:
    """Hashes of chosen pieces, sorted and each once; of a text shorter than a piece there are none."""
    hashes = piece_hashes(normalised(text), salt)
    if len(hashes) <= WINDOW:
        return np.unique(hashes.min(keepdims=True)) if len(hashes) else hashes
    windows = np.lib.stride_tricks.sliding_window_view(hashes, WINDOW)
    step = max(1, (8 << 20) // WINDOW)
    least = [windows[first : first + step].min(axis=1) for first in range(0, len(windows), step)]
    return np.unique(np.concatenate(least))


def found_in(text: str, salt: bytes, wanted: Hashes) -> Hashes:
    """Which of the wanted fingerprints (sorted) a text holds, anywhere in it."""
    if len(wanted) == 0:
        return wanted
    hashes = piece_hashes(normalised(text), salt)
    if len(hashes) > _MANY:  # most are told from all wanted ones by their last bits, at a tenth of the cost
        known = np.zeros(1 << 20, dtype=bool)
        known[wanted & _LAST_BITS] = True
        hashes = hashes[known[hashes & _LAST_BITS]]
    places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    return np.unique(hashes[wanted[places] == hashes])


def pieces_at(text: str, salt: bytes, wanted: Hashes) -> list[tuple[int, int]]:
    """Runs [start, stop) of the normalised text, in bytes, that are covered by wanted pieces."""
    hashes = piece_hashes(normalised(text), salt)
    if len(wanted) == 0 or len(hashes) == 0:
        return []
    places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
    runs: list[tuple[int, int]] = []
    for start in np.flatnonzero(wanted[places] == hashes).tolist():
        if runs and start <= runs[-1][1]:
            runs[-1] = (runs[-1][0], start + PIECE)
        else:
            runs.append((start, start + PIECE))
    return runs


def _mix(x: Any) -> Hashes:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014), on every element."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: Hashes = x ^ (x >> np.uint64(31))
    return mixed
