"""What Dagster knows of runs, as automation asks for it: which one is writing these assets, how a request ended."""

from collections.abc import Set as AbstractSet

import dagster as dg

IN_PROGRESS = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
PIPELINE, CAUSE = "headwater/pipeline", "headwater/cause"  # tags of runs that automation requests
RUN_KEY = "dagster/run_key"


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
