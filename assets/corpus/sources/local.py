"""Local files as fsspec's patterns match them, told apart more carefully than fsspec does.

fsspec passes over a folder that it may not list, and a corpus would then lose the folder's documents without a word.
It also takes every symbolic link for a file, and asks twenty things about each entry of every folder. Here a folder
that could hold matches must be listed and no other is, a link is what it leads to, and one that leads nowhere is a
file with a fault.
"""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

_FAULTS = {
    errno.ENOENT: "a symbolic link whose target does not exist",
    errno.ENOTDIR: "a symbolic link whose target does not exist",
    errno.ELOOP: "a symbolic link that leads round in a circle",
}
# Every ext file system has this folder at its root; only root may list it, and it holds nobody's documents.
_SYSTEM_FOLDER = "lost+found"


class UnlistableFolder(Exception):
    """A folder that may hold files of the pattern and cannot be listed; the arguments are its path and the reason."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


class LocalFolders(LocalFileSystem):  # type: ignore[misc]
    """The local file system for one pattern: listing a folder below it succeeds or raises UnlistableFolder."""

    cachable = False  # an instance belongs to its pattern

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self.pattern = pattern

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **kwargs: Any
    ) -> Any:
        """The files at most `maxdepth` folders below, of those that could match, with what `regular` asks about them.

        No folders, whatever `withdirs` says. Files and folders that vanish meanwhile are left out.
        """
        found, folders = {}, [(path.rstrip("/"), 1)]
        while folders:
            folder, depth = folders.pop()
            for entry, info in self._entries(folder):
                name = f"{folder}/{entry}"
                if info is not None:
                    found[name] = info
                elif (maxdepth is None or depth < maxdepth) and may_hold(self.pattern, name):
                    folders.append((name, depth + 1))
        return dict(sorted(found.items())) if detail else sorted(found)

    def _entries(self, folder: str) -> list[tuple[str, dict[str, Any] | None]]:
        """Names in a folder: files and links with what is asked about them, folders with None."""
        try:
            with os.scandir(folder or "/") as entries:
                return [(entry.name, _asked(entry)) for entry in entries if not _vanished(entry)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            names = folder.split("/")
            if names[-1] == _SYSTEM_FOLDER and _SYSTEM_FOLDER not in self.pattern.split("/"):
                return []
            raise UnlistableFolder(folder, error.strerror or str(error)) from error


def _vanished(entry: "os.DirEntry[str]") -> bool:
    try:
        entry.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def _asked(entry: "os.DirEntry[str]") -> dict[str, Any] | None:
    """Of a file or link: its size (0 of a link), time and kind as fsspec names them; None of a folder."""
    seen = entry.stat(follow_symlinks=False)
    if stat.S_ISDIR(seen.st_mode):
        return None
    link = stat.S_ISLNK(seen.st_mode)
    kind, size = "file" if stat.S_ISREG(seen.st_mode) else "other", 0 if link else seen.st_size
    return {"type": kind, "islink": link, "size": size, "mtime": seen.st_mtime}


def may_hold(pattern: str, folder: str) -> bool:
    """Whether a file matching the pattern can lie in the folder or below it; both are absolute paths."""
    parts, names = pattern.split("/"), folder.rstrip("/").split("/")
    for part, name in zip(parts, names, strict=False):
        if part == "**":
            return True
        if part != name and not re.match(glob_translate(part), name):
            return False
    return len(names) < len(parts)


def literal(path: str, filesystem: LocalFileSystem) -> dict[str, dict[str, Any]]:
    """The file of this very name with what is known of it; nothing where there is none."""
    if Path(path).is_symlink():
        return {path: {"islink": True, "size": 0, "mtime": Path(path).lstat().st_mtime}}
    try:
        return {path: filesystem.info(path)}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def regular(path: str, info: dict[str, Any]) -> dict[str, Any] | None:
    """What is known of a file, following links; None for folders, links to folders, pipes and devices.

    A link that leads nowhere has `fault`, which says so. One whose target may not be looked at stays as it is:
    opening it says what to mend.
    """
    if not info["islink"]:
        return info if info["type"] == "file" else None
    try:
        target = Path(path).stat()
    except PermissionError:
        return info
    except OSError as error:
        if error.errno not in _FAULTS:
            raise
        return info | {"fault": _FAULTS[error.errno]} if Path(path).is_symlink() else None
    is_file = stat.S_ISREG(target.st_mode)
    return info | {"size": target.st_size, "mtime": target.st_mtime} if is_file else None
