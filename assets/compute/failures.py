"""Failures of machines, told from failures of data: a full disk says so once and clearly, wherever it was met."""

import errno
import re

_FULL = re.compile(r"\(os error (28|122)\)|No space left on device|Disk quota exceeded|database or disk is full")


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that a disk or a quota is full; libraries keep only the text."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        if isinstance(current, OSError) and current.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if type(current).__name__ == "OutOfDiskError" or _FULL.search(str(current)):
            return True
        current = current.__cause__ or current.__context__
    return False
