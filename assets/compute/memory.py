"""Memory that a step has freed goes back to the machine: allocators keep it for themselves, stage after stage.

Little of it may as well stay for the next step. To get memory anew costs more than to keep it, in a virtual machine
many times more: a refresh that gave back everything after each stage would spend a tenth of its time on that.
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

KEPT_BYTES = 256 << 20  # that allocators may hold and nobody uses


def give_back_memory() -> None:
    """Lets Arrow's and the C library's allocators return what they hold and nobody uses, where that may be much."""
    spare = _spare_bytes()
    if spare is not None and spare - _Seen.spare < KEPT_BYTES:
        _Seen.spare = min(_Seen.spare, spare)
        return
    pa.default_memory_pool().release_unused()
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
    _Seen.spare = _spare_bytes() or 0


class _Seen:
    """The least memory that this process had to spare since it last gave some back: what it cannot give back."""

    spare = 0


class _Usage(ctypes.Structure):
    """What the C library says of its memory (`mallinfo2`, since 2.33)."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "free_chunks",
            "small_chunks",
            "mapped_chunks",
            "mapped",
            "unused",
            "small_free",
            "used",
            "free",
            "top",
        )
    )


def _spare_bytes() -> int | None:
    """Memory that this process has and no allocation accounts for; None where the system does not tell.

    That is code, files that are mapped, what libraries with allocators of their own hold, and what was freed.
    """
    library = _glibc()
    if library is None or not hasattr(library, "mallinfo2"):
        return None
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
    library.mallinfo2.restype = _Usage
    usage = library.mallinfo2()
    return resident - usage.used - usage.mapped - pa.default_memory_pool().bytes_allocated()


@cache
def _glibc() -> Any:
    """The C library where it is GNU's, which alone has to be told."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:  # another C library, such as musl
        return None
    return library if hasattr(library, "malloc_trim") else None
