"""What is worth telling somebody about a run that ended: errors, checks that block, promotions that did not happen.

A check that stops a run would otherwise be told twice, as the check and as the failure it causes; the check says more.
A reused output reports its checks again with every run, which is no news unless it stops that run, too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from headwater.assets.automation.declaration import Occasion

PROMOTION = "promotion"  # the check of a Training that says whether its new checkpoint became current
CHECK_ERROR = "DagsterAssetCheckFailedError"
LONGEST_TEXT = 2000
EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION
OF_INTEREST = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
    EVALUATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
}


@dataclass(frozen=True)
class AlertEvent:
    """One thing to tell: what happened, where, and a line for people."""

    event: Occasion
    text: str
    pipeline: str
    asset: str
    check: str
    run: str
    job: str
    time: float  # seconds since 1970
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The event as JSON values; ``text`` comes first."""
        values = asdict(self)
        return {"text": values.pop("text"), **values}


def events_of(run: dg.DagsterRun, entries: Iterable[dg.EventLogEntry], groups: Mapping[str, str]) -> list[AlertEvent]:
    """The events of a run that ended.

    Args:
        entries: the run's log, at least the types ``OF_INTEREST``.
        groups: asset → pipeline of every asset of the code location.
    """
    entries = list(entries)
    failed = run.status == dg.DagsterRunStatus.FAILURE
    found = [*_of_checks(run, entries, groups, failed), *_of_errors(run, entries, groups)]
    told = any(event.event in ("failure", "blocking_check", "blocked_promotion") for event in found)
    return found if told or not failed else [*found, _of_run(run, entries, groups)]


def _of_checks(
    run: dg.DagsterRun, entries: list[dg.EventLogEntry], groups: Mapping[str, str], failed: bool
) -> Iterator[AlertEvent]:
    reused = _reused(entries)
    for entry in entries:
        if entry.dagster_event is None or entry.dagster_event.event_type != EVALUATION:
            continue
        evaluation = entry.dagster_event.asset_check_evaluation_data
        asset = "/".join(evaluation.asset_key.path)
        blocking = evaluation.severity == dg.AssetCheckSeverity.ERROR
        if evaluation.passed or (asset in reused and not (blocking and failed)):
            continue
        occasion: Occasion = "blocking_check" if blocking else "warning"
        verb = "stops what is downstream" if blocking else "did not pass"
        if evaluation.check_name == PROMOTION:
            occasion, verb = "blocked_promotion", "kept the new checkpoint from becoming current"
        text = f"{asset}: the check {evaluation.check_name} {verb}: {evaluation.description or ''}"
        details = {name: value.value for name, value in evaluation.metadata.items()}
        yield _event(occasion, text, run, groups, asset, evaluation.check_name, entry.timestamp, details)


def _reused(entries: list[dg.EventLogEntry]) -> set[str]:
    """Assets that the run found as they were."""
    materialized = [entry.asset_materialization for entry in entries if entry.asset_materialization is not None]
    return {
        "/".join(each.asset_key.path)
        for each in materialized
        if "reused" in each.metadata and each.metadata["reused"].value is True
    }


def _of_errors(run: dg.DagsterRun, entries: list[dg.EventLogEntry], groups: Mapping[str, str]) -> Iterator[AlertEvent]:
    for entry in entries:
        event = entry.dagster_event
        if event is None or not event.is_step_failure:
            continue
        error = event.step_failure_data.error
        if error is not None and error.cls_name == CHECK_ERROR:
            continue
        while error is not None and (error.cls_name or "").startswith("Dagster") and error.cause is not None:
            error = error.cause
        asset = (event.step_key or "").replace("__", "/", 1)
        message = error.message.strip() if error is not None else event.message or ""
        yield _event("failure", f"{asset} failed: {message}", run, groups, asset, "", entry.timestamp)


def _of_run(run: dg.DagsterRun, entries: list[dg.EventLogEntry], groups: Mapping[str, str]) -> AlertEvent:
    """A run that failed outside its steps: it could not start, or its process is gone."""
    ends = [e for e in entries if e.dagster_event is not None and e.dagster_event.is_run_failure]
    message = (ends[-1].dagster_event.message or "") if ends and ends[-1].dagster_event else ""
    asset = next(("/".join(key.path) for key in sorted(run.asset_selection or ())), "")
    return _event("failure", f"The run failed: {message}", run, groups, asset, "", ends[-1].timestamp if ends else 0.0)


def _event(
    occasion: Occasion,
    text: str,
    run: dg.DagsterRun,
    groups: Mapping[str, str],
    asset: str,
    check: str,
    time: float,
    details: Mapping[str, Any] | None = None,
) -> AlertEvent:
    pipeline = groups.get(asset, run.tags.get("headwater/pipeline", run.job_name))
    line = f"{pipeline}: {' '.join(text.split())}"[:LONGEST_TEXT]
    return AlertEvent(occasion, line, pipeline, asset, check, run.run_id, run.job_name, time, dict(details or {}))
