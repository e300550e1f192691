"""Runs whose process went down with the machine: found, marked as failed, and no longer waited for."""

import os
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from automated import automated
from dagster_shared.serdes import serialize_value

from headwater.assets.automation.runs import (
    IN_PROGRESS,
    LAUNCHED_HERE,
    SIGNS_OF_LIFE,
    end_dead_runs,
    run_writing,
    sign_of_life,
)


@pytest.fixture
def instance():
    with dg.instance_for_test() as own:
        yield own


def started(instance: dg.DagsterInstance, pid: int | None, *, launched: bool = True, ago: float = 0) -> dg.DagsterRun:
    """A run in progress as the process `pid` would have reported it, some seconds ago; None: not a word from it yet."""
    job = automated(follow_content=True).resolve_implicit_global_asset_job_def()
    tags = {"headwater/pipeline": "small"} | ({LAUNCHED_HERE: "{}"} if launched else {})
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    if pid is not None:
        event = dg.DagsterEvent("PIPELINE_START", run.job_name, pid=pid)
        entry = dg.EventLogEntry(
            error_info=None,
            level="debug",
            user_message="",
            run_id=run.run_id,
            timestamp=time.time() - ago,
            job_name=run.job_name,
            dagster_event=event,
        )
        instance.handle_new_event(entry)
    return run


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_a_run_whose_process_is_gone_is_no_longer_waited_for(instance: dg.DagsterInstance):
    run = started(instance, ended_process())
    assert run_writing(instance, set(), "small").run_id == run.run_id
    assert list(end_dead_runs(instance)) == [run.run_id]
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE
    assert run_writing(instance, set(), "small") is None
    assert list(end_dead_runs(instance)) == []


def test_a_number_that_another_process_has_since_is_not_taken_for_it(instance: dg.DagsterInstance):
    run = started(instance, os.getpid(), ago=1e6)
    assert list(end_dead_runs(instance)) == [run.run_id]


def test_a_child_that_nobody_has_waited_for_is_dead(instance: dg.DagsterInstance):
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    run = started(instance, process.pid)
    assert list(end_dead_runs(instance)) == [run.run_id]
    process.wait()


@pytest.mark.parametrize("case", ["alive", "silent", "of another launcher"])
def test_every_other_run_is_left_alone(instance: dg.DagsterInstance, case: str):
    if case == "of another launcher":
        started(instance, ended_process(), launched=False)
    else:
        started(instance, os.getpid() if case == "alive" else None)
    assert list(end_dead_runs(instance)) == []


HOLDING = """
import sys
import dagster as dg
from dagster_shared.serdes import deserialize_value
from headwater.assets.automation.runs import sign_of_life
with dg.DagsterInstance.from_ref(deserialize_value(sys.argv[1])) as instance:
    with sign_of_life(instance, sys.argv[2]):
        print("held", flush=True)
        sys.stdin.read()
"""


def signs(instance: dg.DagsterInstance) -> list[Path]:
    return list((Path(instance.root_directory) / SIGNS_OF_LIFE).glob("*"))


def test_a_killed_command_is_no_longer_waited_for(instance: dg.DagsterInstance):
    run = started(instance, None, launched=False)
    command = [sys.executable, "-c", HOLDING, serialize_value(instance.get_ref()), run.run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        assert list(end_dead_runs(instance)) == []
        assert run_writing(instance, set(), "small").run_id == run.run_id
        process.kill()
    assert list(end_dead_runs(instance)) == [run.run_id]
    assert run_writing(instance, set(), "small") is None
    assert signs(instance) == []


def test_a_command_that_ended_leaves_nothing_and_one_that_was_broken_off_is_ended(instance: dg.DagsterInstance):
    done, broken = started(instance, None, launched=False), started(instance, None, launched=False)
    with sign_of_life(instance, done.run_id):
        instance.report_run_failed(done)
    assert signs(instance) == []
    with pytest.raises(KeyboardInterrupt), sign_of_life(instance, broken.run_id):
        raise KeyboardInterrupt
    assert list(end_dead_runs(instance)) == [broken.run_id]
    assert instance.get_runs(filters=dg.RunsFilter(statuses=list(IN_PROGRESS))) == []
