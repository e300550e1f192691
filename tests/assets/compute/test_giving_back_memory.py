"""Memory goes back where a process holds much that nobody uses, and stays where it is little."""

import ctypes
from types import SimpleNamespace

import pyarrow as pa
import pytest

from headwater.assets.compute import memory
from headwater.assets.compute.memory import KEPT_BYTES, give_back_memory

MB = 1 << 20
TOLD = pytest.mark.skipif(memory._spare_bytes() is None, reason="the system does not tell")


@pytest.fixture
def asked(monkeypatch):
    """How much the process has to spare, to be set, and how often the C library was asked to return it."""
    said = SimpleNamespace(spare=500 * MB, times=0)

    def trim(pad: int) -> None:
        said.times += 1

    monkeypatch.setattr(memory._Seen, "spare", 0)
    monkeypatch.setattr(memory, "_spare_bytes", lambda: said.spare)
    monkeypatch.setattr(memory, "_glibc", lambda: SimpleNamespace(malloc_trim=trim))
    return said


def test_it_is_given_back_once_it_is_much(asked):
    def times_after(spare: int | None) -> int:
        asked.spare = spare
        give_back_memory()
        return asked.times

    assert times_after(500 * MB) == 1  # nothing is known of before
    assert times_after(500 * MB + KEPT_BYTES - 1) == 1
    assert times_after(500 * MB + KEPT_BYTES) == 2
    assert times_after(500 * MB + KEPT_BYTES) == 2  # so much could not be given back
    assert times_after(400 * MB) == 2
    assert times_after(400 * MB + KEPT_BYTES) == 3  # from the least since
    assert [times_after(None) for _ in range(2)] == [4, 5]  # where the system does not tell


@TOLD
def test_what_was_in_use_when_memory_went_back_goes_back_when_it_is_free(monkeypatch):
    """Small pieces stay with the allocator when they are freed, as the values of columns and dictionaries do."""
    library = memory._glibc()
    library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    monkeypatch.setattr(memory._Seen, "spare", -(1 << 40))
    pieces = [library.malloc(64 << 10) for _ in range(2 * KEPT_BYTES >> 16)]
    for piece in pieces:
        ctypes.memset(piece, 1, 64 << 10)
    give_back_memory()
    resting = memory._spare_bytes()
    for piece in pieces:
        library.free(piece)
    guard = library.malloc(64 << 10)
    assert memory._spare_bytes() - resting > KEPT_BYTES
    give_back_memory()
    assert memory._spare_bytes() - resting < KEPT_BYTES // 4
    library.free(guard)


@TOLD
def test_what_is_in_use_is_not_to_spare():
    resting = memory._spare_bytes()
    held = pa.allocate_buffer(2 * KEPT_BYTES)
    ctypes.memset(held.address, 1, held.size)
    assert memory._spare_bytes() - resting < KEPT_BYTES // 2
