"""Stages whose partitions meet the faults of machines: they live on a cluster, fill a disk, take all memory."""

import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from small_stages import ROWS, counting_stage

from headwater.assets.compute.options import ComputeOptions
from headwater.assets.context import StageContext
from headwater.assets.options import Options
from headwater.assets.stages import Outcome, Stage


class FaultyOptions(Options):
    """What happens in some of the partitions, and the folder that holds what they tell one another."""

    fault: str
    folder: str


def faulty_stage(fault: str, folder: Path, edition: int = 1, **compute: Any) -> Stage:
    """Twelve partitions; another edition is made anew."""
    return counting_stage(
        function="fault_stages:materialize",
        options=FaultyOptions(fault=fault, folder=str(folder)),
        determining={"numbers": 12, "edition": edition},
        compute=ComputeOptions(**{"workers": 2, **compute}),
    )


def materialize(context: StageContext) -> Outcome:
    options = context.stage.options
    items = [(number, options.fault, options.folder) for number in range(12)]
    tables, _ = context.run_partitions("square", partition, items, {"rows": ROWS}, covers=list(range(12)))
    return Outcome(tables=tables)


def partition(item):
    number, fault, folder = item
    (Path(folder) / f"began-{number}").touch()
    {"none": nothing, "slow": slow, "memory": take_memory, "error": tell_secret}[fault](number, Path(folder))
    table = pa.table({"item": [number], "square": [number * number]}, schema=ROWS)
    yield from (("rows", batch) for batch in table.to_batches())


def nothing(number: int, folder: Path) -> None:
    """All is well."""


def slow(number: int, folder: Path) -> None:
    """Waits until the fault has happened, so that a task is certainly under way when it does."""
    while number >= 4 and not (folder / "happened").exists():
        time.sleep(0.05)


def take_memory(number: int, folder: Path) -> None:
    """Takes memory until the machine stops it."""
    if number == 7:
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 16) * 1024))
            time.sleep(0.02)


def tell_secret(number: int, folder: Path) -> None:
    """Fails as a client does whose address holds the password."""
    secret = os.environ["SCALE_TEST_PASSWORD"]
    raise ConnectionError(f"https://reader:{secret}@store.example/path refused the key {secret}")
