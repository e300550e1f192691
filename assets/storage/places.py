"""The folders of a store, and the two operations on which all safety rests: replace a file, hold a lease.

Nothing stored names an absolute path: every path is relative to the store, so that a store can be moved or copied.
"""

import contextlib
import io
import json
import os
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

import fsspec
from filelock import FileLock, Timeout
from pydantic import ValidationError

from headwater.assets.storage.records import RECORD_FORMAT, Record


class StoreError(Exception):
    """The store cannot be read or written as asked; the message says what to do."""


class Store:
    """A folder or object-store prefix that holds the outputs of all assets."""

    def __init__(self, url: str) -> None:
        self.fs, self.root = fsspec.core.url_to_fs(url)
        self.url = url.rstrip("/")

    @property
    def is_local(self) -> bool:
        """Whether files of the store can be memory-mapped and renamed in place."""
        return "file" in ([self.fs.protocol] if isinstance(self.fs.protocol, str) else self.fs.protocol)

    def place(self, asset: str) -> "Place":
        """The place of an asset named ``component/stage``."""
        return Place(self, asset)

    def assets(self) -> list[str]:
        """Names of all assets that have a record, sorted."""
        found = self.fs.glob(f"{self.root}/*/*/record.json")
        return sorted("/".join(PurePosixPath(path).parts[-3:-1]) for path in found)


class Place:
    """One asset's folder in a store."""

    def __init__(self, store: Store, asset: str) -> None:
        self.store, self.asset = store, asset
        self.root = f"{store.root}/{asset}"

    def table(self, name: str) -> str:
        """Where Lance finds the table ``name``."""
        return self._lance_url(f"{self.root}/tables/{name}.lance")

    def folder(self, identity: str) -> str:
        """The folder of the files that one identity gives (shards, checkpoints, plots)."""
        return f"{self.root}/files/{identity}"

    def local_folder(self, identity: str) -> Path:
        """The same as a local path, created.

        Raises:
            StoreError: the store is not a local folder.
        """
        if not self.store.is_local:
            raise StoreError(
                f"{self.asset} writes files in place and {self.store.url} is not a local folder. "
                "Set HEADWATER_STORE to a folder (a mounted one will do)."
            )
        path = Path(self.folder(identity))
        path.mkdir(parents=True, exist_ok=True)
        return path

    def record(self, identity: str | None = None) -> Record | None:
        """The current record, or the one of an earlier identity; ``None`` where there is none.

        Raises:
            StoreError: the file is there but is not a record that this release reads.
        """
        name = "record.json" if identity is None else f"history/{identity}.json"
        try:
            text = self.read_text(f"{self.root}/{name}")
        except (UnicodeDecodeError, IsADirectoryError):
            text = ""  # as good as none
        if text is None:
            return None
        try:
            return _parsed(text)
        except ValidationError as error:
            current = self.record() if identity is not None else None
            if current is not None and current.digest == identity:
                return current  # which the history was to say again
            problem = _foreign(text, error.error_count(), identity is not None)
            raise StoreError(f"{self.asset}/{name} {problem}") from error

    def lost(self, record: Record) -> list[str]:
        """What a record published and someone removed or damaged since: names of files and tables."""
        folder, exists = self.folder(record.digest), self.store.fs.exists
        files = [name for name in record.files if not exists(f"{folder}/{name}")]
        files += self.damage(record.digest)
        return files + [name for name in record.tables if not exists(f"{self.root}/tables/{name}.lance/_versions")]

    def damage(self, identity: str) -> list[str]:
        """What of an output was found damaged and not made anew since; such an output has no claim any more."""
        text = self.read_text(f"{self.root}/damaged/{identity}.json")
        return json.loads(text) if text else []

    def note_damage(self, identity: str, what: list[str]) -> None:
        """Takes an output's claim away: it is not reused, not restored and not built on."""
        self.write_text(f"{self.root}/damaged/{identity}.json", json.dumps(what))

    def forget_damage(self, identity: str) -> None:
        """Called when an output was made anew."""
        path = f"{self.root}/damaged/{identity}.json"
        if self.store.fs.exists(path):
            self.store.fs.rm_file(path)

    def discard(self, identity: str) -> None:
        """Removes the files of an identity, so that they are made anew from the beginning."""
        if self.store.fs.exists(self.folder(identity)):
            self.store.fs.rm(self.folder(identity), recursive=True)

    def publish(self, record: Record) -> None:
        """Commits: the history first, then the one file that readers look at."""
        text = record.model_dump_json(indent=2)
        self.write_text(f"{self.root}/history/{record.digest}.json", text)
        self.write_text(f"{self.root}/record.json", text)

    def read_text(self, path: str) -> str | None:
        """The text of a file of the store, or ``None``."""
        try:
            return self.store.fs.cat_file(path).decode()
        except FileNotFoundError:
            return None

    def write_text(self, path: str, text: str) -> None:
        """Replaces a file as a whole: readers see the old text or the new one."""
        self.write_bytes(path, text.encode())

    def write_bytes(self, path: str, data: bytes) -> None:
        """Replaces a file as a whole."""
        if not self.store.is_local:
            self.store.fs.pipe_file(path, data)
            return
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            file = io.FileIO(temporary, "w")
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            file = io.FileIO(temporary, "w")
        with file:
            file.write(data)
            os.fsync(file.fileno())
        temporary.replace(target)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keeps two writers of this asset apart: the second fails at once and clearly.

        On a local store the operating system frees the lease of a process that died. An object store has no lock that
        does, so there the orchestrator's own run queue keeps writers apart (see docs/explanation/storage.md).

        Raises:
            StoreError: another process is writing this asset.
        """
        if not self.store.is_local:
            yield
            return
        path = Path(self.root)
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / "lease", timeout=0):
                yield
        except Timeout as error:
            raise StoreError(f"{self.asset} is being written by another run. Wait for it, or end it.") from error

    def _lance_url(self, path: str) -> str:
        return path if self.store.is_local else str(self.store.fs.unstrip_protocol(path))


@lru_cache(maxsize=64)
def _parsed(text: str) -> Record:
    """A run reads the records of what lies before it again and again; nobody changes a record that was read."""
    return Record.model_validate_json(text)


def _foreign(text: str, differences: int, past: bool) -> str:
    """What is wrong with a record that cannot be read, and what to do; `past` for one of the history."""
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("identity"), dict):
        mend = "what it told is lost, and made anew when it is asked for" if past else "its history has its output"
        return f"is damaged (it ends too early, or is no record). Remove it: {mend}."
    if isinstance(said.get("format"), int) and said["format"] < RECORD_FORMAT:
        return "was written by an older release of Headwater. Run: headwater migrate"
    return (
        f"was not written by this release of Headwater ({differences} fields differ). Move the store aside, or use the "
        "release that wrote it."
    )
