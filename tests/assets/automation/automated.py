"""A small pipeline with an automation, evaluated as Dagster's daemon would, on a history of its own."""

from typing import Any

import dagster as dg
from small_pipelines import bytes_tokenizer, notes, packed, tiny_training

from headwater.assets.automation.component import Automation
from headwater.assets.component import StageComponent, pipeline_definitions

CHAIN = ["notes/signals", "notes/curated", "notes/deduplicated", "letters/tokenizer"]
CHAIN += ["packed/tokens", "packed/shards", "tiny/checkpoint"]


def automated(
    *, shards: StageComponent | None = None, training: StageComponent | None = None, **options: Any
) -> dg.Definitions:
    """The small pipeline from notes in `inbox/` to a checkpoint, with an automation called `keep`."""
    components = [notes(path="inbox/*.jsonl"), bytes_tokenizer(), shards or packed(), training or tiny_training(4)]
    return pipeline_definitions("small", *components, Automation(name="keep", **options))


def context_of(
    definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None
) -> dg.SensorEvaluationContext:
    """What a sensor is given in a tick."""
    repository = definitions.get_repository_def()
    return dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)


def names(keys: Any) -> list[str]:
    """Keys as `component/stage`, sorted."""
    return sorted("/".join(key.path) for key in keys)


def sensor_of(definitions: dg.Definitions, name: str) -> dg.SensorDefinition:
    """A sensor by its name."""
    return next(sensor for sensor in definitions.sensors or () if sensor.name == name)
