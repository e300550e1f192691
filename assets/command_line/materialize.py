"""`headwater materialize`: a Dagster run in this process, with its history kept, and a line per asset as it is done."""

import time
from collections.abc import Sequence

import dagster as dg
from rich.console import Console

from headwater.assets import dagster_assets
from headwater.assets.command_line.errors import CommandError
from headwater.assets.command_line.loading import Loaded, load_workspace, with_upstream
from headwater.assets.stages import Stage
from headwater.assets.storage.records import Record

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def materialize_selection(selection: str, upstream: bool = True) -> str:
    """Materializes a pipeline or an asset; returns the pipeline's name.

    Raises:
        CommandError: a blocking check stopped the run.
    """
    loaded = load_workspace()
    chosen = loaded.select(selection)
    stages = with_upstream(loaded.stages, chosen) if upstream else list(chosen)
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold]{selection}[/]: {len(stages)} assets, store {loaded.store.url}", soft_wrap=True)
    started = time.perf_counter()
    dagster_assets.announce = lambda record, reused: console.print(_line(record, reused), soft_wrap=True)
    try:
        _run(loaded, stages)
    finally:
        dagster_assets.announce = None
    console.print(f"Done in {time.perf_counter() - started:.1f} s.")
    return chosen[0].pipeline


def _run(loaded: Loaded, stages: Sequence[Stage]) -> None:
    keys = [dg.AssetKey(stage.asset.split("/")) for stage in stages]
    job = loaded.definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=keys, run_config=_QUIET, raise_on_error=False
        )
        if result.success:
            return
        _raise_blocked(loaded, stages)
        failed = [event for event in result.all_events if event.is_step_failure]
        for event in failed:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                raise CommandError(f"{(event.step_key or '').replace('__', '/', 1)} failed: {_bare(error.message)}")
    raise CommandError("The run failed; the UI has its log (headwater ui).")


def _bare(message: str) -> str:
    """An error's message without the name of its class, which Dagster puts before it."""
    name, _, rest = message.strip().partition(": ")
    return rest if rest and name.replace(".", "").replace("_", "").isalnum() else message.strip()


def _raise_blocked(loaded: Loaded, stages: Sequence[Stage]) -> None:
    for stage in stages:
        record = loaded.store.place(stage.asset).record()
        for check in record.checks if record else []:
            if check.blocking and not check.passed:
                raise CommandError(
                    f"{stage.asset}: the check {check.name} blocks what is downstream: {check.description}"
                )


def _line(record: Record, reused: bool) -> str:
    mark = "[dim]=[/]" if reused else "[green]✓[/]"
    failed = [check for check in record.checks if not check.passed]
    warnings = "".join(f"\n    [{'red' if c.blocking else 'yellow'}]! {c.name}: {c.description}[/]" for c in failed)
    took = "[dim]reused[/]" if reused else f"{record.execution.seconds:.1f} s"
    return f"{mark} {record.asset:<36} {headline(record):<58} {took}{warnings}"


def headline(record: Record) -> str:
    """What came out of an asset, in a few words."""
    metrics = record.metrics
    kind = record.asset.split("/")[1]
    if kind == "raw":
        return f"{metrics['documents']:,} documents, {metrics['megabytes']:,.1f} MB"
    if kind == "signals":
        return f"{metrics['signals']} signals, {metrics['changed_texts']:,} texts repaired"
    if kind in ("curated", "deduplicated"):
        return f"{metrics['kept']:,} kept, {metrics['dropped']:,} dropped"
    if kind == "tokenizer":
        return f"{metrics['vocabulary_size']:,} entries"
    if kind == "tokens":
        return f"{metrics['tokens']:,} tokens, {metrics['bytes_per_token']:.2f} bytes each"
    if kind == "shards":
        return f"{metrics['shards']} shards, {metrics['samples']:,} samples"
    if kind == "checkpoint":
        return f"{metrics['parameters']:,} parameters, loss {metrics['final_loss']:.3f}"
    if "bits_per_byte" in metrics:
        return f"{metrics['bits_per_byte']:.3f} bits per byte"
    return ""
