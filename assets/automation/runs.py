"""What Dagster knows of runs, as automation asks for it: which is writing these assets, how a request ended, who died.

Dagster's default launcher starts runs as processes beside the code server that evaluates sensors, and marks a run as
failed when its process ends without a word. When the machine goes down, nobody does: such a run would count as in
progress for ever, and everything that waits for it with it.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import dagster as dg

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


def end_dead_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    """Marks runs as failed whose process on this machine is gone; yields their ids."""
    from dagster._core.launcher import DefaultRunLauncher  # the one launcher that starts them on this machine

    if not isinstance(instance.run_launcher, DefaultRunLauncher):
        return
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        if LAUNCHED_HERE in run.tags and _is_gone(instance, run):
            instance.report_run_failed(run, "Its process is gone: it was ended from outside, or the machine was.")
            yield run.run_id


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
