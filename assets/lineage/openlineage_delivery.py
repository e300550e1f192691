"""Where OpenLineage events go: a file in the store, or whatever the standard configuration of OpenLineage says.

A file is written at once. Everything that crosses a network is sent by a thread of its own, in order, and given up for
the rest of the process at the first failure: a catalogue that is down costs a run nothing but one warning.
"""

import atexit
import json
import os
import queue
import threading
from enum import Enum
from pathlib import Path
from typing import Any

import attr
import attr.exceptions
import yaml
from filelock import FileLock
from openlineage.client.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.noop import NoopConfig, NoopTransport
from openlineage.client.transport.transport import Transport

from headwater.assets.lineage.openlineage import FOLDER, warn_once
from headwater.assets.storage.places import Store
from headwater.assets.workspace import Workspace

EVENTS = "events.ndjson"
LOCK_SECONDS = 10.0  # how long an event waits for another run to write its own
EXIT_SECONDS = 3.0  # how long the end of a process waits for events on their way
WAITING = 1000  # events that wait at most; more are dropped
_AT_ONCE = ("file", "console", "noop")

_deliveries: dict[tuple[Any, ...], "Delivery"] = {}
_lock = threading.Lock()


class EventFile(FileTransport):
    """Appends one line per event under a lock, so that neither two runs at once nor a kill can mix lines."""

    kind = "file"

    def emit(self, event: Any) -> None:
        """Appends an event; a line that a killed process left unfinished is ended first."""
        path = Path(self.config.log_file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        line = as_json(event).encode() + b"\n"
        with FileLock(path.with_suffix(".lock"), timeout=LOCK_SECONDS), path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)


def as_json(event: Any) -> str:
    """An event as the client's own transports write it, in one pass instead of three where it holds what ours hold."""
    try:
        return json.dumps(event, sort_keys=True, default=_said)
    except attr.exceptions.NotAnAttrsClassError:  # such as a date among the tags that somebody configured
        return Serde.to_json(event)


def _said(part: Any) -> Any:
    if isinstance(part, Enum):
        return part.value
    return {field.name: value for field in attr.fields(type(part)) if (value := getattr(part, field.name)) is not None}


class Delivery:
    """Sends events through a client, at once or from a thread."""

    def __init__(self, client: OpenLineageClient) -> None:
        self._client = client
        self._given_up = False
        self._waiting: queue.Queue[RunEvent | None] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        if not _is_immediate(client.transport):
            self._thread = threading.Thread(target=self._work, name="openlineage", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def send(self, event: RunEvent) -> None:
        """Hands an event over; never raises and, for a network, never waits."""
        if self._thread is None:
            self._emit(event)
            return
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            warn_once("OpenLineage events arrive faster than they can be delivered; some are dropped.")

    def close(self, seconds: float = EXIT_SECONDS) -> None:
        """Waits until what was handed over is delivered, ``seconds`` at most."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join(seconds)

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            self._emit(event)

    def _emit(self, event: RunEvent) -> None:
        if self._given_up:
            return
        try:
            self._client.emit(event)
        except Exception as error:
            self._given_up = True
            # Neither address nor message: both may hold a password.
            warn_once(
                f"OpenLineage events are not delivered: {type(error).__name__} of the transport "
                f"'{self._client.transport.kind}'. The run goes on; further events of this process are dropped."
            )


def delivery_for(store: Store, workspace: Workspace) -> Delivery:
    """The delivery that the present configuration asks for; one for each configuration in a process."""
    settings = tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith("OPENLINEAGE_")))
    key = (store.url, str(workspace.root), str(Path.cwd()), settings)
    with _lock:
        if key not in _deliveries:
            _deliveries[key] = Delivery(_client(store, workspace))
        return _deliveries[key]


def _client(store: Store, workspace: Workspace) -> OpenLineageClient:
    """A client for what is configured, and for a file in the store where nothing is."""
    file = workspace.root / "openlineage.yml"
    own = None
    if "OPENLINEAGE_CONFIG" not in os.environ and file.is_file():  # as if the workspace were the current folder
        own = yaml.safe_load(file.read_text()) or {}
    config = OpenLineageClient(transport=NoopTransport(NoopConfig()), config=own).config
    if (config.transport or {}).get("type") or os.environ.get("OPENLINEAGE_URL"):
        return OpenLineageClient(config=own)
    return OpenLineageClient(transport=_file_of(store), config=own)


def _file_of(store: Store) -> Transport:
    if store.is_local:
        return EventFile(FileConfig(log_file_path=f"{store.root}/{FOLDER}/{EVENTS}", append=True))
    # Object stores cannot append: a file for each event.
    return FileTransport(FileConfig(log_file_path=f"{store.url}/{FOLDER}/events/event"))


def _is_immediate(transport: Transport) -> bool:
    """Whether sending costs no more than writing to a local file."""
    path = getattr(getattr(transport, "config", None), "log_file_path", "")
    return transport.kind in _AT_ONCE and ("://" not in path or path.startswith("file://"))
