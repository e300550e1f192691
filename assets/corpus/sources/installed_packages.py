"""The Python standard library and the installed packages as a corpus that every machine already has.

Files come from the standard library's folder and from each distribution's own list of what it installed, so that a
stray file never becomes data. Folders that depend on the machine (compiled modules, build configuration, scripts) are
left out. A budget is filled with whole packages in an order drawn from their names.
"""

import csv
import json
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from headwater.assets.corpus.options import InstalledPackages, ReadLimits
from headwater.assets.corpus.sources.listing import total_bytes
from headwater.assets.corpus.sources.records import ReadRecord, SourceError, SourceFile
from headwater.assets.corpus.sources.text_files import whole_file

_STDLIB_LICENSE = "PSF-2.0"
_NOT_STDLIB = {"site-packages", "dist-packages", "lib-dynload", "__pycache__"}
_TEST_FOLDERS = {"test", "tests", "idle_test"}
_MEGABYTE = 1_000_000


class _Entry(NamedTuple):
    group: str
    uri: str
    path: str
    license: str | None


def list_files(source: InstalledPackages, workspace: Path) -> list[SourceFile]:
    """The chosen packages' files, sorted by uri. Raises SourceError when the options leave nothing."""
    by_uri: dict[str, SourceFile] = {}
    for entry in [*_stdlib(source), *_distributions(source)]:
        if entry.uri not in by_uri and (file := _source_file(source, entry)) is not None:
            by_uri[entry.uri] = file
    packages: dict[str, list[SourceFile]] = {}
    for file in by_uri.values():
        packages.setdefault(str(file.group), []).append(file)
    chosen = within_budget(packages, source.max_megabytes, source.seed)
    if not chosen:
        raise SourceError(
            f"{source.name}: no installed package is left; raise max_megabytes (now {source.max_megabytes}), shorten "
            "`exclude`, or widen min_bytes and max_bytes"
        )
    return sorted((file for name in chosen for file in packages[name]), key=lambda file: file.uri)


def within_budget(packages: dict[str, list[SourceFile]], megabytes: float | None, seed: int) -> list[str]:
    """Names of the packages that fill the budget, in the order of a seeded hash of their names.

    A package that no longer fits is passed over and the next is tried, so that the choice depends on names, sizes
    and the seed alone.
    """
    order = sorted(packages, key=lambda name: (blake2b(f"{seed}:{name}".encode(), digest_size=16).digest(), name))
    if megabytes is None:
        return order
    left = int(megabytes * _MEGABYTE)
    chosen = []
    for name in order:
        size = total_bytes(packages[name])
        if size <= left:
            chosen.append(name)
            left -= size
    return chosen


def read(source: InstalledPackages, file: SourceFile, limits: ReadLimits) -> Iterator[ReadRecord]:
    """The file as one record."""
    yield whole_file(file, limits, "utf-8", source.encoding_errors)


def _source_file(source: InstalledPackages, entry: _Entry) -> SourceFile | None:
    try:
        status = os.stat(entry.path)  # noqa: PTH116 - to make a path of each takes longer than to look at the files
    except OSError:
        return None  # listed by its distribution but removed since
    if not source.min_bytes <= status.st_size <= source.max_bytes:
        return None
    url = f"file://{entry.path}"
    return SourceFile(source.name, entry.uri, url, status.st_size, str(status.st_mtime_ns), entry.group, entry.license)


def _stdlib(source: InstalledPackages) -> Iterator[_Entry]:
    excluded = set(source.exclude)
    if "stdlib" in excluded:
        return
    root = Path(sysconfig.get_path("stdlib"))
    for path in _walk(root, source.stdlib_tests):
        relative = path.relative_to(root).as_posix()
        group = f"stdlib.{relative.split('/')[0].split('.')[0]}"
        if relative.endswith(source.extensions) and group not in excluded:
            yield _Entry(group, f"stdlib/{relative}", path.as_posix(), _STDLIB_LICENSE)


def _walk(folder: Path, with_tests: bool) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        name = path.name
        if name in _NOT_STDLIB or name.startswith(("_sysconfigdata", "config-", "sitecustomize")):
            continue
        if path.is_dir():
            if with_tests or name not in _TEST_FOLDERS:
                yield from _walk(path, with_tests)
        elif path.is_file():
            yield path


def _distributions(source: InstalledPackages) -> Iterator[_Entry]:
    excluded = {normalized(name) for name in source.exclude}
    roots = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    named = {normalized(found.metadata["Name"] or ""): found for found in metadata.distributions(path=roots)}
    for name in sorted(named):
        if name and name not in excluded and not _is_from_a_folder(named[name]):
            yield from (
                entry
                for entry in _files_of(named[name], name, source.extensions)
                if normalized(entry.group) not in excluded
            )


def _files_of(found: metadata.Distribution, name: str, extensions: tuple[str, ...]) -> Iterator[_Entry]:
    listed = (_plain(path) for path in _listed(found) if path.endswith(extensions))
    paths = [path for path in listed if _is_portable(path)]
    license, root = license_of(found), Path(str(found.locate_file(""))).as_posix()
    own = main_module(paths) or name
    for path in sorted(paths):
        yield _Entry(_group(path, own), f"site-packages/{path}", f"{root}/{path}", license)


def _listed(found: metadata.Distribution) -> list[str]:
    """The files that a distribution says it installed; Python's own `files` makes a path of each, for seconds."""
    recorded = found.read_text("RECORD")
    return (
        [row[0] for row in csv.reader(recorded.splitlines()) if row] if recorded else list(map(str, found.files or ()))
    )


def _plain(path: str) -> str:
    return str(PurePosixPath(path)) if "./" in path or "//" in path else path


def _group(path: str, own: str) -> str:
    """The top-level module that a file belongs to; a distribution's loose files and licences belong to its main one."""
    top = path.split("/")[0]
    if _is_metadata(top) or (top == path and not path.endswith(".py")):
        return own
    return top.removesuffix(".py")


def main_module(paths: Iterable[str]) -> str | None:
    """The top-level module with most of the files, the first by name among equals; None when there is none."""
    tops = Counter(group for path in paths if (group := _group(path, "")))
    return min(tops, key=lambda top: (-tops[top], top)) if tops else None


def _is_metadata(top: str) -> bool:
    return top.endswith((".dist-info", ".egg-info"))


def _is_portable(path: str) -> bool:
    return not path.startswith(("..", "/")) and "__pycache__/" not in path and ":" not in path.split("/")[0]


def _is_from_a_folder(found: metadata.Distribution) -> bool:
    """Whether a distribution was installed from a folder, editable or not: somebody's work in progress."""
    written = found.read_text("direct_url.json")
    try:
        return bool(written) and "dir_info" in json.loads(written or "")
    except ValueError:
        return False


def license_of(found: metadata.Distribution) -> str | None:
    """The licence in a distribution's metadata: its SPDX expression, a short licence field, or its classifiers."""
    fields = found.metadata
    for name in ("License-Expression", "License"):
        written = (fields[name] or "").strip() if name in fields else ""
        if written and written.upper() != "UNKNOWN" and len(written) <= 100 and "\n" not in written:
            return written
    classifiers = [line for line in fields.get_all("Classifier") or [] if line.startswith("License ::")]
    names = sorted({line.rpartition(" :: ")[2] for line in classifiers})
    return ", ".join(names) if names else None


@lru_cache(maxsize=4096)
def normalized(name: str) -> str:
    """A distribution's name in the form that PEP 503 compares."""
    return re.sub(r"[-_.]+", "-", name).lower()
