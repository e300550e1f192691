"""Which code made an output: a declared number per step, the hash of its modules, the libraries that shape content.

The hash changes with every edit of a module, also an equivalent one; ``headwater accept`` records that an edit was
equivalent, and nothing is recomputed.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from importlib import metadata
from pathlib import Path

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
    digest = hashlib.blake2b(digest_size=8)
    for module in sorted(modules):
        for name, path in _sources(module):
            digest.update(f"{name}\0".encode())
            digest.update(_normal_form(path).encode())
    return digest.hexdigest()


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
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and _documented(node):
            node.body = node.body[1:]
    return ast.dump(tree, include_attributes=False)


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
