"""A shard copied with other bytes in some places is what writing it byte by byte would give, hashes included."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.assets.sharding.copying import copy_with
from headwater.assets.sharding.shards import ShardError
from headwater.assets.storage.file_hashes import PART_BYTES, PartsHash

SIZE = 6 * PART_BYTES + 4321
DATA = np.random.default_rng(0).bytes(SIZE)


def parts_of(data: bytes) -> tuple[str, ...]:
    hashed = PartsHash()
    hashed.update(data)
    return hashed.parts()


PARTS = parts_of(DATA)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("shards") / "a.tar"
    path.write_bytes(DATA)
    return path


def refuses(*arguments):
    raise OSError(95, "Operation not supported")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, PART_BYTES + 99)), max_size=5),
    able=st.booleans(),
)
def test_a_copy_with_pieces_equals_the_bytes_laid_together(source, tmp_path, wanted, able):
    expected, pieces, free = bytearray(DATA), [], 0
    for number, (offset, length) in enumerate(sorted(wanted)):
        stop = min(offset + length, SIZE)
        if offset >= free and stop > offset:
            piece = bytes([number]) * (stop - offset)
            expected[offset:stop] = piece
            pieces.append((offset, piece))
            free = stop
    with pytest.MonkeyPatch.context() as patch:
        if not able:
            patch.setattr(os, "copy_file_range", refuses, raising=False)
        parts = copy_with(str(source), SIZE, PARTS, pieces, str(tmp_path / "b.tar"))
    assert (tmp_path / "b.tar").read_bytes() == expected
    assert parts == parts_of(bytes(expected))
    assert source.read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar"]


def test_without_any_help_of_the_system(source, tmp_path, monkeypatch):
    for name in ("copy_file_range", "posix_fadvise"):
        monkeypatch.delattr(os, name, raising=False)
    parts = copy_with(str(source), SIZE, PARTS, [(SIZE - 3, b"end")], str(tmp_path / "b.tar"))
    assert parts == parts_of(DATA[:-3] + b"end")
    assert (tmp_path / "b.tar").read_bytes() == DATA[:-3] + b"end"


def test_what_the_system_does_by_halves_is_done_whole(source, tmp_path, monkeypatch):
    """A nearly full disk takes a part of what is written; some file systems copy nothing and name no fault."""
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, at: whole(file, content[: len(content) // 2 + 1], at))
    monkeypatch.setattr(os, "copy_file_range", lambda *arguments: 0, raising=False)
    monkeypatch.setattr(os, "posix_fadvise", refuses, raising=False)
    parts = copy_with(str(source), SIZE, PARTS, [(5, b"withdrawn")], str(tmp_path / "b.tar"))
    assert (tmp_path / "b.tar").read_bytes() == DATA[:5] + b"withdrawn" + DATA[14:]
    assert parts == parts_of(DATA[:5] + b"withdrawn" + DATA[14:])


def test_damage_in_a_part_that_stays_remains_damage(source, tmp_path):
    damaged = bytearray(DATA)
    damaged[2 * PART_BYTES + 5] ^= 1
    (tmp_path / "a.tar").write_bytes(damaged)
    parts = copy_with(str(tmp_path / "a.tar"), SIZE, PARTS, [(4 * PART_BYTES, b"new")], str(tmp_path / "b.tar"))
    found = parts_of((tmp_path / "b.tar").read_bytes())
    assert [number for number in range(len(found)) if found[number] != parts[number]] == [2]


def test_damage_in_a_part_that_changes_is_told(source, tmp_path):
    """Else the new hash would make it sound."""
    damaged = bytearray(DATA)
    damaged[2 * PART_BYTES + 5] ^= 1
    (tmp_path / "a.tar").write_bytes(damaged)
    with pytest.raises(ShardError, match=r"a\.tar is not what was written: headwater verify --mend"):
        copy_with(str(tmp_path / "a.tar"), SIZE, PARTS, [(2 * PART_BYTES + 99, b"new")], str(tmp_path / "b.tar"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_a_source_that_is_cut_short_leaves_nothing(tmp_path):
    (tmp_path / "a.tar").write_bytes(DATA[:-1])
    with pytest.raises(ShardError, match=r"a\.tar ends before what its index says"):
        copy_with(str(tmp_path / "a.tar"), SIZE, PARTS, [], str(tmp_path / "b.tar"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
