"""Source sensors: list the sources of a corpus, and request a run when `raw` is no longer what they hold.

A look costs one listing; no file is opened. Everything after `raw` joins the run when the pipeline follows content:
one run per change instead of one per level, in which what is unaffected is reused and blocking checks hold. The cursor
says what was last requested, so that nothing is requested twice, not even when a run of it failed a moment ago.
"""

import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg
from pydantic import BaseModel

from headwater.assets.automation.condition import WATCHES
from headwater.assets.automation.declaration import WatchedCorpus
from headwater.assets.automation.runs import CAUSE, PIPELINE, broke, end_dead_runs, run_requested_by, run_writing
from headwater.assets.dagster_assets import stage_of
from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.workspace import find_workspace

if TYPE_CHECKING:
    from headwater.assets.storage.records import Record

UNLISTED = "unlisted"
DATA_VERSION = "dagster/data_version"


class Seen(BaseModel):
    """The cursor: what was last found and requested, each with its time (seconds since 1970)."""

    found: str = ""
    found_at: float = 0
    requested: str = ""
    requested_at: float = 0
    number: int = 0  # of requests so far

    @property
    def run_key(self) -> str:
        """Different for every request, also when files go back to an earlier state."""
        return f"{self.requested}-{self.number}"


def watching_sensor(
    name: str, pipeline: str, watched: WatchedCorpus, downstream: bool, running: bool, description: str
) -> dg.SensorDefinition:
    """The sensor of one corpus.

    Args:
        name: the automation's name.
        downstream: whether the run computes what follows `raw` in this pipeline, too.
    """
    raw = dg.AssetKey([watched.corpus, "raw"])
    target: dg.AssetSelection = dg.AssetSelection.assets(raw)
    if downstream:
        reach = dg.AssetSelection.groups(pipeline) | dg.AssetSelection.key_prefixes([watched.corpus])
        target = target | (target.downstream() & reach)

    @dg.sensor(
        name=f"{name}_watches_{watched.corpus}",
        job=dg.define_asset_job(
            f"{name}_watches_{watched.corpus}",
            selection=target,
            tags={PIPELINE: pipeline},
            description=f"What {name} requests when files of {watched.corpus} come and go.",
        ),
        minimum_interval_seconds=watched.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=description or f"Lists the sources of {watched.corpus} and requests a run when they changed.",
        metadata={WATCHES: f"{watched.corpus}/raw"},
    )
    def watch(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        repository = context.repository_def
        assert repository is not None, "Dagster evaluates sensors within their code location"
        keys = target.resolve(repository.asset_graph)
        return _tick(context, stage_of(repository, f"{watched.corpus}/raw"), watched, keys, pipeline)

    return watch


def _tick(
    context: dg.SensorEvaluationContext,
    stage: Stage,
    watched: WatchedCorpus,
    keys: AbstractSet[dg.AssetKey],
    pipeline: str,
) -> dg.RunRequest | dg.SkipReason:
    for run in end_dead_runs(context.instance):
        context.log.warning(f"Run {run} is marked as failed: its process is gone.")
    seen = Seen.model_validate_json(context.cursor) if context.cursor else Seen()
    news = _news(stage, context.instance, seen)
    if news.nothing:
        return dg.SkipReason(news.text)
    if seen.found != news.wanted:
        seen = seen.model_copy(update={"found": news.wanted, "found_at": time.time()})
        context.update_cursor(seen.model_dump_json())
    waiting = _reason_to_wait(context.instance, seen, watched, keys, pipeline)
    if waiting:
        return dg.SkipReason(f"{news.text} {waiting}")
    now = {"requested": news.wanted, "requested_at": time.time(), "number": seen.number + 1}
    seen = seen.model_copy(update=now)
    cause = news.cause()
    context.log.info(f"{stage.asset}: {cause}")
    context.update_cursor(seen.model_dump_json())
    return dg.RunRequest(run_key=seen.run_key, tags={CAUSE: cause})


class _News(NamedTuple):
    """What a look at the sources says: in words, what `raw` would be, and why, which may cost a second listing."""

    text: str
    nothing: bool = False
    wanted: str = ""
    cause: Callable[[], str] = str


def _news(stage: Stage, instance: dg.DagsterInstance, seen: Seen) -> _News:
    from headwater.assets.automation.arrivals import look_at  # loads Lance, which loading declarations does not need
    from headwater.assets.corpus.reading import SourceError

    workspace = find_workspace()
    store = Store(workspace.store_url)
    try:
        look = look_at(stage, store, workspace)
    except SourceError as error:
        text = str(error)
        if store.place(stage.asset).record() is None:
            return _News(f"Waiting for the first files: {text}", nothing=True)
        # One run is let fail: like any other failure it stands on the asset's page, raises alerts and is tried again.
        return _News(f"The sources cannot be listed: {text}.", wanted=UNLISTED, cause=lambda: f"not listed: {text}")
    if look.current and look.record is not None:
        if not _is_known(look.record, instance):
            text = "Dagster's history lacks the present output."
            return _News(text, wanted=f"{look.wanted} in history", cause=lambda: text)
        if broke(instance, seen.run_key):
            text = "The last run broke on its way."
            return _News(text, wanted=seen.requested, cause=lambda: text)
        return _News(f"No change since {_local_time(look.record.execution.started)}.", nothing=True)
    return _News("The sources changed.", wanted=look.wanted, cause=lambda: _difference(stage, store, look.record))


def _is_known(record: "Record", instance: dg.DagsterInstance) -> bool:
    """Whether Dagster has seen this output: a process may end between its publication and the event that tells of it.

    What is downstream follows events; the run that is requested then finds the output, and tells.
    """
    event = instance.get_latest_materialization_event(dg.AssetKey(record.asset.split("/")))
    told = event.asset_materialization if event is not None else None
    return told is not None and (told.tags or {}).get(DATA_VERSION) == record.content_version


def _reason_to_wait(
    instance: dg.DagsterInstance, seen: Seen, watched: WatchedCorpus, keys: AbstractSet[dg.AssetKey], pipeline: str
) -> str | None:
    quiet = time.time() - seen.found_at
    if quiet < watched.quiet_seconds:
        return f"Waiting until they stay as they are for {watched.quiet_seconds} s ({quiet:.0f} s so far)."
    writing = run_writing(instance, keys, pipeline)
    if writing is not None:
        return (
            f"Run {writing.run_id[:8]} is writing these assets, so the next one waits for it. "
            "If its process is gone, terminate it on its page."
        )
    return _already_requested(instance, seen, watched) if seen.found == seen.requested else None


def _already_requested(instance: dg.DagsterInstance, seen: Seen, watched: WatchedCorpus) -> str | None:
    run = run_requested_by(instance, seen.run_key)
    ended = "was not launched" if run is None else f"{run.run_id[:8]} ended with {run.status.value}"
    if watched.retry_minutes is None:
        return f"This was requested; its run {ended}. It is requested again once files change."
    left = seen.requested_at + 60 * watched.retry_minutes - time.time()
    return f"This was requested; its run {ended}. Next attempt in {left / 60:.0f} minutes." if left > 0 else None


def _difference(stage: Stage, store: Store, record: "Record | None") -> str:
    """What came and went, in words: for the run's tag and the tick's log."""
    from headwater.assets.automation.arrivals import compare, listing_behind, listing_of

    found = listing_of(stage.options, find_workspace())  # type: ignore[arg-type]
    before = listing_behind(store, record)
    if before is None:
        return f"sources changed: {len(found):,} files, {sum(size for size, _ in found.values()) / 1e6:,.1f} MB"
    arrivals = compare(found, before)
    return str(arrivals) if any(arrivals) or record is None else _other_cause(stage, store, record)


def _other_cause(stage: Stage, store: Store, record: "Record") -> str:
    """Why `raw` is made again although its sources have what they had."""
    from headwater.assets.lineage.plan import differences
    from headwater.assets.running import wanted_identity

    reasons = differences(record.identity, wanted_identity(stage, store, find_workspace()))
    words = {
        "input withdrawals": "documents were withdrawn",
        "option ": "the declaration changed",
        "code": "the code changed",
        "library ": "another version of a library",
    }
    causes = [said for begin, said in words.items() if any(reason.startswith(begin) for reason in reasons)]
    return ", ".join(causes) or "what lies outside changed"


def _local_time(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")
