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

KEPT_BYTES = 256 << 20  # by which a process may have grown since it last gave memory back


def give_back_memory() -> None:
    """Lets Arrow's and the C library's allocators return what they hold and nobody uses, where that may be much."""
    resident = _resident_bytes()
    if resident is not None and resident - _Seen.resident < KEPT_BYTES:
        _Seen.resident = min(_Seen.resident, resident)
        return
    pa.default_memory_pool().release_unused()
    if (library := _glibc()) is not None:
        library.malloc_trim(0)
    _Seen.resident = _resident_bytes() or 0


class _Seen:
    """How much memory this process had when it last gave some back."""

    resident = 0


def _resident_bytes() -> int | None:
    """Memory that this process has by now, where Linux tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


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
