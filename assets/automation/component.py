"""Automation: the sensors and schedules of the pipeline in whose folder it is declared."""

from typing import Any, ClassVar

import dagster as dg

from headwater.assets.automation.alerting import alert_sensor
from headwater.assets.automation.condition import following_sensor
from headwater.assets.automation.declaration import AutomationOptions, Schedule
from headwater.assets.automation.runs import CAUSE, PIPELINE
from headwater.assets.automation.watching import watching_sensor
from headwater.assets.component import StageComponent
from headwater.assets.stages import Stage


class Automation(StageComponent):
    """Watches sources, follows content, keeps times and tells of failures; it has no assets of its own."""

    options_type: ClassVar[type[AutomationOptions]] = AutomationOptions

    def stages(self, pipeline: str) -> list[Stage]:
        """None: what it acts on is declared by the others."""
        return []

    def definitions(self, pipeline: str) -> dg.Definitions:
        """The sensors and schedules."""
        options: AutomationOptions = self.options
        shared: dict[str, Any] = {"running": options.running, "description": options.description}
        sensors: list[dg.SensorDefinition] = [
            watching_sensor(options.name, pipeline, watched, options.follow_content, **shared)
            for watched in options.watch
        ]
        if options.follow_content:
            sensors.append(following_sensor(options.name, pipeline, **shared))
        if options.alerts:
            sensors.append(alert_sensor(options.name, pipeline, options.alerts, **shared))
        return dg.Definitions(sensors=sensors, schedules=[self._schedule(each, pipeline) for each in options.schedules])

    def _schedule(self, schedule: Schedule, pipeline: str) -> dg.ScheduleDefinition:
        status, name = dg.DefaultScheduleStatus, f"{self.options.name}_{schedule.name}"
        what = f"What {self.options.name} requests by the schedule {schedule.name}."
        selection, tags = _selection(schedule, pipeline), {PIPELINE: pipeline}
        return dg.ScheduleDefinition(
            name=name,
            job=dg.define_asset_job(name, selection=selection, tags=tags, description=what),
            cron_schedule=schedule.cron,
            execution_timezone=schedule.timezone,
            default_status=status.RUNNING if self.options.running else status.STOPPED,
            description=self.options.description or f"Brings assets of {pipeline} up to date.",
            tags={CAUSE: f"schedule {schedule.name}"},
        )


def _selection(schedule: Schedule, pipeline: str) -> dg.AssetSelection:
    if schedule.assets == "all":
        selection: dg.AssetSelection = dg.AssetSelection.groups(pipeline)
    else:
        assets = [dg.AssetKey(name.split("/")) for name in schedule.assets if "/" in name]
        components = [name for name in schedule.assets if "/" not in name]
        selection = dg.AssetSelection.assets(*assets) | dg.AssetSelection.key_prefixes(*([name] for name in components))
    return selection.upstream() if schedule.upstream else selection
