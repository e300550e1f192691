"""Finding the files of a pattern, anywhere fsspec reaches, in an order that no file system decides."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from headwater.assets.corpus.options import FileSource, WarcFiles
from headwater.assets.corpus.sources.local import LocalFolders, UnlistableFolder, literal, regular
from headwater.assets.corpus.sources.records import SourceError, SourceFile, spelled_out

_MAGIC = re.compile(r"[*?\[]")
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL = ("file://", "local://")
# What stores call the version of a file, best first.
_STAMPS = ("ETag", "etag", "content_hash", "mtime", "LastModified", "last_modified", "updated", "created")


def list_files(source: FileSource | WarcFiles, workspace: Path) -> list[SourceFile]:
    """The files that the source's path names, sorted by uri.

    Raises SourceError, with the path as written and where it was looked for, when nothing matches, the path is a
    folder, a local folder below it may not be listed, or the store cannot be reached.
    """
    located = locate(source.path, workspace)
    try:
        filesystem, pattern = _store_of(located)
        filesystem.invalidate_cache()  # a long-lived process must see what has arrived since it last looked
        found = _matches(filesystem, pattern)
        endings = tuple(getattr(source, "extensions", ()))
        found = {path: info for path, info in found.items() if not endings or path.endswith(endings)}
        is_folder = not found and filesystem.isdir(pattern)
    except UnlistableFolder as error:
        raise SourceError(
            f"{source.name}: path {source.path!r}: the folder {spelled_out(error.path)} cannot be listed "
            f"({error.reason}), so its files would seem to be gone; allow this user to read and enter it, or narrow "
            "`path` so that it is left out"
        ) from error
    except Exception as error:
        raise SourceError(f"{source.name}: path {source.path!r}: {located} cannot be listed ({error})") from error
    whole = source.path.rstrip("/")
    if is_folder:
        raise SourceError(f"{source.name}: path {source.path!r} is a folder; say which of its files: {whole}/**")
    if not found:
        raise SourceError(
            f"{source.name}: path {source.path!r} matches no file{_ending_in(endings)}; looked for {located}. "
            "Relative paths start at the workspace folder, ** stands for any depth of folders"
            + (", and braces for themselves: declare a source for each" if "{" in source.path else "")
        )
    root = _static_root(pattern, _literal_start(source.path, pattern))
    urls = {path: _url_of(filesystem, located, path) for path in found}
    files = [_source_file(source, root, path, urls[path], info) for path, info in found.items()]
    return sorted(files, key=lambda file: file.uri)


def _ending_in(endings: tuple[str, ...]) -> str:
    return f" ending in {' or '.join(endings)}" if endings else ""


def locate(path: str, workspace: Path) -> str:
    """The path as an absolute URL or path; relative ones start at the workspace.

    Of a chain such as zip://*.txt::archive.zip the last link, the one that lies in a plain store, is resolved.
    """
    *outer, last = links_of(path)
    if not _PROTOCOL.match(last):
        local = Path(last).expanduser()
        base = glob.escape(workspace.absolute().as_posix())
        last = local.as_posix() if local.is_absolute() else f"{base}/{local.as_posix()}"
        if outer:
            last = last.replace(base, workspace.absolute().as_posix())
    return "::".join([*outer, last])


def links_of(path: str) -> list[str]:
    """The links of a chain such as zip://*.txt::archive.zip; one link where :: is only part of a local name."""
    if "::" not in path:
        return [path]
    links = path.split("::")
    is_chain = any("://" in link for link in links) or links[0] in fsspec.available_protocols()
    return links if is_chain and not path.startswith(_LOCAL) else [path]


def _store_of(located: str) -> tuple[Any, str]:
    """The file system of a located path, and the pattern within it."""
    is_local = len(links_of(located)) == 1 and (located.startswith(_LOCAL) or not _PROTOCOL.match(located))
    if not is_local:
        found: tuple[Any, str] = fsspec.core.url_to_fs(located)
        return found
    pattern = LocalFolders._strip_protocol(located)
    return LocalFolders(pattern), pattern


def _matches(filesystem: Any, pattern: str) -> dict[str, dict[str, Any]]:
    """Paths that match, with what the store says of each; folders are left out."""
    if isinstance(filesystem, LocalFolders):
        local = filesystem.glob(pattern, detail=True) if _MAGIC.search(pattern) else literal(pattern, filesystem)
        known = {path: regular(path, info) for path, info in local.items()}
        return {path: info for path, info in known.items() if info is not None}
    if not _MAGIC.search(pattern):
        found = {pattern: filesystem.info(pattern)} if filesystem.exists(pattern) else {}
    else:
        found = filesystem.glob(pattern, detail=True)
    return {path: info for path, info in found.items() if info.get("type") != "directory"}


def _pattern_link(links: list[str]) -> int:
    """Which link of a chain holds the pattern: zip://*.txt::a.zip its first, simplecache::s3://b/*.txt its second."""
    return next((n for n, link in enumerate(links) if "://" in link), len(links) - 1)


def _literal_start(written: str, pattern: str) -> int:
    """Where the part of the pattern that the user wrote begins: the workspace's own name may hold wildcards."""
    links = links_of(written)
    tail = _PROTOCOL.sub("", links[_pattern_link(links)], count=1).removeprefix("./")
    return max(0, len(pattern) - len(tail)) if pattern.endswith(tail) else 0


def _static_root(pattern: str, start: int) -> str:
    match = _MAGIC.search(pattern, start)
    fixed = pattern[: match.start()] if match else pattern
    root = fixed.rpartition("/")[0]
    return re.sub(r"\[(.)\]", r"\1", root[:start]) + root[start:]


def _url_of(filesystem: Any, located: str, path: str) -> str:
    """What fsspec opens for a path within the store that `located` names."""
    links = links_of(located)
    if len(links) == 1:
        return f"file://{path}" if isinstance(filesystem, LocalFolders) else str(filesystem.unstrip_protocol(path))
    at = _pattern_link(links)
    protocol, separator, _ = links[at].rpartition("://")
    links[at] = f"{protocol}{separator}{path.lstrip('/') if separator else path}"
    return "::".join(links)


def _source_file(source: FileSource | WarcFiles, root: str, path: str, url: str, info: dict[str, Any]) -> SourceFile:
    uri = path[len(root) :].lstrip("/") if path.startswith(root) else path.lstrip("/")
    stamp = next((str(info[name]) for name in _STAMPS if info.get(name) is not None), "")
    uri, fault = spelled_out(uri), info.get("fault")
    stamp = f"{fault}, {stamp}" if fault else stamp  # a target that appears is a change, whatever its time
    size = int(info.get("size") or 0)
    return SourceFile(source.name, uri, url, size, stamp, group_of(uri, source.group), fault=fault)


def group_of(uri: str, unit: str) -> str:
    """The group of a file: itself, or its folder ("." at the root)."""
    return str(PurePosixPath(uri).parent) if unit == "folder" else uri


def total_bytes(files: Iterable[SourceFile]) -> int:
    """Bytes of the files as stored."""
    return sum(file.size for file in files)
