"""A user's own functions, found by import path and called with errors that name them and the document."""

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any


class StepError(ValueError):
    """A user's function cannot be imported or gave something else than promised; the message says the mend."""


@lru_cache(maxsize=64)
def find_function(path: str) -> Callable[..., Any]:
    """Import `package.module:name`.

    Raises:
        StepError: the module cannot be imported, or has no such function.
    """
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may fail in any way while it is imported
        raise StepError(
            f"{path}: module {module_name} cannot be imported ({type(error).__name__}: {error}); "
            "install its package, or put it on PYTHONPATH"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise StepError(f"{path}: module {module_name} has no function {name}; correct the name after the colon")
    return function


def transform_text(path: str, options: dict[str, Any], doc_id: str, text: str) -> str:
    """Call a user's transform on one text.

    Raises:
        StepError: the function failed, or gave no text that is valid Unicode.
    """
    result = _call(path, options, doc_id, text)
    if not isinstance(result, str):
        raise StepError(f"{path} gave {type(result).__name__} for document {doc_id}; it must return a str")
    try:
        result.encode()
    except UnicodeEncodeError as error:
        raise StepError(f"{path} gave a lone surrogate for document {doc_id}; return valid Unicode") from error
    return result


def measure_text(
    path: str, options: dict[str, Any], columns: tuple[str, ...], doc_id: str, text: str
) -> dict[str, float]:
    """Call a user's signal function on one text.

    Raises:
        StepError: the function failed, or did not give exactly the declared columns as numbers.
    """
    result = _call(path, options, doc_id, text)
    if not isinstance(result, dict) or set(result) != set(columns):
        given = ", ".join(map(str, result)) if isinstance(result, dict) else type(result).__name__
        raise StepError(f"{path} gave {given} for document {doc_id}; it must return a dict of {', '.join(columns)}")
    try:
        return {column: float(result[column]) for column in columns}
    except (TypeError, ValueError) as error:
        raise StepError(f"{path} gave a value that is no number for document {doc_id}: {error}") from error


def _call(path: str, options: dict[str, Any], doc_id: str, text: str) -> Any:
    function = find_function(path)
    try:
        return function(text, options)
    except Exception as error:
        raise StepError(
            f"{path} failed on document {doc_id} ({type(error).__name__}: {error}); "
            "mend the function so that it takes any text"
        ) from error
