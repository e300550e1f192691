"""The alert sensor of a pipeline: reads how runs ended since it last looked, and tells whom the declaration names.

One sensor sees every run that Dagster's history holds, by whomever it was started. What it has read is its cursor, so
after a pause it goes on where it was; when it is switched on for the first time, the past is left alone.
"""

import time
from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import BaseModel

from headwater.assets.automation.declaration import CommandAlert, WebhookAlert
from headwater.assets.automation.delivery import DeliveryError, deliver, name_of
from headwater.assets.automation.events import OF_INTEREST, AlertEvent, events_of
from headwater.assets.automation.runs import end_dead_runs
from headwater.assets.workspace import find_workspace

FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE.value, dg.DagsterRunStatus.SUCCESS.value
RUNS_AT_ONCE = 50
TICK_SECONDS = 25  # after so long nothing further is begun; what is left waits for the next tick

Alerts = Sequence[CommandAlert | WebhookAlert]


class Place(BaseModel):
    """How far the endings of one kind were read: up to this storage id, and so many events of the run after it."""

    after: int
    told: int = 0


class Read(BaseModel):
    """The cursor: the place among runs that failed, and among runs that succeeded."""

    places: dict[str, Place]

    def at(self, status: str, place: Place) -> "Read":
        """The cursor with another place."""
        return Read(places={**self.places, status: place})


def alert_sensor(name: str, pipeline: str, alerts: Alerts, running: bool, description: str) -> dg.SensorDefinition:
    """The sensor that raises a pipeline's alerts."""

    @dg.sensor(
        name=f"{name}_alerts",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=description or f"Tells of failures, blocking checks and blocked promotions in {pipeline}.",
    )
    def alert(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(_tick(context, pipeline, alerts))

    return alert


def _tick(context: dg.SensorEvaluationContext, pipeline: str, alerts: Alerts) -> str:
    if not context.cursor:
        latest = {status: Place(after=_latest(context.instance, status)) for status in (FAILURE, SUCCESS)}
        context.update_cursor(Read(places=latest).model_dump_json())
        return "Runs that end from now on are looked at."
    for run in end_dead_runs(context.instance):
        context.log.warning(f"Run {run} is marked as failed: its process is gone.")
    started, runs, sent = time.monotonic(), 0, 0
    lost: list[str] = []
    for event, read in _unread(context, Read.model_validate_json(context.cursor)):
        if event is None:
            runs += 1
        elif event.pipeline == pipeline:
            for alert in (alert for alert in alerts if event.event in alert.when):
                problem = _deliver(context, event, alert)
                sent += problem is None
                lost += [problem] if problem else []
        context.update_cursor(read.model_dump_json())
        if time.monotonic() - started > TICK_SECONDS:
            break
    return _summary(runs, sent, lost)


def _summary(runs: int, sent: int, lost: list[str]) -> str:
    if not (runs or sent or lost):
        return "No run ended since the last look."
    told = f"{runs} {'run' if runs == 1 else 'runs'} ended; {sent} {'alert' if sent == 1 else 'alerts'} sent"
    return f"{told}, {len(lost)} not delivered: {'; '.join(lost)}" if lost else f"{told}."


def _unread(context: dg.SensorEvaluationContext, read: Read) -> Iterator[tuple[AlertEvent | None, Read]]:
    """What is to be told of each run that ended, then None for the run itself; each with the cursor that follows it."""
    assert context.repository_def is not None, "Dagster evaluates sensors within their code location"
    nodes = context.repository_def.asset_graph.asset_nodes
    groups = {"/".join(node.key.path): node.group_name for node in nodes if node.group_name}
    for status in (FAILURE, SUCCESS):
        place = read.places[status]
        for record in _endings(context.instance, status, place.after):
            run = context.instance.get_run_by_id(record.run_id)
            entries = context.instance.all_logs(record.run_id, of_type=OF_INTEREST)
            events = events_of(run, entries, groups) if run is not None else []
            for told in range(place.told, len(events)):
                yield events[told], read.at(status, Place(after=place.after, told=told + 1))
            place = Place(after=record.storage_id)
            read = read.at(status, place)
            yield None, read


def _endings(instance: dg.DagsterInstance, status: str, after: int) -> Sequence[dg.EventLogRecord]:
    event = dg.DagsterEventType.RUN_FAILURE if status == FAILURE else dg.DagsterEventType.RUN_SUCCESS
    chosen = dg.RunStatusChangeRecordsFilter(event, after_storage_id=after)  # type: ignore[arg-type]
    return instance.fetch_run_status_changes(chosen, limit=RUNS_AT_ONCE, ascending=True).records


def _latest(instance: dg.DagsterInstance, status: str) -> int:
    event = dg.DagsterEventType.RUN_FAILURE if status == FAILURE else dg.DagsterEventType.RUN_SUCCESS
    records = instance.fetch_run_status_changes(event, limit=1).records
    return records[0].storage_id if records else -1


def _deliver(context: dg.SensorEvaluationContext, event: AlertEvent, alert: CommandAlert | WebhookAlert) -> str | None:
    """Tells one event; what went wrong, where it did."""
    try:
        deliver(event, alert, find_workspace().root)
    except DeliveryError as error:
        problem = f"{name_of(alert)}: {error}"
        context.log.error(f"An alert was not delivered: {problem}. What it would have told: {event.text}")
        return problem
    context.log.info(f"Told {name_of(alert)}: {event.text}")
    return None
