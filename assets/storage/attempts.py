"""An attempt: the parts a run has written so far, kept where the next run of the same identity finds them.

Each finished partition leaves one small file naming its fragments. A run that is killed loses only the partitions in
flight; the next run takes the finished ones over. Nothing of an attempt is visible until its record is published.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from headwater.assets.compute.cost import Cost
from headwater.assets.storage.content import ContentSum, digest_of, total
from headwater.assets.storage.places import Place


@dataclass
class Part:
    """What one partition wrote: fragments and content per table, any figures it counted, and what it cost."""

    fragments: dict[str, list[str]] = field(default_factory=dict)
    content: dict[str, ContentSum] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)

    def to_json(self) -> str:
        """The part as JSON text."""
        data = {"fragments": self.fragments, "content": self.content, "figures": self.figures, "cost": self.cost}
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> "Part":
        """Reads what :meth:`to_json` wrote."""
        data = json.loads(text)
        content = {name: ContentSum(*values) for name, values in data["content"].items()}
        return cls(data["fragments"], content, data["figures"], Cost(*data["cost"]))


class Attempt:
    """The finished partitions of one identity and step within an asset."""

    def __init__(self, place: Place, identity: str, step: str) -> None:
        self.place = place
        self.root = f"{place.root}/pending/{identity}/{step}"

    def finished(self) -> dict[str, Part]:
        """Partitions that an earlier run of the same identity completed, by name."""
        fs = self.place.store.fs
        found = {}
        for path in fs.glob(f"{self.root}/*.json"):
            text = self.place.read_text(path)
            if text:
                found[path.rsplit("/", 1)[-1].removesuffix(".json")] = Part.from_json(text)
        return found

    def finish(self, name: str, part: Part) -> None:
        """Notes a completed partition."""
        self.place.write_text(f"{self.root}/{name}.json", part.to_json())


def part_name(number: int, covers: Any) -> str:
    """The name of a partition: its number, and a hash of what it covers.

    How much one partition covers is a matter of execution, which the next run of the same identity may choose anew;
    a part is taken over only where it covers the very same.
    """
    return f"{number:06d}-{digest_of(covers)[:16]}"


def clear_attempts(place: Place) -> None:
    """Forgets all attempts of an asset; called once its record is published."""
    root = f"{place.root}/pending"
    if place.store.fs.exists(root):
        place.store.fs.rm(root, recursive=True)


def combined(parts: list[Part], table: str) -> tuple[list[str], ContentSum]:
    """All fragments of a table in partition order, and its content."""
    fragments = [text for part in parts for text in part.fragments.get(table, [])]
    return fragments, total(part.content[table] for part in parts if table in part.content)
