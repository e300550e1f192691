"""What Dagster knows of runs, as automation asks for it: which is writing these assets, how a request ended, who died.

Dagster's default launcher starts runs as processes beside the code server that evaluates sensors, and marks a run as
failed when its process ends without a word. When the machine goes down, nobody does: such a run would count as in
progress for ever, and everything that waits for it with it. Runs of the command line have no launcher at all: each
holds a lock file in Dagster's home while it lives, which the operating system frees however its process ends.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

from headwater.assets.automation.events import OF_INTEREST, events_of

IN_PROGRESS = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
PIPELINE, CAUSE = "headwater/pipeline", "headwater/cause"  # tags of runs that automation requests
RUN_KEY = "dagster/run_key"
LAUNCHED_HERE = ".dagster/grpc_info"  # what the default launcher notes of a run
SIGNS_OF_LIFE = "command_line_runs"  # folder in Dagster's home: a lock file per run that is a command's own process


def run_writing(instance: dg.DagsterInstance, keys: AbstractSet[dg.AssetKey], pipeline: str) -> dg.DagsterRun | None:
    """A run, queued or in progress, that materializes one of the assets."""
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(IN_PROGRESS))):
        if run.asset_selection is None:
            if run.job_name == pipeline or run.tags.get(PIPELINE) == pipeline:
                return run
        elif not keys.isdisjoint(run.asset_selection):
            return run
    return None


def run_requested_by(instance: dg.DagsterInstance, run_key: str) -> dg.DagsterRun | None:
    """The latest run of a request."""
    found = instance.get_runs(filters=dg.RunsFilter(tags={RUN_KEY: run_key}), limit=1)
    return found[0] if found else None


def broke(instance: dg.DagsterInstance, run_key: str) -> bool:
    """Whether the run of a request ended with an error, which may pass; a check that blocks would block again."""
    run = run_requested_by(instance, run_key)
    if run is None or run.status != dg.DagsterRunStatus.FAILURE:
        return False
    events = events_of(run, instance.all_logs(run.run_id, of_type=OF_INTEREST), {})
    return any(event.event == "failure" for event in events)


@contextmanager
def sign_of_life(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Around a run in this process, from before Dagster knows of it: says to other processes that it is alive."""
    path = _sign(instance, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path, timeout=0):
        try:
            yield
        finally:
            if not _in_progress(instance, run_id):  # else it is left for whoever looks next to end the run
                path.unlink(missing_ok=True)


def end_dead_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Marks runs as failed whose process on this machine is gone; yields their ids."""
    from dagster._core.launcher import DefaultRunLauncher  # the one launcher that starts them on this machine

    launched = isinstance(instance.run_launcher, DefaultRunLauncher)
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=list(IN_PROGRESS))):
        if launched and run.status == dg.DagsterRunStatus.STARTED and LAUNCHED_HERE in run.tags:
            dead = _is_gone(instance, run) and _fail(instance, run)
        else:
            dead = _end_without_sign(instance, run)
        if dead:
            yield run.run_id


def _end_without_sign(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Ends a run of the command line whose lock nobody holds; says whether there was one to end."""
    path = _sign(instance, run.run_id)
    if not path.is_file():  # it has a launcher of its own, or is on another machine
        return False
    try:
        with FileLock(path, timeout=0):
            dead = _in_progress(instance, run.run_id) and _fail(instance, run)  # it may have ended just now
            path.unlink(missing_ok=True)
            return dead
    except Timeout:
        return False


def _fail(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    instance.report_run_failed(run, "Its process is gone: it was ended from outside, or the machine was.")
    return True


def _in_progress(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status in IN_PROGRESS


def _sign(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.root_directory) / SIGNS_OF_LIFE / f"{run_id}.lock"


def _is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process that wrote the run's first event has ended; one that was never named may be starting."""
    import psutil

    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_START)
    for entry in entries[-1:]:
        if entry.dagster_event is None or entry.dagster_event.pid is None:
            return False
        try:
            process = psutil.Process(entry.dagster_event.pid)
            reborn = process.create_time() > entry.timestamp + 1  # another process with the same number
            return reborn or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
    return False
