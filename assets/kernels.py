"""Kernels: functions compiled by numba, kept on disk, and loaded from there without numba's compiler.

Before numba looks for a compiled function on disk, it loads the implementations of all of Python and NumPy that it can
compile: a quarter of a second in each new process, which is more than a small refresh has to do. Machine code that is
there needs none of them, so here they are loaded when something must be compiled.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, NullCache
from numba.core.runtime import rtsys

Function = TypeVar("Function", bound=Callable)

_MARK = b"@compiled"


def compiled(allocates: bool = True, **options: Any) -> Callable[[Function], Function]:
    """Compile to machine code at first use, without the interpreter's lock; keep the result where that is possible.

    Args:
        allocates: False for a function that makes and returns no array, nor do any that it calls. numba then counts no
            references to arrays: each count is an atomic step, and where small functions are called in a loop they
            took a third of the time.
        options: of `numba.njit`; a division by zero gives what NumPy gives.
    """
    uncounted: dict[str, Any] = {} if allocates else {"_nrt": False}
    settings: dict[str, Any] = {"nogil": True, "error_model": "numpy"} | uncounted | options

    def compile_later(function: Function) -> Function:
        kept: Any = numba.njit(**settings)(function)
        if hasattr(kept, "_cache"):
            kept._cache = _Kept(function)
        # What other packages teach numba (awkward, a tenth of a second to load) no kernel here uses.
        kept._compilation_chain_init_hook = lambda: None
        return cast(Function, kept)

    return compile_later


class _Kept:
    """The place on disk of a function's machine code, looked for when the function is first called.

    numba looks when a function is declared, and writes a file to try whether it may: a tenth of a second for those of
    one stage, most of which are only compiled into others.
    """

    def __init__(self, function: Callable) -> None:
        self._function = function
        # Of the sources as they are now, which is what will be compiled; numba would look at the age of the function's
        # own file alone, and miss a change in one that it calls.
        self._stamp = _source_digest(Path(function.__code__.co_filename).parent)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    @cached_property
    def _cache(self) -> Any:
        if self._stamp is None:
            return NullCache()
        try:
            cache = FunctionCache(self._function)
            cache._cache_file._source_stamp = self._stamp
            return cache
        except (RuntimeError, AttributeError):  # no writable folder, or another numba: compile in each process
            return NullCache()

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled function from disk, or None: what numba does, less the loading of what compiles."""
        rtsys.initialize(target)  # memory of arrays that kernels make
        if isinstance(self._cache, NullCache):
            return None
        found = None
        with self._cache._guard_against_spurious_io_errors():
            found = self._cache._load_overload(signature, target)
        if found is None:
            _tell_that_it_takes_a_while()
        return found


@lru_cache(maxsize=1)
def _tell_that_it_takes_a_while() -> None:
    """Once in a process, before the first kernel is compiled: what looks like a standstill has a reason."""
    logging.getLogger("headwater").warning(
        "Compiling kernels that were not used on this machine yet; they are kept. All of them take a minute or two."
    )


@lru_cache(maxsize=16)
def _source_digest(folder: Path) -> str | None:
    """Hash of the sources with kernels in a folder and below: they are compiled into one another.

    None where they cannot be read.
    """
    try:
        digest = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=16)
        for source in sorted(folder.rglob("*.py")):
            content = source.read_bytes()
            if _MARK in content:
                digest.update(content)
    except OSError:
        return None
    return digest.hexdigest()
