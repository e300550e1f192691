"""Killed runs: finished partitions are taken over, unfinished work is invisible, a dead holder frees its lease."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_pipelines import Lab
from small_stages import computed, counting_stage

from headwater.assets.running import run_stage
from headwater.assets.storage.attempts import Attempt, Part, part_name
from headwater.assets.storage.content import ContentSum
from headwater.assets.storage.places import Store, StoreError
from headwater.assets.storage.tables import open_table

TESTS = Path(__file__).parents[2]
RUN = """
import sys
from small_pipelines import Lab
from small_stages import counting_stage
from headwater.assets.running import run_stage
from pathlib import Path
lab = Lab(Path(sys.argv[1]), Path(sys.argv[2]))
run_stage(counting_stage(), lab.store, lab.workspace)
"""
HOLD = """
import sys, time
from headwater.assets.storage.places import Store
with Store(sys.argv[1]).place("a/b").lease():
    print("held", flush=True)
    time.sleep(600)
"""


def fragments_of(url, version):
    return [(fragment.fragment_id, fragment.count_rows()) for fragment in open_table(url, version).get_fragments()]


def in_process(code: str, *arguments: object, **environment: str) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": str(TESTS), "HEADWATER_ENGINE": "local"} | environment
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_at(lab: Lab, place: str, counter: Path) -> None:
    process = in_process(
        RUN, lab.root, lab.store.root, HEADWATER_TEST_KILL_AT=place, HEADWATER_TEST_COUNTER=str(counter)
    )
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors


@pytest.fixture
def counter(tmp_path, monkeypatch):
    path = tmp_path / "counter"
    monkeypatch.setenv("HEADWATER_TEST_COUNTER", str(path))
    return path


def test_a_killed_run_hands_its_finished_partitions_to_the_next(lab, tmp_path, counter):
    killed_at(lab, "6", counter)
    assert computed(counter) == [0, 2, 4]
    assert lab.store.place("numbers/squares").record() is None, "an attempt is visible before it is published"
    assert lab.store.assets() == []

    result = run_stage(counting_stage(), lab.store, lab.workspace)
    assert computed(counter) == [0, 2, 4, 6, 8, 10], "a finished partition was computed again, or one was left out"

    whole = Lab(tmp_path / "other", tmp_path / "other-store")
    undisturbed = run_stage(counting_stage(), whole.store, whole.workspace)
    assert result.record.content_version == undisturbed.record.content_version
    assert result.record.metrics == undisturbed.record.metrics == {"sum": 66}
    assert lab.table("numbers/squares", "rows") == whole.table("numbers/squares", "rows")
    assert lab.table("numbers/squares", "rows")["item"].to_pylist() == list(range(12))
    assert not Path(lab.store.place("numbers/squares").root, "pending").exists()


def test_a_run_killed_after_its_tables_but_before_its_record_commits_them_once(lab, counter):
    killed_at(lab, "the end", counter)
    assert lab.store.place("numbers/squares").record() is None
    run_stage(counting_stage(), lab.store, lab.workspace)
    assert computed(counter) == [0, 2, 4, 6, 8, 10]
    rows = lab.table("numbers/squares", "rows")
    assert rows["square"].to_pylist() == [n * n for n in range(12)]


def test_readers_of_the_old_record_do_not_see_a_killed_attempt(lab, counter):
    run_stage(counting_stage(numbers=4), lab.store, lab.workspace)
    before = lab.table("numbers/squares", "rows")
    killed_at(lab, "the end", counter)
    assert lab.table("numbers/squares", "rows") == before
    run_stage(counting_stage(), lab.store, lab.workspace)
    assert lab.table("numbers/squares", "rows").num_rows == 12


def test_parts_that_cover_something_else_are_not_taken_over(lab, counter):
    """Partition sizes are execution: a run may choose others than the killed one, and must lose and double nothing."""
    killed_at(lab, "6", counter)
    run_stage(counting_stage(width=3), lab.store, lab.workspace)
    assert computed(counter) == [0, 2, 4, 0, 3, 6, 9]
    assert lab.table("numbers/squares", "rows")["item"].to_pylist() == list(range(12))


def test_parts_of_another_identity_are_not_taken_over(lab, counter):
    killed_at(lab, "6", counter)
    run_stage(counting_stage(numbers=6), lab.store, lab.workspace)
    assert computed(counter) == [0, 2, 4, 0, 2, 4]


def test_a_failed_partition_leaves_the_others_for_the_next_run(lab, counter, monkeypatch):
    import small_stages

    def fails(place):
        if place == "4":
            raise OSError("disk full")

    monkeypatch.setattr(small_stages, "die_at", fails)
    with pytest.raises(OSError, match="disk full"):
        run_stage(counting_stage(), lab.store, lab.workspace)
    monkeypatch.setattr(small_stages, "die_at", lambda place: None)
    run_stage(counting_stage(), lab.store, lab.workspace)
    assert computed(counter) == [0, 2, 4, 6, 8, 10]


def test_a_part_reads_back_as_it_was_written(tmp_path):
    place = Store(str(tmp_path)).place("a/b")
    attempt = Attempt(place, "i", "step")
    part = Part({"t": ["{}"]}, {"t": ContentSum(3, 2**64 - 1, 5)}, {"n": [1, 2]})
    attempt.finish(part_name(7, ["x"]), part)
    assert attempt.finished() == {part_name(7, ["x"]): part}
    assert Attempt(place, "other", "step").finished() == {}
    assert part_name(7, ["x"]) not in (part_name(8, ["x"]), part_name(7, ["y"]))


def test_fragments_lie_in_the_order_of_the_partitions(lab):
    run_stage(counting_stage(), lab.store, lab.workspace)
    record = lab.record("numbers/squares")
    rows = fragments_of(lab.store.place("numbers/squares").table("rows"), record.tables["rows"].version)
    assert [count for _, count in rows] == [2] * 6


def test_a_second_writer_fails_at_once_and_a_dead_one_does_not_block(tmp_path):
    place = Store(str(tmp_path)).place("a/b")
    holder = in_process(HOLD, tmp_path)
    try:
        assert holder.stdout.readline() == "held\n", holder.stderr.read()
        with pytest.raises(StoreError, match=r"a/b is being written by another run\. Wait for it"), place.lease():
            pass
        with Store(str(tmp_path)).place("a/other").lease():
            pass  # another asset is free
    finally:
        holder.kill()
        holder.wait()
    with place.lease():
        pass


def test_a_lease_is_free_after_an_error(tmp_path):
    place = Store(str(tmp_path)).place("a/b")
    with pytest.raises(ZeroDivisionError), place.lease():
        raise ZeroDivisionError
    with place.lease():
        pass
