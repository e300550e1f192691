"""Memory goes back where a process has grown by much since it last did, and stays where it has not."""

from types import SimpleNamespace

import numpy as np
import pytest

from headwater.assets.compute import memory
from headwater.assets.compute.memory import KEPT_BYTES, give_back_memory

MB = 1 << 20


@pytest.fixture
def asked(monkeypatch):
    """How much the process has, to be set, and how often the C library was asked to return what is free."""
    said = SimpleNamespace(resident=500 * MB, times=0)

    def trim(pad: int) -> None:
        said.times += 1

    monkeypatch.setattr(memory._Seen, "resident", 0)
    monkeypatch.setattr(memory, "_resident_bytes", lambda: said.resident)
    monkeypatch.setattr(memory, "_glibc", lambda: SimpleNamespace(malloc_trim=trim))
    return said


def test_it_is_given_back_once_it_is_much(asked):
    def times_after(resident: int | None) -> int:
        asked.resident = resident
        give_back_memory()
        return asked.times

    assert times_after(500 * MB) == 1  # nothing is known of before
    assert times_after(500 * MB + KEPT_BYTES - 1) == 1
    assert times_after(500 * MB + KEPT_BYTES) == 2
    assert times_after(500 * MB + KEPT_BYTES) == 2  # it went up to here, and counts from here
    assert times_after(400 * MB) == 2
    assert times_after(400 * MB + KEPT_BYTES) == 3  # from the least since
    assert [times_after(None) for _ in range(2)] == [4, 5]  # where the system does not tell


@pytest.mark.skipif(memory._resident_bytes() is None, reason="the system does not tell")
def test_what_the_system_tells_is_the_memory_in_use():
    before = memory._resident_bytes()
    held = np.ones(64 * MB, dtype=np.uint8)
    assert memory._resident_bytes() - before > 50 * MB
    del held
