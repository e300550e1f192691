"""Lists in text files: one entry a line, blank lines and comments (lines that begin with #) left out."""

import hashlib
from pathlib import Path


class ListError(ValueError):
    """A list file cannot be used; the message names the file and the mend."""


def read_list(path: str | None) -> tuple[str, ...]:
    """The entries of a list file, in order, each once; nothing for None.

    Raises:
        ListError: the file cannot be read or is not UTF-8.
    """
    if path is None:
        return ()
    lines = (line.strip() for line in _content(path).decode("utf-8-sig").splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))


def list_digest(path: str) -> str:
    """blake2b-128 of the file's content: a changed list is another option."""
    return hashlib.blake2b(_content(path), digest_size=16).hexdigest()


def _content(path: str) -> bytes:
    try:
        content = Path(path).read_bytes()
        content.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise ListError(f"list file {path}: {reason}; give a path that exists, relative to the workspace") from error
    except UnicodeDecodeError as error:
        raise ListError(f"list file {path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    return content
