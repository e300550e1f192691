"""The hash of a shard's parts in plain Python, as the command in the how-to on shards tells it."""

import hashlib


def hash_of_parts(content: bytes) -> str:
    """The SHA-256 of what `sha256sum` prints for every MiB."""
    parts = [content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20)]
    printed = "".join(f"{hashlib.sha256(part).hexdigest()}  -\n" for part in parts)
    return "parts:" + hashlib.sha256(printed.encode()).hexdigest()
