"""OpenLineage: every stage run is told in the open standard, for catalogues that know nothing of Headwater.

A run that computes or restores an output gives START and then one of COMPLETE, FAIL and ABORT. A reused output gives
nothing: no data moved, and a schedule that finds nothing to do would otherwise fill a catalogue with empty runs.

A killed process says nothing more. So a run leaves a note in the store while it lasts, and the next run of the same
asset, which holds the lease and so knows the other is dead, ends it: COMPLETE if its output was published, ABORT
otherwise. Delivery is at least once; a catalogue knows an event again by its run id and type.

Telling never decides over a run: whatever goes wrong here is one warning.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from headwater.assets.stages import Stage
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Identity, Record
from headwater.assets.workspace import Workspace

if TYPE_CHECKING:  # the client takes a quarter of a second to load: it is, when the first event is told
    from headwater.assets.lineage.openlineage_delivery import Delivery

FOLDER = "openlineage"  # within the store

_logger = logging.getLogger(__name__)
_warned: set[str] = set()

Finish = Callable[[Record], None]


class StageRun(NamedTuple):
    """What all events of one run are about."""

    stage: Stage
    store: Store
    workspace: Workspace
    wanted: Identity | None  # None: the run failed before it was known
    run_id: str
    started: str  # ISO 8601, whole seconds like Execution.started
    parent: str | None  # Dagster's run id
    restores: bool  # an earlier output comes back, nothing is computed


def is_disabled() -> bool:
    """Whether OPENLINEAGE_DISABLED switches events off, as in every OpenLineage integration."""
    return os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true"


@contextmanager
def observed(
    stage: Stage,
    store: Store,
    workspace: Workspace,
    wanted: Identity,
    parent: str | None = None,
    restores: bool = False,
) -> Iterator[Finish]:
    """Tells of a stage run: START on entry, COMPLETE when the given function gets the published record.

    An exception that leaves the block is told as FAIL, an interruption (Ctrl-C, SystemExit) as ABORT. The caller holds
    the asset's lease.

    Args:
        wanted: the identity that the run will publish.
        parent: the Dagster run that this one is a step of.
        restores: an earlier output is published again; nothing is computed.
    """
    run = None if is_disabled() else _guarded(_begin, stage, store, workspace, wanted, parent, restores)
    if run is None:
        yield lambda record: None
        return
    try:
        yield lambda record: _guarded(_complete, run, record)
    except BaseException as error:
        _guarded(_fail, run, error)
        raise


@contextmanager
def told_if_refused(stage: Stage, store: Store, workspace: Workspace, parent: str | None = None) -> Iterator[None]:
    """Tells a failure that comes before a run can begin, such as a source that is not there, as START and FAIL."""
    try:
        yield
    except Exception as error:
        if not is_disabled():
            _guarded(_refused, stage, store, workspace, parent, error)
        raise


def settle_dead_run(stage: Stage, store: Store, workspace: Workspace) -> None:
    """Tells the end of a run whose process died before it could; the caller holds the asset's lease."""
    if not is_disabled():
        _guarded(_end_dead_run, stage, store, workspace)


def warn_once(message: str) -> None:
    """Logs a warning the first time it is given in this process."""
    if message not in _warned:
        _warned.add(message)
        _logger.warning(message)


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        # The type alone: what a client says may hold an address with its password.
        warn_once(f"OpenLineage events could not be written ({type(error).__name__}). The run goes on without them.")
        return None


def _refused(stage: Stage, store: Store, workspace: Workspace, parent: str | None, error: Exception) -> None:
    run = StageRun(stage, store, workspace, None, _new_id(), _now(), parent, False)
    _send(run, "START")
    _send(run, "FAIL", error=error)


def _begin(
    stage: Stage, store: Store, workspace: Workspace, wanted: Identity, parent: str | None, restores: bool
) -> StageRun:
    run = StageRun(stage, store, workspace, wanted, _new_id(), _now(), parent, restores)
    note = {"run": run.run_id, "started": run.started, "parent": parent, "restores": restores}
    if store.is_local:
        text = json.dumps(note | {"identity": wanted.model_dump()})
        store.place(stage.asset).write_text(_note_path(stage, store), text)
    _send(run, "START")
    return run


def _new_id() -> str:
    from openlineage.client.uuid import generate_new_uuid

    return str(generate_new_uuid())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _complete(run: StageRun, record: Record) -> None:
    _send(run, "COMPLETE", record=record)
    _forget(run.stage, run.store)


def _fail(run: StageRun, error: BaseException) -> None:
    _send(run, "FAIL" if isinstance(error, Exception) else "ABORT", error=error)
    _forget(run.stage, run.store)


def _end_dead_run(stage: Stage, store: Store, workspace: Workspace) -> None:
    # An object store has no lease to prove that the other process is dead.
    text = store.place(stage.asset).read_text(_note_path(stage, store)) if store.is_local else None
    if text is None:
        return
    note = json.loads(text)
    identity = Identity.model_validate(note["identity"])
    dead = StageRun(stage, store, workspace, identity, note["run"], note["started"], note["parent"], note["restores"])
    record = _published_by(dead)
    _send(dead, "COMPLETE" if record else "ABORT", record=record)
    _forget(stage, store)


def _published_by(run: StageRun) -> Record | None:
    """The current record, if it is what a run was to publish and is not older than the run."""
    record = run.store.place(run.stage.asset).record()
    if record is None or run.wanted is None or record.identity.plain().digest() != run.wanted.plain().digest():
        return None
    return record if run.restores or record.execution.started >= run.started else None


def _note_path(stage: Stage, store: Store) -> str:
    return f"{store.root}/{FOLDER}/running/{stage.asset.replace('/', '.')}.json"


def _forget(stage: Stage, store: Store) -> None:
    path = _note_path(stage, store)
    if store.is_local and store.fs.exists(path):
        store.fs.rm_file(path)


def _send(run: StageRun, state: str, record: Record | None = None, error: BaseException | None = None) -> None:
    from headwater.assets.lineage.openlineage_events import run_event

    _delivery(run).send(run_event(run, state, record, error))


def _delivery(run: StageRun) -> "Delivery":
    from headwater.assets.lineage.openlineage_delivery import delivery_for

    return delivery_for(run.store, run.workspace)
