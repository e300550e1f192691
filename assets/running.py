"""Running one stage: decide whether it is needed, compute it, publish it by one record.

Nothing here knows Dagster; the asset layer, the command line and the tests all call :func:`run_stage`.
"""

import gc
import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import headwater
from headwater.assets.compute.executor import executor_for
from headwater.assets.compute.failures import is_full_disk
from headwater.assets.compute.memory import give_back_memory
from headwater.assets.context import Rebuild, StageContext, StageError
from headwater.assets.lineage.openlineage import observed, settle_dead_run, told_if_refused
from headwater.assets.redaction import redact_error, redacted
from headwater.assets.schemas import LOOKED_UP
from headwater.assets.stages import Outcome, Stage, import_object
from headwater.assets.storage.attempts import clear_attempts
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.indexes import index_keys
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Execution, Identity, InputRecord, Record, TableRecord, pinned
from headwater.assets.storage.tables import version_exists
from headwater.assets.storage.verification import damaged_table, missing_files, says_damaged
from headwater.assets.workspace import Workspace

__all__ = ["RunResult", "StageContext", "StageError", "earlier_output", "run_stage", "wanted_identity"]

FORCE = "HEADWATER_FORCE"  # assets, separated by commas, that follow their inputs although a hold would wait


class RunResult(NamedTuple):
    """The record of a stage, whether it was there already, and why it stayed although its inputs changed."""

    record: Record
    reused: bool
    held: str | None = None


def wanted_identity(
    stage: Stage, store: Store, workspace: Workspace, coming: Mapping[str, Record] | None = None
) -> Identity:
    """What determines the stage's content now, or would with the records that are ``coming`` for some assets.

    Raises:
        StageError: an input was never materialized.
    """
    return _look(stage, store, workspace, coming)[0]


def _look(
    stage: Stage, store: Store, workspace: Workspace, coming: Mapping[str, Record] | None = None
) -> tuple[Identity, Any]:
    """The identity, and what was found outside the graph, which it says by a hash."""
    inputs, records = {}, {}
    for role, asset in stage.inputs.items():
        record = (coming or {}).get(asset) or store.place(asset).record()
        if record is None and role in stage.optional:
            continue
        if record is None:
            raise StageError(f"{stage.asset} needs {asset}, which was never materialized. Materialize it first.")
        versions = {name: table.version for name, table in record.tables.items()}
        inputs[role] = InputRecord(content=record.content_version, identity=record.digest, tables=versions)
        records[role] = record
    outside = stage.look_outside(workspace)
    if outside is not None:
        inputs["outside"] = InputRecord(content=outside.digest, identity=outside.digest)
    options = stage.identity_options | {"_inputs": dict(stage.inputs)}
    further = import_object(stage.modules_of_inputs)(store, records) if stage.modules_of_inputs else ()
    identity = Identity(asset=stage.asset, inputs=inputs, options=options, code=stage.code_record(further))
    return identity, outside and outside.found


def run_stage(
    stage: Stage,
    store: Store,
    workspace: Workspace,
    log: Callable[[str], None] | None = None,
    run: str | None = None,
) -> RunResult:
    """Materializes a stage, or finds that its output is there already.

    Raises:
        StageError: an input is missing.
        StoreError: another run writes this asset.
    """
    _spare_what_is_loaded()
    log = None if log is None else _discreet(log)
    place = store.place(stage.asset)
    with place.lease():
        settle_dead_run(stage, store, workspace)
        with told_if_refused(stage, store, workspace, run), _told_clearly(stage, store):
            wanted, found = _look(stage, store, workspace)
        current = place.record()
        if current is not None and place.lost(current):
            if current.serves(wanted):
                place.discard(current.digest)
            current = None
        adrift = current is not None and not pins_hold(store, stage, current, wanted)
        if adrift:
            current = None
        if current is not None:
            if current.serves(wanted):
                return RunResult(current, reused=True)
            if held := reason_to_hold(stage, store, current, wanted):
                return RunResult(current, reused=True, held=held)
        base = base_of(stage, place, current, wanted)
        grown = wanted.model_copy(update={"base": base.content_version}) if base and stage.grows else wanted
        restores = stage.restores and not adrift
        earlier = (earlier_output(place, grown) or earlier_output(place, wanted)) if restores else None
        if not stage.restores and current is not None:
            grown = wanted.model_copy(update={"base": current.digest})  # one more link: no two events have one identity
        if earlier is not None:
            with observed(stage, store, workspace, earlier.identity, run, restores=True) as finish:
                place.publish(earlier)  # back at an earlier declaration: its output is still there
                finish(earlier)
            return RunResult(earlier, reused=True)
        with observed(stage, store, workspace, grown, run) as finish, _told_clearly(stage, store):
            compute = partial(_compute, stage, store, workspace, found, log, run)
            record = _refresh_or_compute(stage, store, grown, base, compute, log)
            place.publish(record)
            place.forget_damage(record.digest)
            finish(record)
        clear_attempts(place)
        give_back_memory()
        return RunResult(record, reused=False)


def _discreet(log: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: log(redacted(line))


@contextmanager
def _told_clearly(stage: Stage, store: Store) -> Iterator[None]:
    """A full disk is one clear error, and no error tells a secret."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise StageError(
                f"{stage.asset}: the disk is full (the store at {redacted(store.url)}, or where temporary files lie). "
                "What was published is as it was. Free some space (`headwater gc` shows what can go) and run again: "
                "finished parts are taken over."
            ) from redact_error(error)
        if (told := redact_error(error)) is not error:
            raise StageError(f"{stage.asset}: {told}") from None
        raise


@cache
def _spare_what_is_loaded() -> None:
    """Exempts from garbage collection what the libraries made when they were loaded.

    They stay as long as the process, and each full collection would walk all of it: a tenth of a second, more than a
    small stage takes. This is done once and before the first stage, so that no stage's tables are kept by it.
    """
    gc.freeze()


def pins_hold(store: Store, stage: Stage, current: Record, wanted: Identity) -> bool:
    """Whether the table versions that an output is joined to by position are still there.

    They can only be gone where an input was discarded and made anew; where its versions are those of today, nothing
    is looked at.
    """
    for role, asset in stage.inputs.items():
        then, now = current.identity.inputs.get(role), wanted.inputs.get(role)
        if then is None or now is None or then.content != now.content:
            continue
        place = store.place(asset)
        moved = {name: version for name, version in then.tables.items() if now.tables.get(name) != version}
        if not all(version_exists(place.table(name), version) for name, version in moved.items()):
            return False
    return True


def is_forced(stage: Stage) -> bool:
    """Whether the run was told to follow changed inputs even where a hold would wait (HEADWATER_FORCE)."""
    return stage.asset in os.environ.get(FORCE, "").split(",")


def reason_to_hold(stage: Stage, store: Store, current: Record, wanted: Identity) -> str | None:
    """Why the output stays although its inputs changed; a changed option or code is never held back."""
    if stage.hold is None or is_forced(stage) or not current.same_recipe(wanted):
        return None
    return import_object(stage.hold)(stage, store, current, wanted)


def base_of(stage: Stage, place: Place, current: Record | None, wanted: Identity) -> Record | None:
    """The output that a run may build on: of the same options and code, changed only where the stage can follow."""
    if current is None or not stage.refreshes or not current.same_recipe(wanted, stage.limits):
        return None
    own = current.identity.inputs
    same = all(role in own and own[role].content == item.content for role, item in _fixed(stage, wanted).items())
    return current if same and _whole(place, current) else None


def _fixed(stage: Stage, wanted: Identity) -> dict[str, InputRecord]:
    return {role: item for role, item in wanted.inputs.items() if role not in stage.refreshes}


def earlier_output(place: Place, wanted: Identity) -> Record | None:
    """The record of a past run of the same identity, if all its files and table versions still exist."""
    record = place.record(wanted.digest())
    return record if record is not None and _whole(place, record) else None


def _whole(place: Place, record: Record) -> bool:
    if place.lost(record):
        return False
    return all(version_exists(place.table(name), table.version) for name, table in record.tables.items())


def _refresh_or_compute(
    stage: Stage,
    store: Store,
    wanted: Identity,
    base: Record | None,
    compute: Callable[[Identity, Record | None], Record],
    log: Callable[[str], None] | None,
) -> Record:
    """Builds on the base where there is one, and in full where that proves impossible."""
    if base is not None:
        _refuse_incomplete(store.place(stage.asset), base)
        try:
            return compute(wanted, base)
        except Exception as error:
            table = damaged_table(error)  # of a past version of an input, or the full run meets it as well
            if table is None and not isinstance(error, Rebuild):
                raise
            if log is not None:
                log(f"{stage.asset}: computed in full, because {says_damaged(*table) if table else error}")
    try:
        return compute(wanted.plain() if base else wanted, None)
    except Exception as error:
        if table := damaged_table(error):
            raise StageError(says_damaged(*table)) from error
        raise


def _refuse_incomplete(place: Place, base: Record) -> None:
    """A refresh would carry the gap into every later version; a listing of the folder tells."""
    for name, table in base.tables.items():
        if missing_files(place, name, table.version):
            raise StageError(says_damaged(place.asset, name))


def _compute(
    stage: Stage,
    store: Store,
    workspace: Workspace,
    found: Any,
    log: Callable[[str], None] | None,
    run: str | None,
    wanted: Identity,
    base: Record | None,
) -> Record:
    consumed = {role: asset for role, asset in stage.inputs.items() if role in wanted.inputs}
    inputs = {role: _consumed(store, asset, wanted.inputs[role]) for role, asset in consumed.items()}
    executor = executor_for(stage.compute)
    context = StageContext(stage, store, workspace, wanted.digest(), inputs, executor, log, base, found)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    outcome = stage.load()(context)
    plots = _store_plots(context, outcome.plots)
    return Record(
        asset=stage.asset,
        kind=stage.kind,
        pipeline=stage.pipeline,
        identity=wanted,
        content_version=outcome.content or content_version(outcome),
        tables=_indexed(context.place, outcome.tables),
        files=outcome.files,
        metrics=outcome.metrics,
        counts=outcome.counts,
        checks=outcome.checks,
        markdown=outcome.markdown,
        plots=plots,
        execution=_execution(context, started, time.perf_counter() - clock, run),
    )


def _indexed(place: Place, tables: Mapping[str, TableRecord]) -> dict[str, TableRecord]:
    """The tables in versions whose keys are indexed where they are large: the same rows, found in milliseconds."""
    found = dict(tables)
    for name, columns in LOOKED_UP.items():
        if name in tables:
            version = index_keys(place.table(name), tables[name].version, columns)
            found[name] = tables[name].model_copy(update={"version": version})
    return found


def content_version(outcome: Outcome) -> str:
    """The content of everything an outcome publishes."""
    return digest_of([{name: table.content for name, table in outcome.tables.items()}, outcome.files])


def _consumed(store: Store, asset: str, wanted: InputRecord) -> Record:
    record = store.place(asset).record(wanted.identity)
    if record is None:
        raise StageError(f"The history of {asset} lacks its current record; materialize it again.")
    return pinned(record, wanted.tables)


def _store_plots(context: StageContext, plots: Mapping[str, str]) -> dict[str, str]:
    stored = {}
    for title, svg in plots.items():
        name = f"plots/{title.lower().replace(' ', '_')}.svg"
        context.place.write_text(f"{context.place.folder(context.identity)}/{name}", svg)
        stored[title] = name
    return stored


def _execution(context: StageContext, started: str, seconds: float, run: str | None) -> Execution:
    executor, root = context.executor, context.workspace.root
    commit, dirty = _git_state(root)
    return Execution(
        started=started,
        seconds=round(seconds, 3),
        engine=executor.name,
        workers=executor.workers,
        headwater=headwater.__version__,
        python=sys.version.split()[0],
        processor=_processor(),
        threads=os.cpu_count() or 1,
        git_commit=commit,
        git_dirty=dirty,
        lock=_lock_hash(root),
        run=run,
        steps=tuple(context.steps),
    )


@cache
def _git_state(root: Path) -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain") if commit else None
    return commit, None if status is None else bool(status)


@cache
def _lock_hash(root: Path) -> str | None:
    file = root / "constraints.txt"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
