"""Memory that a step has freed goes back to the machine: allocators keep it for themselves, stage after stage."""

import ctypes
import sys
from functools import cache
from typing import Any

import pyarrow as pa


def give_back_memory() -> None:
    """Lets Arrow's and the C library's allocators return what they hold and nobody uses; a few milliseconds."""
    pa.default_memory_pool().release_unused()
    if (library := _glibc()) is not None:
        library.malloc_trim(0)


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
