"""Which code made an output: a declared number per step, the hash of its modules, the libraries that shape content.

The hash changes with every edit of a module, also an equivalent one; ``headwater accept`` records that an edit was
equivalent, and nothing is recomputed.
"""

import ast
import hashlib
import importlib.util
import json
import sys
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile

from headwater.assets.storage.content import framed_digest
from headwater.assets.storage.records import CodeRecord


def code_record(number: int, modules: tuple[str, ...], libraries: tuple[str, ...]) -> CodeRecord:
    """The code version of a step.

    Raises:
        ModuleNotFoundError: a module or library that the step names is not installed.
    """
    versions = {name: _library_version(name) for name in libraries}
    return CodeRecord(number=number, modules=modules_hash(modules), libraries=versions)


@cache
def _library_version(name: str) -> str:
    return metadata.version(name)


@cache
def modules_hash(modules: tuple[str, ...]) -> str:
    """Hash of the source of modules and packages. Comments, docstrings and layout do not count."""
    sources = [source for module in sorted(modules) for source in _sources(module)]
    parts = [part for name, path in sources for part in (name.encode(), _read(path))]
    known, key = _known_hashes(), framed_digest(_read(Path(__file__)), *parts)
    if key not in known:
        digest = hashlib.blake2b(digest_size=8)
        for name, path in sources:
            digest.update(f"{name}\0".encode())
            digest.update(_normal_form(path).encode())
        known[key] = digest.hexdigest()
        _remember(known)
    return known[key]


# Parsing the sources takes a third of a second in each new process; what came of it is kept where Python keeps its own.
_KEPT = Path(__file__).parent / "__pycache__" / f"code_versions.{sys.implementation.cache_tag}.json"
_MOST = 1_000


@cache
def _known_hashes() -> dict[str, str]:
    """Hashes of modules by the bytes of their sources."""
    try:
        found = json.loads(_KEPT.read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(known: dict[str, str]) -> None:
    if sys.dont_write_bytecode:
        return
    newest = dict(list(known.items())[-_MOST:])
    with suppress(OSError):  # a folder that may not be written: the next process parses again
        _KEPT.parent.mkdir(exist_ok=True)
        with NamedTemporaryFile("w", dir=_KEPT.parent, delete=False) as file:
            json.dump(newest, file)
        Path(file.name).replace(_KEPT)


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


def _sources(module: str) -> list[tuple[str, Path]]:
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"No module '{module}': its code version cannot be determined.", name=module)
    if spec.submodule_search_locations:
        root = Path(next(iter(spec.submodule_search_locations)))
        return sorted((f"{module}/{p.relative_to(root).as_posix()}", p) for p in root.rglob("*.py"))
    return [(module, Path(spec.origin))] if spec.origin and spec.origin.endswith(".py") else []


@cache
def _normal_form(path: Path) -> str:
    tree = ast.parse(_read(path))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:]
    return ast.dump(tree, include_attributes=False)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
