"""`headwater materialize`: a Dagster run in this process, with its history kept, and a line per asset as it is done."""

import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from rich.console import Console
from rich.markup import escape

from headwater.assets import dagster_assets
from headwater.assets.automation.runs import end_dead_runs, sign_of_life
from headwater.assets.command_line.errors import CommandError
from headwater.assets.command_line.headline import headline
from headwater.assets.command_line.loading import Loaded, load_workspace, with_upstream
from headwater.assets.redaction import redacted
from headwater.assets.stages import Stage

if TYPE_CHECKING:
    from headwater.assets.running import RunResult

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize_selection(selections: Sequence[str], upstream: bool = True, force: bool = False) -> list[str]:
    """Materializes pipelines, components and assets in one run; returns the names of their pipelines.

    With ``force``, the selected assets (not what they are made from) follow changed inputs where a hold would wait.

    Raises:
        CommandError: a blocking check stopped the run, or a whole pipeline is to be forced.
    """
    loaded = load_workspace()
    chosen = loaded.select_all(selections)
    if force:
        for selection in selections:
            _refuse_to_force_all(selection, loaded.select(selection))
    stages = with_upstream(loaded.stages, chosen) if upstream else list(chosen)
    console = Console(stderr=True, highlight=False)
    where = redacted(loaded.store.url)
    console.print(f"[bold]{' '.join(selections)}[/]: {len(stages)} assets, store {where}", soft_wrap=True)
    started = time.perf_counter()
    dagster_assets.announce = lambda result: console.print(_line(result), soft_wrap=True)
    try:
        with _forced(chosen if force else []):
            _run(loaded, stages)
    finally:
        dagster_assets.announce = None
    console.print(f"Done in {time.perf_counter() - started:.1f} s.")
    return list(dict.fromkeys(stage.pipeline for stage in chosen))


def tell_dagster(loaded: Loaded, asset: str) -> None:
    """Lets Dagster see an output that was not made by a run, so that its page and what follows it keep up.

    Raises:
        CommandError: the run failed, for example because another one is writing the asset.
    """
    dagster_assets.announce = lambda result: None
    try:
        _run(loaded, [stage for stage in loaded.stages if stage.asset == asset])
    finally:
        dagster_assets.announce = None


def _refuse_to_force_all(selection: str, chosen: Sequence[Stage]) -> None:
    """A pipeline as a whole is not forced: a tokenizer made anew would cost all that follows from it."""
    if len({stage.name for stage in chosen}) > 1:
        waiting = [stage.asset for stage in chosen if stage.hold]
        raise CommandError(
            f"--force needs an asset or a component, '{selection}' is a pipeline. "
            + (f"Of it can wait: {', '.join(waiting)}." if waiting else "Nothing in it waits.")
        )


@contextmanager
def _forced(stages: Sequence[Stage]) -> Iterator[None]:
    from headwater.assets.running import FORCE  # loads Lance, which showing records does not need

    before = os.environ.get(FORCE)
    if stages:
        os.environ[FORCE] = ",".join([*([before] if before else []), *(stage.asset for stage in stages)])
    try:
        yield
    finally:
        os.environ.pop(FORCE, None)
        if before is not None:
            os.environ[FORCE] = before


def _run(loaded: Loaded, stages: Sequence[Stage]) -> None:
    keys = [dg.AssetKey(stage.asset.split("/")) for stage in stages]
    job = loaded.definitions.resolve_implicit_global_asset_job_def()
    run_id = str(uuid.uuid4())
    with dg.DagsterInstance.get() as instance:
        for dead in end_dead_runs(instance):
            Console(stderr=True).print(f"Run {dead[:8]} is marked as failed: its process is gone.", style="dim")
        with sign_of_life(instance, run_id):
            result = job.execute_in_process(
                instance=instance, asset_selection=keys, run_config=_QUIET, raise_on_error=False, run_id=run_id
            )
        if result.success:
            return
        for event in result.all_events:
            if event.is_step_failure:
                raise CommandError(_failure(loaded, event))
    raise CommandError("The run failed; the UI has its log (headwater ui).")


def _failure(loaded: Loaded, event: dg.DagsterEvent) -> str:
    """What went wrong in a step: what it raised itself, without Dagster's wrapping, or the check that blocks."""
    asset = (event.step_key or "").replace("__", "/", 1)
    error = event.step_failure_data.error
    while error is not None and (error.cls_name or "").startswith("Dagster") and error.cause is not None:
        error = error.cause
    if error is None or (error.cls_name or "").startswith("Dagster"):
        record = loaded.store.place(asset).record()
        for check in record.checks if record else []:
            if check.blocking and not check.passed:
                return f"{asset}: the check {check.name} blocks what follows: {check.description}"
    return f"{asset} failed: {_bare(error.message) if error else 'the UI has its log (headwater ui)'}"


def _bare(message: str) -> str:
    """An error's message without the name of its class, which Dagster puts before it."""
    name, _, rest = message.strip().partition(": ")
    return rest if rest and name.replace(".", "").replace("_", "").isalnum() else message.strip()


def _line(result: "RunResult") -> str:
    record, reused = result.record, result.reused
    mark = "[dim]=[/]" if reused else "[green]✓[/]"
    failed = [check for check in record.checks if not check.passed]
    warnings = "".join(
        f"\n    [{'red' if c.blocking else 'yellow'}]{'✗' if c.blocking else '!'} {c.name}: {c.description}[/]"
        for c in failed
    )
    took = "[dim]reused[/]" if reused else f"{record.execution.seconds:.1f} s"
    held = f"\n    [dim]{escape(result.held)}[/]" if result.held else ""
    return f"{mark} {record.asset:<36} {headline(record):<58} {took}{held}{warnings}"
