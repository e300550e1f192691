"""What a partition cost where it ran, and what a step of many cost altogether: its throughput, for people who watch."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


class Cost(NamedTuple):
    """Rows and bytes of text that came out, CPU seconds, and the most memory of a worker so far (bytes)."""

    rows: int = 0
    text_bytes: int = 0
    cpu: float = 0.0
    peak: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """Both together; the peak is the higher one."""
        return Cost(
            self.rows + other.rows,
            self.text_bytes + other.text_bytes,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
        )


class Meter:
    """Measures one partition while it runs."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._text: dict[str, int] = {}
        self._cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """The CPU time of this process within the block is the partition's."""
        begun = time.process_time()
        try:
            yield
        finally:
            self._cpu += time.process_time() - begun

    def count(self, table: str, batch: pa.RecordBatch) -> None:
        """Counts a batch that goes into a table."""
        self._rows[table] = self._rows.get(table, 0) + batch.num_rows
        self._text[table] = self._text.get(table, 0) + text_bytes(batch)

    @property
    def cost(self) -> Cost:
        """What was measured. Tables of one step tell of the same documents, so that the largest count is theirs."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
        rows, text = (max(counts.values(), default=0) for counts in (self._rows, self._text))
        return Cost(rows, text, round(self._cpu, 3), peak)


def text_bytes(batch: pa.RecordBatch) -> int:
    """Bytes of the texts that a batch holds or, in its column `bytes`, tells of; 0 where it does neither."""
    names = batch.schema.names
    if "bytes" in names and pa.types.is_integer(batch.schema.field("bytes").type):
        return int(pc.sum(batch["bytes"]).as_py() or 0)
    return int(pc.sum(pc.binary_length(batch["text"])).as_py() or 0) if "text" in names else 0


def total_cost(costs: Iterable[Cost]) -> Cost:
    """All costs together."""
    total = Cost()
    for cost in costs:
        total = total.plus(cost)
    return total


def megabytes_per_second(cost: Cost, seconds: float) -> float:
    """Text that came out, in 10^6 bytes for each second; 0 where no text is told of."""
    return cost.text_bytes / 1e6 / seconds if seconds > 0 else 0.0
