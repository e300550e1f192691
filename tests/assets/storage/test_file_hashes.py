"""A file's hash by its parts is what two commands of the system print, however its bytes arrive."""

import hashlib
import shutil
import subprocess

import hashes_by_hand
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.storage.file_hashes import PART_BYTES, PartsHash, hash_as, hash_of_parts, number_of_parts

SIZES = [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 17]


def content(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_what_the_system_prints(tmp_path, size):
    data, hashed = content(size), PartsHash()
    hashed.update(data)
    assert hashed.text() == hashes_by_hand.hash_of_parts(data) == hash_of_parts(hashed.parts())
    assert len(hashed.parts()) == number_of_parts(size)
    if not (shutil.which("split") and shutil.which("sha256sum")):
        pytest.skip("no coreutils here")
    (tmp_path / "file").write_bytes(data)
    command = "split --bytes 1M --filter sha256sum file | sha256sum"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert hashed.text() == f"parts:{done.stdout.split()[0]}"


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * PART_BYTES + 99), max_size=6))
def test_any_cut_gives_the_same(cuts):
    data, hashed, first = content(2 * PART_BYTES + 99), PartsHash(), 0
    for stop in [*sorted(cuts), len(data)]:
        hashed.update(memoryview(data)[first:stop])
        first = stop
    assert hashed.text() == hashes_by_hand.hash_of_parts(data)


def test_the_kind_is_that_of_the_expected_hash():
    data = content(2_000_000)
    for expected in (hashlib.sha256(data).hexdigest(), hashes_by_hand.hash_of_parts(data)):
        hashed = hash_as(expected)
        hashed.update(data)
        assert hashed.text() == expected
        hashed.update(b"x")
        assert hashed.text() != expected
