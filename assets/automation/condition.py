"""Following content: an asset is brought up to date when what it is made from holds something else than before.

Clocks and mere re-runs move nothing: the condition looks at data versions, which are content versions here. Once one
asset is to be computed, everything after it joins the same run, because what turns out to be unaffected is reused there
at almost no cost, and because blocking checks hold within a run.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_shared.record import replace

from headwater.assets.dagster_assets import stage_behind
from headwater.assets.training.declaration import TrainingOptions

LABEL = "content_changed"
FOLLOWS, WATCHES = "headwater/follows", "headwater/watches"  # metadata of sensors: a pipeline, an asset

# Assets of the whole store, such as withdrawals: no pipeline makes them, and they may never come to be.
STORE_WIDE = dg.AssetSelection.assets(dg.AssetKey(["headwater", "withdrawals"]))


def content_changed(cron: str | None = None) -> dg.AutomationCondition:
    """True once the content of an input, the options or the code differ, or the output is missing, until handled.

    Requested together with an input that is requested in the same tick. It waits for inputs that are missing or being
    written, and for blocking checks of the inputs. A failed run is not requested again by itself.

    Args:
        cron: times (UTC) at which the asset is requested although nothing changed: what was held back may be due.
    """
    condition = dg.AutomationCondition
    changed = (
        condition.any_deps_match(condition.data_version_changed())
        | condition.code_version_changed()
        | condition.missing().newly_true()
    )
    if cron is not None:
        changed = changed | condition.cron_tick_passed(cron, "UTC")
    waiting = changed.since(condition.newly_requested() | condition.newly_updated())
    joins = condition.any_deps_match(condition.will_be_requested())
    ready = (
        ~condition.any_deps_missing().ignore(STORE_WIDE)
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed()
    )
    return ((waiting | joins) & ready).with_label(LABEL)


def following_sensor(
    name: str, pipeline: str, running: bool, description: str
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the condition for the assets of a pipeline."""
    return dg.AutomationConditionSensorDefinition(
        name=f"{name}_follows_content",
        target=dg.AssetSelection.groups(pipeline),
        run_tags={"headwater/pipeline": pipeline, "headwater/cause": "content changed"},
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=30,
        description=description or f"Brings {pipeline} up to date when content, options or code change.",
        metadata={FOLLOWS: pipeline},
    )


def with_conditions(definitions: dg.Definitions) -> dg.Definitions:
    """Gives the condition to every asset of the pipelines that follow content.

    A raw asset whose sources are watched is left out: its sensor requests it, and one cause of runs is enough.
    """
    groups, watched = _named_by(definitions, FOLLOWS), _named_by(definitions, WATCHES)
    if not groups:
        return definitions
    conditions: dict[str | None, dg.AutomationCondition] = {}
    times = {key: cron for asset in definitions.assets or () for key, cron in _retraining_times(asset)}

    def conditioned(spec: dg.AssetSpec) -> dg.AssetSpec:
        if spec.group_name not in groups or "/".join(spec.key.path) in watched:
            return spec
        cron = times.get(spec.key)
        if cron not in conditions:
            conditions[cron] = content_changed(cron)
        return spec.replace_attributes(automation_condition=conditions[cron])

    return replace(definitions, assets=dg.map_asset_specs(conditioned, definitions.assets or ()))  # type: ignore[arg-type]


def _retraining_times(asset: Any) -> Iterator[tuple[dg.AssetKey, str]]:
    """When a checkpoint that follows its shards at given times only is due."""
    stage = stage_behind(asset) if isinstance(asset, dg.AssetsDefinition) else None
    options = stage.options if stage is not None else None
    if isinstance(options, TrainingOptions) and options.retrain and options.retrain.when.cron:
        yield asset.key, options.retrain.when.cron


def _named_by(definitions: dg.Definitions, key: str) -> set[str]:
    return {str(sensor.metadata[key].value) for sensor in definitions.sensors or () if key in sensor.metadata}
